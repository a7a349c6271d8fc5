//! The gRPC front door: Open Inference Protocol, health, reflection.

mod health;
mod infer;
mod reflection;
mod status;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use preheat_api::grpc::inference::grpc_inference_service_server::GrpcInferenceServiceServer;
use tonic::service::Routes;

use preheat_runtime::Peer;
use tokio::time::Instant;

use crate::http::layers::{check_key, is_synthetic};
use crate::http::rate;
use crate::replica::Replica;
use crate::serve_error::ServeError;

/// Unary calls, which end when their body has come and their deadline has passed.
const INFERENCE: &str = "/inference.GRPCInferenceService/";

/// The call that users come for.
const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";

/// All services of the gRPC front door.
pub fn router(replica: &Arc<Replica>) -> Router {
    let mut routes = Routes::default().add_service(health::service(replica));
    // A wrapped server speaks HTTP; here it only says how it is.
    if replica.wrapped.is_none() {
        let inference = GrpcInferenceServiceServer::new(infer::Inference::new(Arc::clone(replica)))
            .max_decoding_message_size(replica.settings.max_body)
            .max_encoding_message_size(usize::MAX);
        routes = routes.add_service(inference);
    }
    reflection::add_to(routes)
        .into_axum_router()
        .layer(from_fn_with_state(Arc::clone(replica), surround))
}

/// What surrounds every call: when it came, keys, rate, and an end for bodies that never end.
/// Health is open, like the probes.
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
    let asks = request.uri().path() == INFER && !synthetic;
    let visit = asks.then(|| replica.ledger.arrive(Instant::now()));
    let response = serve(&replica, allowed, synthetic, request, next).await;
    if let Some(visit) = visit {
        visit.answered(status::as_http(&response));
    }
    response
}

async fn serve(
    replica: &Replica,
    allowed: Result<(), ServeError>,
    synthetic: bool,
    request: Request,
    next: Next,
) -> Response {
    if let (Err(error), false) = (allowed, synthetic) {
        replica.metrics.rejected(error.code());
        return status::of(&error).into_http();
    }
    if !request.uri().path().starts_with(INFERENCE) {
        return next.run(request).await;
    }
    let limit = replica.settings.body_timeout + replica.settings.limits.request_timeout;
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => status::of(&ServeError::BodyTooSlow { after: limit }).into_http(),
    }
}
