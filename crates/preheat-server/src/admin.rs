//! The admin listener: dashboard, probes, metrics, the passport, events, and what may be asked of a
//! replica.

mod events;
mod guard;
pub mod repository;
mod requests;

use std::sync::Arc;

use axum::extract::{FromRequest as _, Request, State};
use axum::http::{StatusCode, Uri, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use preheat_api::replica::{LoadRequest, Objectives, Passport, PhaseChange};
use preheat_runtime::signals::Urgency;
use preheat_runtime::unread::Settled;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tower::ServiceExt;

use crate::clock::millis;
use crate::http::{self, Fault, layers, meta};
use crate::lifecycle::Command;
use crate::load::Order;
use crate::replica::Replica;
use crate::serve_error::ServeError;

/// Below it, the routes of the front door for the page that tries them.
const TRY: &str = "/v1/try";

type Shared = State<Arc<Replica>>;

/// Probes, metrics and the dashboard's files are open; the rest needs an admin key where keys are set.
/// `front`: the routes of the front door.
pub fn router(replica: &Arc<Replica>, front: Router) -> Router {
    let guarded = Router::new()
        .route("/v1/replica", get(passport))
        .route("/v1/events", get(events::events))
        .route("/v1/requests", get(requests::requests))
        .route("/v1/rewarm", post(rewarm))
        .route("/v1/load", post(load))
        .route("/v1/drain", post(drain))
        .route("/v2/repository/index", post(repository::index))
        .route("/v2/repository/models/{model}/load", post(repository::load))
        .route(
            "/v2/repository/models/{model}/unload",
            post(repository::unload),
        )
        .route(
            &format!("{TRY}/{{*path}}"),
            post(move |request| attempt(front, request)),
        )
        .layer(from_fn_with_state(Arc::clone(replica), guard::keys));
    let routes = http::probe_routes()
        .merge(http::model_probe_routes())
        .route("/metrics", get(meta::metrics))
        .merge(guarded)
        .merge(preheat_dashboard::router())
        .fallback(|| async { Fault::from(ServeError::NoRoute) })
        .layer(from_fn_with_state(
            Arc::clone(replica),
            layers::render_faults,
        ))
        .layer(Settled)
        .with_state(Arc::clone(replica));
    http::plain_names(routes, &replica.service.name)
}

async fn passport(State(replica): Shared) -> Json<Passport> {
    // Before all else: what happens meanwhile is told again rather than never.
    let sequence = replica.board.sequence();
    let now = replica.board.clock().now();
    let phases = replica.board.read(|facts| {
        facts
            .history
            .iter()
            .map(|(phase, at)| PhaseChange {
                phase: (*phase).to_owned(),
                at_ms: millis(at.since_start()),
            })
            .collect()
    });
    Json(Passport {
        id: replica.id.clone(),
        version: crate::VERSION.into(),
        pid: std::process::id(),
        http: replica.addresses.http.to_string(),
        grpc: replica.addresses.grpc.to_string(),
        admin: replica.addresses.admin.to_string(),
        uptime_ms: millis(now.since_start()),
        phases,
        epoch: events::epoch(&replica.id).to_owned(),
        sequence,
        objectives: Objectives {
            slo_p95_ms: millis(replica.settings.criteria.slo_p95),
            headroom: replica.settings.criteria.headroom,
            concurrency: replica.settings.limits.concurrency,
            queue: replica.settings.limits.queue,
        },
        report: replica.report(true),
    })
}

/// A request of the playground, as the front door takes it: same routes, limits and answers. The
/// key of this listener is not the key of that one, which comes as `x-api-key`.
async fn attempt(front: Router, mut request: Request) -> Result<Response, Fault> {
    let path = request.uri().path().strip_prefix(TRY).unwrap_or_default();
    let inside = path.parse::<Uri>().map_err(|_| ServeError::NoRoute)?;
    *request.uri_mut() = inside;
    request.headers_mut().remove(header::AUTHORIZATION);
    // The route that matched here is not the one that matches there.
    request.extensions_mut().clear();
    match front.oneshot(request).await {
        Ok(response) => Ok(response),
        Err(never) => match never {},
    }
}

async fn rewarm(State(replica): Shared) -> Result<Response, Fault> {
    if !replica.board.read(|facts| facts.probes.readiness) {
        return Err(replica.service.not_ready().into());
    }
    let full = |_| ServeError::Full {
        reason: "rewarming",
        retry_after: std::time::Duration::from_secs(1),
    };
    replica.commands.try_send(Command::Rewarm).map_err(full)?;
    Ok(StatusCode::ACCEPTED.into_response())
}

/// What a body says, read in its time: whoever sends it slowly would keep a connection from probes.
async fn in_time<T>(replica: &Replica, reading: impl Future<Output = T>) -> Result<T, ServeError> {
    let after = replica.settings.body_timeout;
    let read = timeout(after, reading).await;
    read.map_err(|_| ServeError::BodyTooSlow { after })
}

/// Planned requests through the front door, and what came of them.
async fn load(State(replica): Shared, request: Request) -> Result<Response, Fault> {
    let wish = in_time(&replica, Json::<LoadRequest>::from_request(request, &())).await?;
    let Json(wish) = wish.map_err(|error| ServeError::Malformed(error.body_text()))?;
    if !replica.service.gate.is_open() {
        return Err(replica.service.not_ready().into());
    }
    let full = |_| ServeError::Full {
        reason: "loading",
        retry_after: std::time::Duration::from_secs(1),
    };
    let (answer, answered) = oneshot::channel();
    let order = Order { wish, answer };
    replica.loads.try_send(order).map_err(full)?;
    match answered.await {
        Ok(Ok(report)) => Ok(Json(report).into_response()),
        Ok(Err(_)) => Err(replica.service.not_ready().into()),
        Err(_) => Err(ServeError::Draining.into()),
    }
}

async fn drain(State(replica): Shared) -> StatusCode {
    replica.shutdown.request(Urgency::Drain);
    StatusCode::ACCEPTED
}
