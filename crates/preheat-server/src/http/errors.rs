//! The one place where errors become HTTP: a status, and a body in the style of the route's family.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use preheat_api::headers;
use preheat_api::problem::{OipError, OpenAiError, OpenAiErrorBody, Problem, TeiError};

use crate::serve_error::ServeError;

/// Whose conventions a route follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// RFC 9457: everything that is no one else's.
    Problem,
    OpenAi,
    Tei,
    Oip,
}

impl Family {
    pub fn of(path: &str) -> Self {
        match path {
            "/" | "/tokenize" | "/info" => Family::Tei,
            _ if path.starts_with("/v1/") => Family::OpenAi,
            _ if path == "/v2" || path.starts_with("/v2/") => Family::Oip,
            _ => Family::Problem,
        }
    }
}

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
    let mut response = (status, body(fault, family, status, model, request_id)).into_response();
    if family == Family::Problem {
        let problem = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, problem);
    }
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
        ServeError::NotReady { .. } | ServeError::Draining => StatusCode::SERVICE_UNAVAILABLE,
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
        ServeError::BodyTooLarge { .. } | ServeError::ImageTooLarge(_) => {
            StatusCode::PAYLOAD_TOO_LARGE
        }
        ServeError::BodyTooSlow { .. } => StatusCode::REQUEST_TIMEOUT,
        ServeError::Method => StatusCode::METHOD_NOT_ALLOWED,
        ServeError::Engine(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn body(
    fault: &Fault,
    family: Family,
    status: StatusCode,
    model: &str,
    request_id: &str,
) -> Response {
    let error = &fault.error;
    let message = error.to_string();
    match family {
        Family::Problem => Json(problem(error, status, model, request_id)).into_response(),
        Family::Oip => Json(OipError { error: message }).into_response(),
        Family::Tei => {
            let kind = match error {
                ServeError::Full { .. } | ServeError::Rate { .. } => "Overloaded",
                ServeError::Engine(_) | ServeError::Deadline { .. } => "Backend",
                ServeError::NotReady { .. } | ServeError::Draining => "Unhealthy",
                ServeError::TooLong { .. } => "Tokenizer",
                _ => "Validation",
            };
            Json(TeiError {
                error: message,
                error_type: kind.into(),
            })
            .into_response()
        }
        Family::OpenAi => {
            let kind = match status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "authentication_error",
                StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
                s if s.is_server_error() => "server_error",
                _ => "invalid_request_error",
            };
            let code = match error {
                ServeError::UnknownModel(_) => "model_not_found",
                _ => error.code(),
            };
            let error = OpenAiErrorBody {
                message,
                kind: kind.into(),
                param: None,
                code: Some(code.into()),
            };
            Json(OpenAiError { error }).into_response()
        }
    }
}

fn problem(error: &ServeError, status: StatusCode, model: &str, request_id: &str) -> Problem {
    let (phase, eta) = match error {
        ServeError::NotReady { phase, eta, .. } => (Some((*phase).to_owned()), *eta),
        ServeError::Draining => (Some("draining".to_owned()), None),
        _ => (None, None),
    };
    let model = match error {
        ServeError::UnknownModel(asked) => asked.clone(),
        _ => model.to_owned(),
    };
    Problem {
        kind: "about:blank".into(),
        title: status.canonical_reason().unwrap_or("Error").into(),
        status: status.as_u16(),
        detail: error.to_string(),
        code: error.code().into(),
        model: Some(model),
        phase,
        eta_ms: eta.map(|eta| u64::try_from(eta.as_millis()).unwrap_or(u64::MAX)),
        request_id: Some(request_id.to_owned()),
    }
}
