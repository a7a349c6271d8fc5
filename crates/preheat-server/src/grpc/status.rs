//! The one place where errors become gRPC statuses.

use axum::http::StatusCode;
use axum::response::Response;
use preheat_api::headers;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use crate::serve_error::ServeError;

pub fn of(error: &ServeError) -> Status {
    let code = match error {
        ServeError::NotReady { .. } | ServeError::Draining => Code::Unavailable,
        ServeError::Full { .. } | ServeError::Rate { .. } => Code::ResourceExhausted,
        ServeError::Deadline { .. } | ServeError::BodyTooSlow { .. } => Code::DeadlineExceeded,
        ServeError::UnknownModel(_) => Code::NotFound,
        ServeError::NoKey => Code::Unauthenticated,
        ServeError::WrongKey | ServeError::Foreign(_) => Code::PermissionDenied,
        ServeError::NoRoute | ServeError::Method | ServeError::WrongTask { .. } => {
            Code::Unimplemented
        }
        ServeError::Engine(_) => Code::Internal,
        ServeError::ServerLost => Code::Unavailable,
        ServeError::Malformed(_)
        | ServeError::MediaType(_)
        | ServeError::TooManyInputs { .. }
        | ServeError::NoInput
        | ServeError::NotWarmed { .. }
        | ServeError::ImageTooLarge(_)
        | ServeError::TextsTooLarge { .. }
        | ServeError::TooLong { .. }
        | ServeError::BodyTooLarge { .. } => Code::InvalidArgument,
    };
    let mut status = Status::new(code, error.to_string());
    if let Some(after) = error.retry_after() {
        let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        status
            .metadata_mut()
            .insert(headers::RETRY_AFTER_MS, MetadataValue::from(millis));
    }
    if error.turns_away() {
        let code = MetadataValue::from_static(error.code());
        status.metadata_mut().insert(headers::REFUSED, code);
    }
    status
}

/// How an answer would read on HTTP. A refused call carries its status in the head.
pub fn as_http(response: &Response) -> StatusCode {
    let code = response
        .headers()
        .get("grpc-status")
        .map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()));
    match code {
        Code::Ok => response.status(),
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound | Code::InvalidArgument | Code::Unimplemented => StatusCode::BAD_REQUEST,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
