//! The model, and perhaps the version, that a path names.

use std::str::FromStr;

use axum::Router;
use axum::extract::{FromRequestParts, RawPathParams, Request};
use axum::http::Uri;
use axum::http::request::Parts;
use axum::http::uri::PathAndQuery;
use axum::middleware::map_request;
use preheat_core::ModelName;

use super::errors::Fault;
use crate::serve_error::ServeError;

#[derive(Debug, Default)]
pub struct Named {
    pub model: String,
    /// Empty: whichever there is.
    pub version: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        // A name that is no text is the name of no model.
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| ServeError::UnknownModel("(not UTF-8)".into()))?;
        let mut named = Named::default();
        for (key, value) in &params {
            match key {
                "model" => value.clone_into(&mut named.model),
                _ => value.clone_into(&mut named.version),
            }
        }
        Ok(named)
    }
}

/// What a model's name stands behind.
const BEFORE_NAMES: [&str; 3] = ["/v1/models/", "/v2/models/", "/v2/repository/models/"];

/// Takes the model's own name in paths as it is written, too. One with a slash in it is several parts of
/// a path, which no route has: here it becomes the one part that clients make of it who encode it.
pub fn plain_names(routes: Router, name: &ModelName) -> Router {
    if !name.as_str().contains('/') {
        return routes;
    }
    let name = name.clone();
    let encoded = move |mut request: Request| {
        if let Some(uri) = encoded(request.uri(), name.as_str()) {
            *request.uri_mut() = uri;
        }
        std::future::ready(request)
    };
    // Around a router, not in it: its layers see a request when its route is found.
    Router::new()
        .fallback_service(routes)
        .layer(map_request(encoded))
}

/// None where the path does not name this model in full.
fn encoded(uri: &Uri, name: &str) -> Option<Uri> {
    let (before, rest) = BEFORE_NAMES
        .iter()
        .find_map(|before| Some((before, uri.path().strip_prefix(before)?)))?;
    let after = rest.strip_prefix(name)?;
    if !(after.is_empty() || after.starts_with('/')) {
        return None;
    }
    let query = uri.query().map(|query| format!("?{query}"));
    let path = format!(
        "{before}{}{after}{}",
        name.replace('/', "%2F"),
        query.unwrap_or_default()
    );
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::from_str(&path).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_models_own_name_is_taken_as_it_is_written() {
        for (path, found) in [
            ("/v1/models/org/m", Some("/v1/models/org%2Fm")),
            ("/v2/models/org/m", Some("/v2/models/org%2Fm")),
            ("/v2/models/org/m/infer", Some("/v2/models/org%2Fm/infer")),
            (
                "/v2/models/org/m/versions/1/infer?a=/b",
                Some("/v2/models/org%2Fm/versions/1/infer?a=/b"),
            ),
            (
                "/v2/repository/models/org/m/load",
                Some("/v2/repository/models/org%2Fm/load"),
            ),
            ("/v2/models/org%2Fm/infer", None),
            ("/v2/models/org/more/infer", None),
            ("/v2/models/org", None),
            ("/embed/org/m", None),
        ] {
            let uri = Uri::from_str(path).unwrap();
            let encoded = encoded(&uri, "org/m").map(|uri| uri.to_string());
            assert_eq!(encoded.as_deref(), found, "{path}");
        }
    }
}
