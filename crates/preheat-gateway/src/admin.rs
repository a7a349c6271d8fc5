//! The admin listener of a gateway: dashboard, probes, metrics, services, decisions, and what may be
//! asked.

mod events;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use futures_util::stream;
use preheat_api::embed::Health;
use preheat_api::problem::Family;
use preheat_api::record::{self, Recorded};
use preheat_api::service::{Decision, ServiceReport, VerifyRequest};
use preheat_runtime::edge::Address;
use preheat_runtime::keys::{Admitted, Keys};
use preheat_runtime::origin::own_page;
use preheat_runtime::unread::Settled;
use preheat_runtime::{Shutdown, Urgency, body, metrics};
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::data::Front;
use crate::decisions::Decisions;
use crate::refusal::Refusal;
use crate::service::{Order, Service};
use crate::{report, verify};

/// What the admin routes share.
#[derive(Debug)]
pub struct Admin {
    pub front: Arc<Front>,
    /// Where this listener is.
    pub address: Address,
    pub keys: Keys,
    pub decisions: Arc<Decisions>,
    pub shutdown: Shutdown,
    /// Places for those who record or follow.
    pub listeners: Arc<Semaphore>,
}

/// A whole configuration fits many times.
const LONGEST: usize = 2_000_000;

/// Who records or follows at once.
pub const LISTENERS: usize = 16;

type Shared = State<Arc<Admin>>;

/// Probes, metrics and the dashboard's files are open; the rest needs an admin key where keys are set.
pub fn router(admin: &Arc<Admin>) -> Router {
    let guarded = Router::new()
        .route("/v1/services", get(services))
        .route("/v1/services/{target}", get(service).post(command))
        .route("/v1/decisions", get(decisions))
        .route("/v1/events", get(events::events))
        .route("/v1/verify", post(verify))
        .route("/v1/requests", get(requests))
        .route("/v1/drain", post(drain))
        .layer(from_fn_with_state(Arc::clone(admin), whole))
        .layer(from_fn_with_state(Arc::clone(admin), guard));
    Router::new()
        .route("/health", get(alive))
        .route("/livez", get(alive))
        .route("/ready", get(ready))
        .route("/readyz", get(ready))
        .route("/startupz", get(started))
        .route("/metrics", get(metrics_page))
        .merge(preheat_dashboard::router())
        .merge(guarded)
        .fallback(|| async { refused(&Refusal::NoRoute) })
        .layer(Settled)
        .with_state(Arc::clone(admin))
}

async fn guard(State(admin): Shared, request: Request, next: Next) -> Response {
    if let Err(stranger) = own_page(request.method(), request.headers(), &admin.address) {
        return refused(&Refusal::Stranger(stranger));
    }
    match admin.keys.check(request.headers()) {
        Admitted::Yes => next.run(request).await,
        Admitted::NoKey => refused(&Refusal::NoKey),
        Admitted::WrongKey => refused(&Refusal::WrongKey),
    }
}

/// An order has to arrive in its time: whoever sends it slowly would keep a connection from probes.
async fn whole(State(admin): Shared, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match body::read(body, LONGEST, admin.front.limits.body_timeout).await {
        Ok(order) => next.run(Request::from_parts(parts, order.into())).await,
        Err(error) => refused(&Refusal::Body(error.into())),
    }
}

async fn alive() -> Json<Health> {
    let status = "alive".into();
    Json(Health { status })
}

async fn ready(State(admin): Shared, headers: HeaderMap) -> Response {
    let asked = admin.front.asked(&admin.keys, &headers);
    let report = report::gateway(&admin.front.services, asked);
    (code(report.report.status == "ready"), Json(report)).into_response()
}

async fn started(State(admin): Shared) -> Response {
    let started = admin.front.services.iter().all(|s| s.has_been_ready());
    let status = if started { "started" } else { "starting" };
    let status = status.into();
    (code(started), Json(Health { status })).into_response()
}

async fn metrics_page(State(admin): Shared, headers: HeaderMap) -> Response {
    let page = admin.front.metrics.page(&admin.front.services);
    metrics::answer(&headers, page).into_response()
}

async fn services(State(admin): Shared) -> Json<Vec<ServiceReport>> {
    let services = admin.front.services.iter();
    Json(services.map(|service| service.status().report).collect())
}

async fn service(State(admin): Shared, Path(name): Path<String>) -> Response {
    match find(&admin, &name) {
        Ok(service) => Json(service.status().report).into_response(),
        Err(refusal) => refused(&refusal),
    }
}

/// `POST /v1/services/{service}:scale`, `:rollout`, `:promote`, `:rollback` and `:abort`
async fn command(State(admin): Shared, Path(target): Path<String>, body: Bytes) -> Response {
    match ordered(&admin, &target, &body).await {
        Ok(service) => Json(service.status().report).into_response(),
        Err(refusal) => refused(&refusal),
    }
}

async fn ordered<'a>(
    admin: &'a Admin,
    target: &str,
    body: &[u8],
) -> Result<&'a Arc<Service>, Refusal> {
    let (name, verb) = target.rsplit_once(':').ok_or(Refusal::NoRoute)?;
    let order = match verb {
        "scale" => Order::Scale(read(body)?),
        "rollout" => Order::Rollout {
            wish: read(body)?,
            keyed: admin.keys.required(),
        },
        "promote" => Order::Promote,
        "rollback" => Order::Rollback,
        "abort" => Order::Abort,
        _ => return Err(Refusal::NoRoute),
    };
    let refusal = match order {
        Order::Scale(_) => Refusal::Malformed,
        _ => Refusal::Conflict,
    };
    let service = find(admin, name)?;
    service.order(order).await.map_err(refusal)?;
    Ok(service)
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::Malformed(format!("bad body: {error}")))
}

/// Whatever else a rollout tool sends along is its own affair.
async fn verify(State(admin): Shared, body: Bytes) -> Response {
    let wish: Result<VerifyRequest, _> = match body.is_empty() {
        true => Ok(VerifyRequest::default()),
        false => read(&body),
    };
    let services = wish.and_then(|wish| match wish.service {
        None => Ok(admin.front.services.clone()),
        Some(name) => Ok(vec![Arc::clone(find(&admin, &name)?)]),
    });
    match services.map(|services| verify::verify(&services)) {
        Ok(report) if report.ok => Json(report).into_response(),
        Ok(report) => (StatusCode::CONFLICT, Json(report)).into_response(),
        Err(refusal) => refused(&refusal),
    }
}

async fn decisions(State(admin): Shared) -> Json<Vec<Decision>> {
    Json(admin.decisions.recent())
}

/// Requests of users as they come, for who records them. Nothing is kept here.
async fn requests(State(admin): Shared) -> Response {
    let place = match place(&admin) {
        Ok(place) => place,
        Err(refusal) => return refused(&refusal),
    };
    let state = (admin.front.tap.listen(), admin.shutdown.clone(), place);
    let lines = stream::unfold(state, |(mut listener, shutdown, place)| async move {
        loop {
            let copied = tokio::select! {
                copied = listener.next() => copied?,
                () = shutdown.reached(Urgency::Drain) => return None,
            };
            if let Some(line) = Recorded::line(&copied.path, &copied.body) {
                let line = Ok::<_, std::convert::Infallible>(Bytes::from(line));
                return Some((line, (listener, shutdown, place)));
            }
        }
    });
    let kind = [(header::CONTENT_TYPE, record::CONTENT_TYPE)];
    (kind, Body::from_stream(lines)).into_response()
}

/// One of the few that may listen at once.
fn place(admin: &Admin) -> Result<OwnedSemaphorePermit, Refusal> {
    let listeners = Arc::clone(&admin.listeners);
    listeners.try_acquire_owned().map_err(|_| Refusal::Streams)
}

async fn drain(State(admin): Shared) -> StatusCode {
    admin.shutdown.request(Urgency::Drain);
    StatusCode::ACCEPTED
}

fn find<'a>(admin: &'a Admin, name: &str) -> Result<&'a Arc<Service>, Refusal> {
    let found = admin.front.services.iter().find(|s| s.name == name);
    found.ok_or_else(|| Refusal::NoService(name.to_owned()))
}

fn refused(refusal: &Refusal) -> Response {
    refusal
        .http(Family::Problem, "", "")
        .map(axum::body::Body::new)
}

fn code(ok: bool) -> StatusCode {
    if ok {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}
