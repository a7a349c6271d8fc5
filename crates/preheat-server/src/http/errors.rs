//! The one place where errors become HTTP: a status, and a body in the style of the route's family.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use preheat_api::headers;
use preheat_api::problem::{Family, Said};

use crate::serve_error::ServeError;

/// An error on its way out. It is rendered by [`render`], which knows the request.
#[derive(Debug, Clone)]
pub struct Fault {
    pub error: ServeError,
    /// Where the path alone does not say it.
    pub family: Option<Family>,
}

impl Fault {
    pub fn tei(error: ServeError) -> Self {
        Fault {
            error,
            family: Some(Family::Tei),
        }
    }
}

impl From<ServeError> for Fault {
    fn from(error: ServeError) -> Self {
        Fault {
            error,
            family: None,
        }
    }
}

/// Carries the fault in the extensions; a middleware that knows the request renders it.
impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The answer to a request that failed.
pub fn render(fault: &Fault, path: &str, model: &str, request_id: &str) -> Response {
    let family = fault.family.unwrap_or_else(|| Family::of(path));
    let status = status(&fault.error, family);
    let body = family.body(said(&fault.error, status, model, request_id));
    let mut response = (status, Json(body)).into_response();
    let content_type = HeaderValue::from_static(family.content_type());
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    if let Some(after) = fault.error.retry_after() {
        // Whole seconds, and never 0: a client that reads 0 comes back at once.
        let seconds = after.as_secs_f64().ceil().max(1.0) as u64;
        let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, seconds.into());
        response
            .headers_mut()
            .insert(headers::RETRY_AFTER_MS, millis.into());
    }
    if fault.error.turns_away() {
        let code = HeaderValue::from_static(fault.error.code());
        response.headers_mut().insert(headers::REFUSED, code);
    }
    if matches!(fault.error, ServeError::ServerLost) {
        let yes = HeaderValue::from_static("1");
        response.headers_mut().insert(headers::LOST, yes);
    }
    if matches!(fault.error, ServeError::NoKey) {
        let bearer = HeaderValue::from_static("Bearer");
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, bearer);
    }
    response
}

fn status(error: &ServeError, family: Family) -> StatusCode {
    match error {
        ServeError::NotReady { .. } | ServeError::Draining | ServeError::ServerLost => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        ServeError::Full { .. } | ServeError::Rate { .. } => StatusCode::TOO_MANY_REQUESTS,
        ServeError::Deadline { .. } => StatusCode::GATEWAY_TIMEOUT,
        ServeError::Malformed(_)
        | ServeError::TooManyInputs { .. }
        | ServeError::NoInput
        | ServeError::NotWarmed { .. }
        | ServeError::TooLong { .. } => match family {
            Family::Tei => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::BAD_REQUEST,
        },
        ServeError::MediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ServeError::UnknownModel(_) | ServeError::WrongTask { .. } | ServeError::NoRoute => {
            StatusCode::NOT_FOUND
        }
        ServeError::NoKey => StatusCode::UNAUTHORIZED,
        ServeError::WrongKey | ServeError::Foreign(_) => StatusCode::FORBIDDEN,
        ServeError::BodyTooLarge { .. }
        | ServeError::ImageTooLarge(_)
        | ServeError::TextsTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        ServeError::BodyTooSlow { .. } => StatusCode::REQUEST_TIMEOUT,
        ServeError::Method => StatusCode::METHOD_NOT_ALLOWED,
        ServeError::Engine(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn said(error: &ServeError, status: StatusCode, model: &str, request_id: &str) -> Said {
    let (phase, eta) = match error {
        ServeError::NotReady { phase, eta, .. } => (Some((*phase).to_owned()), *eta),
        ServeError::Draining => (Some("draining".to_owned()), None),
        _ => (None, None),
    };
    let model = match error {
        ServeError::UnknownModel(asked) => asked.clone(),
        _ => model.to_owned(),
    };
    Said {
        status: status.as_u16(),
        title: status.canonical_reason().unwrap_or("Error").into(),
        message: error.to_string(),
        code: error.code().into(),
        tei_kind: tei_kind(error),
        model,
        phase,
        eta_ms: eta.map(|eta| u64::try_from(eta.as_millis()).unwrap_or(u64::MAX)),
        request_id: request_id.to_owned(),
    }
}

fn tei_kind(error: &ServeError) -> &'static str {
    match error {
        ServeError::Full { .. } | ServeError::Rate { .. } => "Overloaded",
        ServeError::Engine(_) | ServeError::ServerLost | ServeError::Deadline { .. } => "Backend",
        ServeError::NotReady { .. } | ServeError::Draining => "Unhealthy",
        ServeError::TooLong { .. } => "Tokenizer",
        _ => "Validation",
    }
}
