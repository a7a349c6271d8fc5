//! Liveness, readiness and start-up under all their names. Served on the front door and, from a
//! thread that inference cannot starve, on the admin listener.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use preheat_api::config::HealthIs;
use preheat_api::embed::Health;

use super::errors::Fault;
use super::layers::check_key;
use super::named::Named;
use crate::oip;
use crate::replica::Replica;

type Shared = State<Arc<Replica>>;

pub fn routes() -> Router<Arc<Replica>> {
    Router::new()
        .route("/health", get(health))
        .route("/livez", get(live))
        .route("/ping", get(ready))
        .route("/ready", get(ready))
        .route("/readyz", get(ready))
        .route("/startupz", get(startup))
        .route("/v2/health/live", get(live))
        .route("/v2/health/ready", get(ready))
}

/// Readiness of one model, where its name is ours to know.
pub fn model_routes() -> Router<Arc<Replica>> {
    Router::new()
        .route("/v2/models/{model}/ready", get(model_ready))
        .route(
            "/v2/models/{model}/versions/{version}/ready",
            get(model_ready),
        )
}

async fn health(state: Shared, headers: HeaderMap) -> Response {
    match state.settings.health_is {
        HealthIs::Live => alive(),
        HealthIs::Ready => ready(state, headers).await,
    }
}

async fn live() -> Response {
    alive()
}

fn alive() -> Response {
    Json(Health {
        status: "alive".into(),
    })
    .into_response()
}

/// The whole report; its status code is the probe.
async fn ready(State(replica): Shared, headers: HeaderMap) -> Response {
    let keys = &replica.settings.api_keys;
    // Where nobody needs a key, nobody has shown one.
    let known = keys.required() && check_key(keys, &headers).is_ok();
    readiness(&replica, known)
}

pub fn readiness(replica: &Replica, show_source: bool) -> Response {
    let report = replica.report(show_source);
    (code(report.status == "ready"), Json(report)).into_response()
}

async fn startup(State(replica): Shared) -> Response {
    let started = replica.board.read(|facts| facts.probes.startup);
    let status = if started { "started" } else { "starting" };
    (
        code(started),
        Json(Health {
            status: status.into(),
        }),
    )
        .into_response()
}

async fn model_ready(State(replica): Shared, named: Named) -> Result<Response, Fault> {
    oip::check_model(&replica.service, &named.model, &named.version)?;
    Ok(readiness(&replica, false))
}

fn code(ok: bool) -> StatusCode {
    if ok {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}
