//! The interface describing itself: metrics, OpenAPI, a page for people.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{Html, IntoResponse, Response};
use preheat_api::openapi;
use preheat_runtime::metrics;
use serde_json::Value;

use crate::replica::Replica;

pub async fn metrics(State(replica): State<Arc<Replica>>, headers: HeaderMap) -> Response {
    metrics::answer(&headers, replica.metrics_page()).into_response()
}

pub async fn openapi() -> Json<Value> {
    Json(openapi::document())
}

pub async fn docs() -> Html<String> {
    Html(openapi::page())
}
