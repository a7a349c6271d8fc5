//! What answers of all families have in common: timing, and vectors cut to a wished length.

use std::time::Duration;

use axum::Json;
use axum::http::HeaderValue;
use axum::response::{IntoResponse, Response};
use preheat_api::headers;
use serde::Serialize;

use crate::clock::millis;
use crate::sample::of_length_one;
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

/// The vectors, cut to `dimensions` where asked for, then brought to length one if they are to be
/// `scaled`.
///
/// # Errors
/// When the model's vectors are shorter than that.
pub fn vectors(
    embedded: &Embedded,
    dimensions: Option<usize>,
    scaled: bool,
) -> Result<Vec<Vec<f32>>, ServeError> {
    let dim = embedded.matrix.cols;
    let wanted = match dimensions {
        Some(0) => {
            let why = "dimensions must be at least 1";
            return Err(ServeError::Malformed(why.into()));
        }
        Some(wanted) if wanted > dim => {
            let why = format!("dimensions is {wanted}, the model has {dim}");
            return Err(ServeError::Malformed(why));
        }
        wanted => wanted.unwrap_or(dim),
    };
    let row = |row: &[f32]| match scaled {
        true => of_length_one(&row[..wanted]),
        false => row[..wanted].to_vec(),
    };
    Ok(embedded.matrix.iter().map(row).collect())
}
