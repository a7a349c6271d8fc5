//! Why a request was not answered. Each family of routes says it in its own style; see
//! [`http::errors`](crate::http) and [`grpc`](crate::grpc).

use std::time::Duration;

use preheat_runtime::body::BodyError;

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ServeError {
    #[error("the replica is not ready: {detail}")]
    NotReady {
        phase: &'static str,
        detail: String,
        eta: Option<Duration>,
    },
    #[error("the replica is draining; another one will serve this")]
    Draining,
    #[error("{reason}: come back in {} ms", retry_after.as_millis())]
    Full {
        reason: &'static str,
        retry_after: Duration,
    },
    #[error("more than {rate} requests a second")]
    Rate { rate: f64, retry_after: Duration },
    #[error("no answer within {} ms", limit.as_millis())]
    Deadline { limit: Duration },
    #[error("{0}")]
    Malformed(String),
    #[error("the body is not of a kind that this route takes: send {0}")]
    MediaType(&'static str),
    #[error("{got} inputs in one request, at most {limit} are taken: send several requests")]
    TooManyInputs { got: usize, limit: usize },
    #[error("the request holds no input")]
    NoInput,
    #[error("an input has {got} tokens, the model takes {limit}: shorten it or allow truncation")]
    TooLong { got: usize, limit: usize },
    #[error(
        "a row has {got} elements, more than the {limit} that were warmed: add a warm-up case of \
         this shape"
    )]
    NotWarmed { got: usize, limit: usize },
    #[error("this model's task is {task}, which this route does not serve")]
    WrongTask { task: &'static str },
    #[error("{0}")]
    ImageTooLarge(String),
    #[error(
        "texts of {got} bytes, at most {limit} are told token by token: send them in several requests"
    )]
    TextsTooLarge { got: usize, limit: usize },
    #[error("Request for unknown model: '{0}' is not found")]
    UnknownModel(String),
    #[error("a key is required: send it as authorization: Bearer or x-api-key")]
    NoKey,
    #[error("this key is not accepted")]
    WrongKey,
    #[error("the body has more than {limit} bytes")]
    BodyTooLarge { limit: usize },
    #[error("the body did not arrive within {} ms", after.as_millis())]
    BodyTooSlow { after: Duration },
    #[error("this interface answers no {0}: open it under its own address")]
    Foreign(&'static str),
    #[error("no such route")]
    NoRoute,
    #[error("this route does not take this method")]
    Method,
    /// The engine's fault; what exactly is in the log, not in the answer.
    #[error("the model failed to run this batch")]
    Engine(String),
    /// A wrapped server broke off; it may have begun.
    #[error("the server was lost while it worked on this request")]
    ServerLost,
}

impl ServeError {
    /// Stable, for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            ServeError::NotReady { .. } => "not_ready",
            ServeError::Draining => "draining",
            ServeError::Full { reason, .. } => reason,
            ServeError::Rate { .. } => "rate_limited",
            ServeError::Deadline { .. } => "deadline",
            ServeError::Malformed(_) => "malformed",
            ServeError::MediaType(_) => "media_type",
            ServeError::TooManyInputs { .. } => "too_many_inputs",
            ServeError::NoInput => "no_input",
            ServeError::TooLong { .. } => "too_long",
            ServeError::NotWarmed { .. } => "not_warmed",
            ServeError::WrongTask { .. } => "wrong_task",
            ServeError::ImageTooLarge(_) => "image_too_large",
            ServeError::TextsTooLarge { .. } => "texts_too_large",
            ServeError::UnknownModel(_) => "unknown_model",
            ServeError::NoKey => "no_key",
            ServeError::WrongKey => "wrong_key",
            ServeError::BodyTooLarge { .. } => "body_too_large",
            ServeError::BodyTooSlow { .. } => "body_too_slow",
            ServeError::Foreign(_) => "foreign",
            ServeError::NoRoute => "no_route",
            ServeError::Method => "method",
            ServeError::Engine(_) => "engine",
            ServeError::ServerLost => "server_lost",
        }
    }

    /// The request was in order; it is this replica that does not serve it, or not now.
    #[must_use]
    pub const fn turns_away(&self) -> bool {
        matches!(
            self,
            ServeError::NotReady { .. }
                | ServeError::Draining
                | ServeError::Full { .. }
                | ServeError::Rate { .. }
                | ServeError::NoKey
                | ServeError::WrongKey
        )
    }

    /// When it makes sense to come back.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            ServeError::NotReady { eta, .. } => Some(eta.unwrap_or(Duration::from_secs(1))),
            ServeError::Draining | ServeError::ServerLost => Some(Duration::from_secs(1)),
            ServeError::Full { retry_after, .. } | ServeError::Rate { retry_after, .. } => {
                Some(*retry_after)
            }
            _ => None,
        }
    }
}

impl From<BodyError> for ServeError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge { limit } => ServeError::BodyTooLarge { limit },
            BodyError::TooSlow { after } => ServeError::BodyTooSlow { after },
            BodyError::Broken(_) => ServeError::Malformed("the body broke off".into()),
        }
    }
}
