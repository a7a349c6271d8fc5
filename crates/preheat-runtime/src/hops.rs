//! Which header fields pass one who stands between client and server, what he adds, and the request
//! that he makes of the one that came.

use std::net::SocketAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::{InvalidUri, PathAndQuery};
use http::{Request, Uri, Version, request};

/// Fields that speak of one connection, not of the message (RFC 9110, 7.6.1).
const HOP_BY_HOP: [HeaderName; 6] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

const KEEP_ALIVE: &str = "keep-alive";
const PROXY_CONNECTION: &str = "proxy-connection";
const FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// Longest chain of forwarded addresses that is taken over.
const LONGEST_CHAIN: usize = 1024;

/// Removes what ends at this hop, and whatever `connection` names besides.
pub fn strip(headers: &mut HeaderMap) {
    // Most messages have none: looking through a few names is less than looking up each of ours.
    if !headers.keys().any(ends_here) {
        return;
    }
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    // gRPC asks for trailers by this field, and only by it.
    let trailers = headers
        .get(header::TE)
        .is_some_and(|te| te.as_bytes().eq_ignore_ascii_case(b"trailers"));
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
    headers.remove(KEEP_ALIVE);
    headers.remove(PROXY_CONNECTION);
    if trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
}

fn ends_here(name: &HeaderName) -> bool {
    HOP_BY_HOP.contains(name) || *name == KEEP_ALIVE || *name == PROXY_CONNECTION
}

/// Tells the server who asked.
pub fn forwarded(headers: &mut HeaderMap, from: Option<SocketAddr>, tls: bool) {
    if let Some(address) = from {
        let before = headers
            .get(FORWARDED_FOR)
            .and_then(|chain| chain.to_str().ok())
            .filter(|chain| chain.len() <= LONGEST_CHAIN);
        let chain = match before {
            Some(before) => format!("{before}, {}", address.ip()),
            None => address.ip().to_string(),
        };
        if let Ok(chain) = HeaderValue::from_str(&chain) {
            headers.insert(FORWARDED_FOR, chain);
        }
    }
    let scheme = if tls { "https" } else { "http" };
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static(scheme));
}

/// What came, as it goes on: a path alone over HTTP/1, a whole address over HTTP/2. `host` stands in
/// where the client named none.
///
/// # Errors
/// When the path is none.
pub fn onward<B>(
    parts: &request::Parts,
    body: B,
    host: &'static str,
    over_http2: bool,
) -> Result<Request<B>, InvalidUri> {
    let path = match parts.uri.path_and_query() {
        Some(path) => path.clone(),
        None => PathAndQuery::from_static("/"),
    };
    let uri: Uri = match over_http2 {
        true => format!("http://{host}{path}").parse()?,
        false => path.into(),
    };
    let mut request = Request::new(body);
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = uri;
    *request.headers_mut() = parts.headers.clone();
    let headers = request.headers_mut();
    if over_http2 {
        headers.remove(header::HOST);
        *request.version_mut() = Version::HTTP_2;
    } else if !headers.contains_key(header::HOST) {
        let named = parts.uri.authority().map_or(host, |named| named.as_str());
        let named = HeaderValue::from_str(named).unwrap_or(HeaderValue::from_static(host));
        headers.insert(header::HOST, named);
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            let name: HeaderName = name.parse().unwrap();
            (name, value.parse().unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn what_speaks_of_the_connection_ends_here() {
        let mut given = headers(&[
            ("connection", "close, x-mine"),
            ("x-mine", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "gzip"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("x-request-id", "7"),
            ("content-length", "3"),
        ]);
        strip(&mut given);
        let kept = headers(&[("x-request-id", "7"), ("content-length", "3")]);
        assert_eq!(given, kept);
    }

    #[test]
    fn grpc_may_still_ask_for_trailers() {
        let mut given = headers(&[("te", "trailers")]);
        strip(&mut given);
        assert_eq!(given, headers(&[("te", "trailers")]));
    }

    #[test]
    fn the_caller_is_added_to_the_chain() {
        let mut given = headers(&[("x-forwarded-for", "192.0.2.1")]);
        forwarded(&mut given, Some("127.0.0.1:9".parse().unwrap()), true);
        assert_eq!(given["x-forwarded-for"], "192.0.2.1, 127.0.0.1");
        assert_eq!(given["x-forwarded-proto"], "https");
    }
}
