//! Which pages may talk to an admin listener: its own, and none of another site.
//!
//! Any web page that a person has open can reach a loopback address. A browser says where a request
//! comes from in `Sec-Fetch-Site` or `Origin`; a name that an attacker points at this address (DNS
//! rebinding) shows in `Host`.

use std::net::{IpAddr, Ipv6Addr};

use http::{HeaderMap, Method, header};

use crate::edge::Address;

/// Names that cannot be bought: nobody can point one of them at somebody else's machine.
const RESERVED: [&str; 5] = ["localhost", "test", "local", "internal", "svc"];

/// Why a request is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stranger {
    /// Sent by a page of these.
    From(&'static str),
    /// A body of a kind that a form of another site can send too; JSON it cannot.
    NotJson,
}

/// Programs send none of these headers and pass.
///
/// # Errors
/// What gave a stranger away.
pub fn own_page(method: &Method, headers: &HeaderMap, listener: &Address) -> Result<(), Stranger> {
    let text = |name| headers.get(name).map(|v| v.to_str().unwrap_or("?"));
    let site = text(header::HeaderName::from_static("sec-fetch-site"));
    if site.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return Err(Stranger::From("other sites"));
    }
    let host = text(header::HOST).unwrap_or_default();
    let authority = |origin: &str| origin.split_once("://").map(|(_, rest)| rest == host);
    if text(header::ORIGIN).is_some_and(|origin| authority(origin) != Some(true)) {
        return Err(Stranger::From("other origins"));
    }
    if is_loopback(listener) && !is_own_name(host) {
        return Err(Stranger::From("public names on a loopback address"));
    }
    let kind = text(header::CONTENT_TYPE).unwrap_or("application/json");
    if method == Method::POST && !kind.to_ascii_lowercase().starts_with("application/json") {
        return Err(Stranger::NotJson);
    }
    Ok(())
}

fn is_loopback(listener: &Address) -> bool {
    match listener {
        Address::Tcp(address) => address.ip().is_loopback(),
        Address::Unix(_) | Address::Memory => false,
    }
}

/// An address, a name without a dot, or one under a reserved domain; with or without a port.
fn is_own_name(host: &str) -> bool {
    if let Some((address, _)) = host.strip_prefix('[').and_then(|h| h.split_once(']')) {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let last = name.rsplit('.').next().unwrap_or_default();
    name.parse::<IpAddr>().is_ok()
        || !name.contains('.')
        || RESERVED.iter().any(|tld| last.eq_ignore_ascii_case(tld))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> Address {
        Address::Tcp(address.parse().expect("an address"))
    }

    fn asked(method: Method, headers: &[(&'static str, &'static str)]) -> Result<(), Stranger> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().expect("a header"));
        }
        own_page(&method, &map, &at("127.0.0.1:8002"))
    }

    #[test]
    fn programs_and_the_own_page_pass() {
        for host in [
            "127.0.0.1:8002",
            "[::1]:8002",
            "localhost:1",
            "preheat",
            "a.svc",
            "x.test",
        ] {
            assert_eq!(asked(Method::GET, &[("host", host)]), Ok(()), "{host}");
        }
        let own = [
            ("host", "127.0.0.1:8002"),
            ("origin", "http://127.0.0.1:8002"),
            ("sec-fetch-site", "same-origin"),
            ("content-type", "application/json; charset=utf-8"),
        ];
        assert_eq!(asked(Method::POST, &own), Ok(()));
    }

    #[test]
    fn pages_of_others_do_not() {
        let foreign: [&[(&str, &str)]; 5] = [
            &[("host", "127.0.0.1"), ("sec-fetch-site", "cross-site")],
            &[("host", "127.0.0.1"), ("sec-fetch-site", "same-site")],
            &[("host", "127.0.0.1:1"), ("origin", "http://127.0.0.1:2")],
            &[("host", "127.0.0.1"), ("origin", "null")],
            &[("host", "rebound.example.com:8002")],
        ];
        for headers in foreign {
            let result = asked(Method::GET, headers);
            assert!(matches!(result, Err(Stranger::From(_))), "{headers:?}");
        }
        let form = [("host", "127.0.0.1"), ("content-type", "text/plain")];
        assert_eq!(asked(Method::POST, &form), Err(Stranger::NotJson));
    }

    #[test]
    fn names_are_the_operators_affair_beyond_loopback() {
        let mut headers = HeaderMap::new();
        headers.insert("host", "preheat.example.com".parse().expect("a header"));
        assert_eq!(
            own_page(&Method::GET, &headers, &at("10.0.0.1:8002")),
            Ok(())
        );
    }
}
