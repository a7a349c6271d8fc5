//! The gRPC front door: Open Inference Protocol, health, reflection.

mod health;
mod infer;
mod reflection;
mod status;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use preheat_api::grpc::inference::grpc_inference_service_server::GrpcInferenceServiceServer;
use preheat_api::headers;
use preheat_runtime::{Peer, telemetry};
use tokio::time::Instant;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;
use tracing::{Instrument, Span};

use crate::http::layers::{check_key, is_synthetic, request_id};
use crate::http::rate;
use crate::replica::Replica;
use crate::serve_error::ServeError;

/// Unary calls, which end when their body has come and their deadline has passed.
const INFERENCE: &str = "/inference.GRPCInferenceService/";

/// The call that users come for.
const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";

/// What it is called among routes.
const ROUTE: &str = "grpc ModelInfer";

/// All services of the gRPC front door.
pub fn router(replica: &Arc<Replica>) -> Router {
    let mut routes = Routes::default().add_service(health::service(replica));
    // A wrapped server speaks HTTP; here it only says how it is.
    if replica.wrapped.is_none() {
        let inference = GrpcInferenceServiceServer::new(infer::Inference::new(Arc::clone(replica)))
            // What it is unpacked to is held to the same limit as what comes unpacked.
            .accept_compressed(CompressionEncoding::Gzip)
            .max_decoding_message_size(replica.settings.max_body)
            .max_encoding_message_size(usize::MAX);
        routes = routes.add_service(inference);
    }
    reflection::add_to(routes)
        .into_axum_router()
        .layer(from_fn_with_state(Arc::clone(replica), surround))
}

/// What surrounds every call: an id, a span, when it came, keys, rate, and an end for bodies that never
/// end. Health is open, like the probes.
async fn surround(
    State(replica): State<Arc<Replica>>,
    mut request: Request,
    next: Next,
) -> Response {
    let synthetic = is_synthetic(&replica, request.headers());
    request
        .extensions_mut()
        .insert(replica.service.arrival(synthetic));
    if request.uri().path().starts_with("/grpc.health.v1.Health/") {
        return next.run(request).await;
    }
    let peer = request.extensions().get::<Peer>();
    let allowed = check_key(&replica.settings.api_keys, request.headers())
        .and_then(|()| rate::check(&replica, request.headers(), peer));
    let (came, id) = (Instant::now(), request_id(&replica, request.headers()));
    let asks = request.uri().path() == INFER && !synthetic;
    let visit = asks.then(|| replica.ledger.arrive(came));
    let span = call_span(&request, &id, synthetic);
    let served = serve(&replica, allowed, synthetic, request, next);
    let mut response = match served.instrument(span).await {
        Ok(response) => response,
        Err(error) => {
            let status = status::of(&error);
            if asks {
                let code = format!("{:?}", status.code());
                replica.metrics.request(ROUTE, &code, came.elapsed());
            }
            status.into_http()
        }
    };
    if let Some(visit) = visit {
        visit.answered(status::as_http(&response));
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(headers::REQUEST_ID, id);
    }
    response
}

/// By the semantic conventions for calls; part of the caller's trace if it has one.
fn call_span(request: &Request, id: &str, synthetic: bool) -> Span {
    let name = request.uri().path().trim_start_matches('/');
    let (service, method) = name.rsplit_once('/').unwrap_or((name, ""));
    let span = tracing::info_span!(
        "request",
        otel.name = name,
        otel.kind = "server",
        rpc.system = "grpc",
        rpc.service = service,
        rpc.method = method,
        request_id = id,
        trace_id = tracing::field::Empty,
        preheat.synthetic = synthetic,
    );
    telemetry::continue_trace(&span, request.headers());
    span
}

async fn serve(
    replica: &Replica,
    allowed: Result<(), ServeError>,
    synthetic: bool,
    request: Request,
    next: Next,
) -> Result<Response, ServeError> {
    if let (Err(error), false) = (allowed, synthetic) {
        replica.metrics.rejected(error.code());
        return Err(error);
    }
    if !request.uri().path().starts_with(INFERENCE) {
        return Ok(next.run(request).await);
    }
    let limit = replica.settings.body_timeout + replica.settings.limits.request_timeout;
    let served = tokio::time::timeout(limit, next.run(request)).await;
    served.map_err(|_| ServeError::BodyTooSlow { after: limit })
}
