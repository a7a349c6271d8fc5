//! The interface describing itself: metrics, OpenAPI, a page for people.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{Html, IntoResponse, Response};
use preheat_api::openapi;
use preheat_runtime::metrics::Format;
use serde_json::Value;

use crate::replica::Replica;

pub async fn metrics(State(replica): State<Arc<Replica>>, headers: HeaderMap) -> Response {
    let format = Format::wanted(&headers);
    (
        [
            (header::CONTENT_TYPE, format.content_type()),
            (header::VARY, "accept"),
        ],
        format.page(replica.metrics_page()),
    )
        .into_response()
}

pub async fn openapi() -> Json<Value> {
    Json(openapi::document())
}

pub async fn docs() -> Html<String> {
    Html(openapi::page())
}
