//! The HTTP front door: routes, and what surrounds every one of them.

mod answer;
mod call;
mod classify;
mod embed;
mod errors;
pub mod layers;
pub mod meta;
mod named;
pub mod oip;
mod openai;
mod predict;
mod probes;
pub mod rate;
mod tei;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use preheat_runtime::unread::Settled;

use crate::replica::Replica;
use crate::wrapped::forward;
pub use errors::Fault;
pub use named::{Named, plain_names};
pub use probes::{model_routes as model_probe_routes, routes as probe_routes};

/// All routes of the HTTP front door.
pub fn router(replica: &Arc<Replica>) -> Router {
    let routes = match &replica.wrapped {
        Some(_) => server_routes(replica),
        None => model_routes(replica),
    };
    let routes = routes
        .layer(from_fn_with_state(
            Arc::clone(replica),
            layers::render_faults,
        ))
        .layer(from_fn_with_state(Arc::clone(replica), layers::surround))
        .layer(Settled)
        .with_state(Arc::clone(replica));
    let routes = plain_names(routes, &replica.service.name);
    match replica.settings.cors_origins.layer() {
        Some(cors) => routes.layer(cors),
        None => routes,
    }
}

/// Before a wrapped server only the probes are ours: its routes, whatever they are, stay its own.
fn server_routes(replica: &Arc<Replica>) -> Router<Arc<Replica>> {
    let data = Router::new()
        .fallback(forward::forward)
        .layer(from_fn_with_state(Arc::clone(replica), rate::limit))
        .layer(from_fn_with_state(Arc::clone(replica), layers::keys));
    probes::routes().fallback_service(data.with_state(Arc::clone(replica)))
}

fn model_routes(replica: &Arc<Replica>) -> Router<Arc<Replica>> {
    let open = probes::routes().merge(probes::model_routes()).merge(
        Router::new()
            .route("/openapi.json", get(meta::openapi))
            .route("/docs", get(meta::docs)),
    );
    let data = Router::new()
        .route("/", post(tei::any_task))
        .route("/embed", post(embed::embed))
        .route("/classify/image", post(classify::image))
        .route("/predict", post(predict::predict))
        .route("/rerank", post(predict::rerank))
        .route("/tokenize", post(tei::tokenize))
        .route("/v1/embeddings", post(openai::embeddings))
        .route("/v2/models/{model}/infer", post(oip::infer))
        .route(
            "/v2/models/{model}/versions/{version}/infer",
            post(oip::infer),
        )
        .layer(from_fn_with_state(Arc::clone(replica), rate::limit))
        .route("/info", get(tei::info))
        .route("/v1/models", get(openai::models))
        .route("/v1/models/{model}", get(openai::model))
        .route("/v2", get(oip::server))
        .route("/v2/models/{model}", get(oip::model))
        .route("/v2/models/{model}/versions/{version}", get(oip::model))
        .route("/v2/models/{model}/config", get(oip::config))
        .route(
            "/v2/models/{model}/versions/{version}/config",
            get(oip::config),
        )
        .route("/v2/models/{model}/stats", get(oip::stats))
        .route(
            "/v2/models/{model}/versions/{version}/stats",
            get(oip::stats),
        )
        .route("/v2/models/stats", get(oip::all_stats))
        .route("/metrics", get(meta::metrics))
        .layer(from_fn_with_state(Arc::clone(replica), layers::keys));
    open.merge(data)
        .fallback(|| async { Fault::from(crate::serve_error::ServeError::NoRoute) })
        .method_not_allowed_fallback(|| async {
            Fault::from(crate::serve_error::ServeError::Method)
        })
}
