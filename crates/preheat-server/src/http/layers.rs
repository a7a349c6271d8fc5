//! What happens around every request: an id, a span, counts, the warmth header, keys.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use preheat_api::headers;
use preheat_runtime::keys::{Admitted, Keys};
use preheat_runtime::telemetry;
use subtle::ConstantTimeEq;
use tracing::{Instrument, Span};

use super::errors::{self, Fault};
use crate::replica::Replica;
use crate::serve_error::ServeError;
use crate::service::Arrival;

/// What the layers know of a request and the routes want to know too.
#[derive(Debug, Clone)]
pub struct Context {
    pub id: String,
    pub arrival: Arrival,
}

/// Longest request id that is taken over from a client.
const LONGEST_ID: usize = 128;

/// Id, span, warmth, counts. The outermost layer, so that it sees every answer.
pub async fn surround(
    State(replica): State<Arc<Replica>>,
    mut request: Request,
    next: Next,
) -> Response {
    let context = Context {
        id: request_id(&replica, request.headers()),
        arrival: replica
            .service
            .arrival(is_synthetic(&replica, request.headers())),
    };
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| unmatched(&replica, &request), MatchedPath::as_str)
        .to_owned();
    let span = request_span(&request, &route, &context);
    // Probes and descriptions are asked for all the time; what users want done is posted.
    let users = request.method() == Method::POST && !context.arrival.synthetic;
    let visit = users.then(|| replica.ledger.arrive(context.arrival.at));
    request.extensions_mut().insert(context.clone());
    let mut response = next.run(request).instrument(span.clone()).await;

    if let Some(visit) = visit {
        visit.answered(response.status());
    }
    let added = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&context.id) {
        added.insert(headers::REQUEST_ID, id);
    }
    if let Some(warmth) = replica.service.warmth() {
        added.insert(headers::WARM, HeaderValue::from_static(warmth.name()));
    }
    if !context.arrival.synthetic {
        let took = context.arrival.at.elapsed();
        let status = response.status();
        span.record("http.response.status_code", status.as_u16());
        replica.metrics.request(&route, status.as_str(), took);
    }
    response
}

/// Routes of a wrapped server are its own to know.
fn unmatched(replica: &Replica, request: &Request) -> &'static str {
    match &replica.wrapped {
        Some(wrapped) => wrapped.label(request.uri().path()),
        None => "unmatched",
    }
}

/// By the semantic conventions for HTTP servers; part of the caller's trace if it has one.
fn request_span(request: &Request, route: &str, context: &Context) -> Span {
    let span = tracing::info_span!(
        "request",
        otel.name = format!("{} {route}", request.method()),
        otel.kind = "server",
        http.request.method = %request.method(),
        http.route = route,
        http.response.status_code = tracing::field::Empty,
        request_id = context.id,
        trace_id = tracing::field::Empty,
        preheat.synthetic = context.arrival.synthetic,
    );
    telemetry::continue_trace(&span, request.headers());
    span
}

/// Gives errors the style of their route, and counts who was turned away.
pub async fn render_faults(
    State(replica): State<Arc<Replica>>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path().to_owned();
    let context = request.extensions().get::<Context>().cloned();
    // The admin listener has no layer that gives one.
    let id = match &context {
        Some(context) => context.id.clone(),
        None => request_id(&replica, request.headers()),
    };
    let response = next.run(request).await;
    let Some(fault) = response.extensions().get::<Fault>() else {
        return response;
    };
    let model = replica.service.name.as_str();
    let mut rendered = errors::render(fault, &path, model, &id);
    if let Ok(id) = HeaderValue::from_str(&id) {
        rendered.headers_mut().insert(headers::REQUEST_ID, id);
    }
    if fault.error.turns_away() && !context.is_some_and(|c| c.arrival.synthetic) {
        replica.metrics.rejected(fault.error.code());
    }
    // Which methods a route takes is the router's to say.
    if let Some(allow) = response.headers().get(header::ALLOW) {
        rendered.headers_mut().insert(header::ALLOW, allow.clone());
    }
    rendered
}

/// Keys of the data routes.
pub async fn keys(State(replica): State<Arc<Replica>>, request: Request, next: Next) -> Response {
    if is_synthetic(&replica, request.headers()) {
        return next.run(request).await;
    }
    match check_key(&replica.settings.api_keys, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => Fault::from(error).into_response(),
    }
}

/// Whether the caller holds one of the keys, where keys are required.
pub fn check_key(keys: &Keys, headers: &HeaderMap) -> Result<(), ServeError> {
    match keys.check(headers) {
        Admitted::Yes => Ok(()),
        Admitted::NoKey => Err(ServeError::NoKey),
        Admitted::WrongKey => Err(ServeError::WrongKey),
    }
}

/// Whether a request carries this process's own secret.
pub fn is_synthetic(replica: &Replica, headers: &HeaderMap) -> bool {
    let secret = replica.secret.as_bytes();
    headers
        .get(headers::SYNTHETIC)
        .is_some_and(|s| s.as_bytes().ct_eq(secret).into())
}

/// The client's own id if it is harmless, else one that no other request has.
pub fn request_id(replica: &Replica, headers: &HeaderMap) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let given = headers
        .get(headers::REQUEST_ID)
        .and_then(|id| id.to_str().ok());
    match given.filter(|id| !id.is_empty() && id.len() <= LONGEST_ID) {
        Some(id) => id.to_owned(),
        None => {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            format!("{}-{count:x}", replica.id.get(..8).unwrap_or_default())
        }
    }
}
