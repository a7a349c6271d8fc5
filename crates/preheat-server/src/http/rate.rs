//! The front door's part in rate limits: who is refused, and that our own requests never are.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use preheat_runtime::{Peer, rates};

use super::errors::Fault;
use super::layers::Context;
use crate::replica::Replica;
use crate::serve_error::ServeError;

/// Refuses callers that have spent their budget.
///
/// # Errors
/// [`ServeError::Rate`] with the time until the next request is let through.
pub fn check(
    replica: &Replica,
    headers: &HeaderMap,
    peer: Option<&Peer>,
) -> Result<(), ServeError> {
    let keys = &replica.settings.api_keys;
    let checked = replica.rates.check(&rates::caller(keys, headers, peer));
    checked.map_err(|spent| ServeError::Rate {
        rate: spent.rate,
        retry_after: spent.retry_after,
    })
}

pub async fn limit(State(replica): State<Arc<Replica>>, request: Request, next: Next) -> Response {
    let context = request.extensions().get::<Context>();
    if context.is_some_and(|c| c.arrival.synthetic) {
        return next.run(request).await;
    }
    let peer = request.extensions().get::<Peer>();
    match check(&replica, request.headers(), peer) {
        Err(error) => Fault::from(error).into_response(),
        Ok(()) => next.run(request).await,
    }
}
