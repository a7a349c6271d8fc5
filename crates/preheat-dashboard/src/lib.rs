//! The dashboard: files that Vite built from `web/`, in the binary, and the headers they go out with.
//!
//! Knows no replica and no fleet: the page asks the listener that it came from. Built files are
//! committed, so that cargo alone builds the binary; `cargo xtask test` builds them again and
//! compares.

mod assets;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// One file of the page.
#[derive(Debug, Clone, Copy)]
pub struct Asset {
    /// Relative to the page.
    pub path: &'static str,
    pub content: &'static [u8],
}

/// Nothing but the page's own files and its own listener; no inline scripts or styles, no markup
/// from strings, no frame around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

/// Their names hold a hash of their content.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// The page and its files.
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/", get(|| async { file("index.html", "no-cache") }))
        .route("/assets/{name}", get(asset))
}

async fn asset(Path(name): Path<String>) -> Response {
    file(&format!("assets/{name}"), FOR_EVER)
}

fn file(path: &str, cache: &'static str) -> Response {
    let Some(asset) = assets::ASSETS.iter().find(|asset| asset.path == path) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let mut response = asset.content.into_response();
    let headers = [
        (header::CONTENT_TYPE, media_type(path)),
        (header::CACHE_CONTROL, cache),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    for (name, value) in headers {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json" | "ndjson") => "application/json",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests;
