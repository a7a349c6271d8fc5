//! `GET /v1/requests`: requests of users as they come, for who records them. Nothing is kept here, and
//! nothing is copied while nobody listens.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use preheat_api::record::{self, Recorded};

use crate::http::Fault;
use crate::replica::Replica;
use crate::serve_error::ServeError;

pub(super) async fn requests(State(replica): State<Arc<Replica>>) -> Result<Response, Fault> {
    let full = |_| ServeError::Full {
        reason: "streams",
        retry_after: std::time::Duration::from_secs(1),
    };
    let place = Arc::clone(&replica.followers).try_acquire_owned();
    let place = place.map_err(full)?;
    let state = (replica.tap.listen(), replica, place);
    let lines = stream::unfold(state, |(mut listener, replica, place)| async move {
        loop {
            let copied = tokio::select! {
                copied = listener.next() => copied?,
                () = replica.service.leaving() => return None,
            };
            // Tensors in binary are no line.
            if let Some(line) = Recorded::line(&copied.path, &copied.body) {
                let line = Ok::<_, std::convert::Infallible>(Bytes::from(line));
                return Some((line, (listener, replica, place)));
            }
        }
    });
    let kind = [(header::CONTENT_TYPE, record::CONTENT_TYPE)];
    Ok((kind, Body::from_stream(lines)).into_response())
}
