//! The model, and perhaps the version, that a path names.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;

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
