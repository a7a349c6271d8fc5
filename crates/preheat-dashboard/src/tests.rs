use std::io::Write as _;

use axum::body::Body;
use axum::http::Request;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::*;
use crate::assets::ASSETS;

async fn get(path: &str) -> (StatusCode, axum::http::HeaderMap, Vec<u8>) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = router().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    (parts.status, parts.headers, body)
}

#[tokio::test]
async fn the_page_and_each_file_it_names_are_there() {
    let (status, headers, body) = get("/").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers["content-type"], "text/html; charset=utf-8");
    assert_eq!(headers["cache-control"], "no-cache");
    let text = String::from_utf8(body).unwrap();
    let named: Vec<&str> = text
        .split(['"', '\''])
        .filter(|word| word.starts_with("./assets/"))
        .collect();
    assert!(named.len() >= 2, "{text}");
    for name in named {
        let (status, headers, body) = get(&name[1..]).await;
        assert_eq!(status, StatusCode::OK, "{name}");
        assert!(!body.is_empty());
        assert_eq!(headers["cache-control"], FOR_EVER);
        assert_eq!(headers["x-content-type-options"], "nosniff");
    }
}

#[tokio::test]
async fn nothing_else_is_there() {
    for path in [
        "/assets/",
        "/assets/nothing.js",
        "/assets/..%2Findex.html",
        "/index.html",
    ] {
        assert_eq!(get(path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
}

/// The page runs no text as code, in any browser that knows the policy.
#[tokio::test]
async fn the_policy_goes_out_with_the_page() {
    let (_, headers, _) = get("/").await;
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'"));
    assert!(!policy.contains("unsafe"));
}

/// It works where there is no network, and opens at once where the network is slow.
#[test]
fn files_are_few_small_and_name_no_other_address() {
    for asset in ASSETS {
        let text = String::from_utf8_lossy(asset.content);
        let foreign = text.match_indices("://").find(|(at, _)| {
            let rest = &text[at + 3..];
            let namespace = rest.starts_with("www.w3.org/");
            let before = &text[..*at];
            (before.ends_with("http") || before.ends_with("https"))
                && !namespace
                && rest.starts_with(|c: char| c.is_ascii_alphanumeric())
        });
        assert!(foreign.is_none(), "{}: {foreign:?}", asset.path);
    }
    let total: usize = ASSETS.iter().map(|asset| packed(asset.content)).sum();
    assert!(total < 300_000, "{total} bytes, compressed");
}

/// As a proxy would send it.
fn packed(content: &[u8]) -> usize {
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(content).unwrap();
    packer.finish().unwrap().len()
}
