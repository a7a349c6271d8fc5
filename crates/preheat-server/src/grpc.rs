//! The gRPC front door: Open Inference Protocol, health, reflection.

mod health;
mod infer;
mod status;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use preheat_api::grpc::DESCRIPTORS;
use preheat_api::grpc::inference::grpc_inference_service_server::GrpcInferenceServiceServer;
use tonic::service::Routes;

use crate::http::layers::{check_key, is_synthetic};
use crate::replica::Replica;

/// All services of the gRPC front door.
pub fn router(replica: &Arc<Replica>) -> Router {
    let inference = GrpcInferenceServiceServer::new(infer::Inference::new(Arc::clone(replica)))
        .max_decoding_message_size(replica.settings.max_body)
        .max_encoding_message_size(usize::MAX);
    let mut routes = Routes::new(inference).add_service(health::service(replica));
    // The descriptors are part of this build: they are always readable.
    if let Ok(reflection) = reflection().build_v1() {
        routes = routes.add_service(reflection);
    }
    if let Ok(reflection) = reflection().build_v1alpha() {
        routes = routes.add_service(reflection);
    }
    routes
        .into_axum_router()
        .layer(from_fn_with_state(Arc::clone(replica), keys))
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

/// Health is open, like the probes; the rest needs a key where keys are set.
async fn keys(State(replica): State<Arc<Replica>>, request: Request, next: Next) -> Response {
    let open = request.uri().path().starts_with("/grpc.health.v1.Health/");
    if open || is_synthetic(&replica, request.headers()) {
        return next.run(request).await;
    }
    match check_key(&replica.settings.api_keys, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => status::of(&error).into_http(),
    }
}
