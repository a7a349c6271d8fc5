//! The admin listener: probes, metrics, the passport, events, and what may be asked of a replica.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::sse::{Event as Sse, KeepAlive};
use axum::response::{IntoResponse, Response, Sse as SseResponse};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::{Stream, StreamExt, stream};
use preheat_api::oip::{MODEL_VERSION, RepositoryItem};
use preheat_api::replica::{Event, Passport, PhaseChange};
use preheat_runtime::signals::Urgency;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;

use crate::board::Numbered;
use crate::clock::millis;
use crate::http::{self, Fault, layers, meta};
use crate::lifecycle::Command;
use crate::replica::Replica;
use crate::serve_error::ServeError;

type Shared = State<Arc<Replica>>;

/// Probes and metrics are open; the rest needs an admin key where keys are set.
pub fn router(replica: &Arc<Replica>) -> Router {
    let guarded = Router::new()
        .route("/v1/replica", get(passport))
        .route("/v1/events", get(events))
        .route("/v1/rewarm", post(rewarm))
        .route("/v1/drain", post(drain))
        .route("/v2/repository/index", post(index))
        .layer(from_fn_with_state(Arc::clone(replica), keys));
    http::probe_routes()
        .route("/metrics", get(meta::metrics))
        .merge(guarded)
        .fallback(|| async { Fault::from(ServeError::NoRoute) })
        .layer(from_fn_with_state(
            Arc::clone(replica),
            layers::render_faults,
        ))
        .with_state(Arc::clone(replica))
}

async fn keys(State(replica): Shared, request: Request, next: Next) -> Response {
    match layers::check_key(&replica.settings.admin_keys, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => Fault::from(error).into_response(),
    }
}

async fn passport(State(replica): Shared) -> Json<Passport> {
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
        sequence: replica.board.sequence(),
        report: replica.report(true),
    })
}

/// Everything after `Last-Event-ID` that is still remembered, then what happens.
async fn events(
    State(replica): Shared,
    headers: HeaderMap,
) -> SseResponse<impl Stream<Item = Result<Sse, Infallible>>> {
    let last = headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok()?.parse().ok());
    let (past, live) = replica.board.events_after(last.unwrap_or(0));
    let reached = past.last().map_or(0, |event| event.sequence);
    let live = BroadcastStream::new(live).filter_map(move |event| async move {
        match event {
            Ok(event) if event.sequence <= reached => None,
            Ok(event) => Some(sse(&event)),
            Err(BroadcastStreamRecvError::Lagged(missed)) => {
                Some(Sse::default().event("lagged").data(missed.to_string()))
            }
        }
    });
    let past: Vec<Sse> = past.iter().map(sse).collect();
    let all = stream::iter(past).chain(live).map(Ok);
    SseResponse::new(all).keep_alive(KeepAlive::default())
}

fn sse(numbered: &Numbered) -> Sse {
    let kind = match &numbered.event {
        Event::Phase(_) => "phase",
        Event::Stage(_) => "stage",
        Event::Case(_) => "case",
        Event::Check(_) => "check",
    };
    let event = Sse::default().event(kind).id(numbered.sequence.to_string());
    // These shapes always serialise; an empty event is still numbered.
    event.json_data(&numbered.event).unwrap_or_default()
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

async fn drain(State(replica): Shared) -> StatusCode {
    replica.shutdown.request(Urgency::Drain);
    StatusCode::ACCEPTED
}

async fn index(State(replica): Shared) -> Json<Vec<RepositoryItem>> {
    Json(vec![repository_item(&replica)])
}

pub fn repository_item(replica: &Replica) -> RepositoryItem {
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
