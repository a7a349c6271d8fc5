//! The repository verbs of the Open Inference Protocol, as far as a process with one model has an answer.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request, State};
use preheat_api::oip::{MODEL_VERSION, RepositoryItem};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::in_time;
use crate::http::{Fault, Named};
use crate::oip;
use crate::replica::Replica;
use crate::serve_error::ServeError;

type Shared = State<Arc<Replica>>;

/// With `{"ready": true}` only of what is ready; no body at all is fine, too.
pub(super) async fn index(
    State(replica): Shared,
    request: Request,
) -> Result<Json<Vec<RepositoryItem>>, Fault> {
    let body = in_time(&replica, Bytes::from_request(request, &())).await?;
    let body = body.map_err(|error| ServeError::Malformed(error.body_text()))?;
    let wish = match body.is_empty() {
        true => Value::Null,
        false => serde_json::from_slice(&body)
            .map_err(|error| ServeError::Malformed(format!("bad body: {error}")))?,
    };
    let item = item(&replica);
    let hidden = wish["ready"] == true && item.state != "READY";
    Ok(Json(if hidden { Vec::new() } else { vec![item] }))
}

/// The model is what this process is there for: it is there, or comes. A lazy one begins to.
pub(super) async fn load(State(replica): Shared, named: Named) -> Result<Json<Value>, Fault> {
    oip::check_model(&replica.service, &named.model, "")?;
    let service = &replica.service;
    let deadline = Instant::now() + service.limits.request_timeout;
    service.within(deadline, service.loading()).await?;
    Ok(Json(json!({})))
}

/// A process without its model would be there for nothing: what ends is the process.
pub(super) async fn unload(State(replica): Shared, named: Named) -> Result<Json<Value>, Fault> {
    oip::check_model(&replica.service, &named.model, "")?;
    let why = format!(
        "failed to unload '{}': this process serves one model for as long as it runs; to end it in \
         order, POST /v1/drain",
        named.model
    );
    Err(ServeError::Malformed(why).into())
}

/// The model as the index tells it.
pub fn item(replica: &Replica) -> RepositoryItem {
    let (ready, reason) = replica
        .board
        .read(|f| (f.probes.readiness, crate::report::detail(f)));
    RepositoryItem {
        name: replica.service.name.as_str().to_owned(),
        version: MODEL_VERSION.into(),
        state: if ready { "READY" } else { "UNAVAILABLE" }.into(),
        reason: if ready { String::new() } else { reason },
    }
}
