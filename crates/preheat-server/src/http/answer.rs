//! What answers of all families have in common: timing, and vectors cut to a wished length.

use std::time::Duration;

use axum::Json;
use axum::http::HeaderValue;
use axum::response::{IntoResponse, Response};
use preheat_api::headers;
use serde::Serialize;

use crate::clock::millis;
use crate::serve_error::ServeError;
use crate::service::{Embedded, Times};

/// Passing an open gate takes far less.
const NOTICEABLE: Duration = Duration::from_millis(1);

/// A JSON answer that says where its time went.
pub fn timed<T: Serialize>(body: T, times: &Times) -> Response {
    with_timing(Json(body).into_response(), times)
}

pub fn with_timing(mut response: Response, times: &Times) -> Response {
    let stages = [
        // Only a request that set off the start of a lazy model has waited for it.
        ("start", times.started, times.started > NOTICEABLE),
        ("prepare", times.prepared, true),
        ("queue", times.queued, true),
        ("inference", times.inference, true),
    ];
    let shown = stages.iter().filter(|(_, _, shown)| *shown);
    let timing: Vec<_> = shown
        .map(|(stage, took, _)| format!("{stage};dur={}", millis(*took)))
        .collect();
    let timing = timing.join(", ");
    if let Ok(value) = HeaderValue::from_str(&timing) {
        response.headers_mut().insert(headers::SERVER_TIMING, value);
    }
    response
}

/// The vectors, cut to `dimensions` and scaled to length one again where asked for.
///
/// # Errors
/// When the model's vectors are shorter than that.
pub fn vectors(
    embedded: &Embedded,
    dimensions: Option<usize>,
) -> Result<Vec<Vec<f32>>, ServeError> {
    let dim = embedded.matrix.cols;
    match dimensions {
        None => Ok(embedded.matrix.iter().map(<[f32]>::to_vec).collect()),
        Some(0) => Err(ServeError::Malformed(
            "dimensions must be at least 1".into(),
        )),
        Some(wanted) if wanted > dim => Err(ServeError::Malformed(format!(
            "dimensions is {wanted}, the model has {dim}"
        ))),
        Some(wanted) => Ok(embedded
            .matrix
            .iter()
            .map(|row| shortened(&row[..wanted]))
            .collect()),
    }
}

fn shortened(row: &[f32]) -> Vec<f32> {
    let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
    let scale = if length > 0.0 { 1.0 / length } else { 1.0 };
    row.iter().map(|x| x * scale).collect()
}
