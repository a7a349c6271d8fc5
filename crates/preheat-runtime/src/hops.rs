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

/// Tells the server who asked. Over a unix socket it is one of our own that asks for somebody, and has
/// said so.
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
    if from.is_none() && headers.contains_key(FORWARDED_PROTO) {
        return;
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
        return Ok(request);
    }
    if parts.version == Version::HTTP_2 {
        join_cookies(headers);
    }
    if !headers.contains_key(header::HOST) {
        let named = parts.uri.authority().map_or(host, |named| named.as_str());
        let named = HeaderValue::from_str(named).unwrap_or(HeaderValue::from_static(host));
        headers.insert(header::HOST, named);
    }
    Ok(request)
}

/// HTTP/2 may have one field for each cookie; before it there is one for all (RFC 9113, 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let cookies: Vec<_> = headers.get_all(header::COOKIE).iter().collect();
    if cookies.len() < 2 {
        return;
    }
    let bytes: Vec<_> = cookies.iter().map(|cookie| cookie.as_bytes()).collect();
    // What is put together from fields is one.
    if let Ok(all) = HeaderValue::from_bytes(&bytes.join(&b"; "[..])) {
        headers.insert(header::COOKIE, all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_of_http2_become_one_field() {
        for (version, cookies) in [
            (Version::HTTP_2, vec!["a=1; b=2"]),
            (Version::HTTP_11, vec!["a=1", "b=2"]),
        ] {
            let request = Request::get("http://host/path")
                .version(version)
                .header("cookie", "a=1")
                .header("cookie", "b=2");
            let (parts, ()) = request.body(()).unwrap().into_parts();
            let sent = onward(&parts, (), "server", false).unwrap();
            let sent: Vec<_> = sent.headers().get_all("cookie").iter().collect();
            assert_eq!(sent, cookies);
        }
    }

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
        // A gateway's word goes on through its replica.
        forwarded(&mut given, None, false);
        assert_eq!(given["x-forwarded-for"], "192.0.2.1, 127.0.0.1");
        assert_eq!(given["x-forwarded-proto"], "https");
    }
}
