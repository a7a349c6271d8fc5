//! Why the gateway itself does not answer with a replica's answer, and how it says so: in the style
//! of the route's family, or as gRPC.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use preheat_api::headers;
use preheat_api::problem::{Family, Said};
use preheat_runtime::origin::Stranger;
use preheat_runtime::rates::Spent;
use preheat_runtime::replay::BodyFault;

use crate::data::Body;

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    #[error("no replica is warm: {detail}")]
    NothingWarm {
        code: &'static str,
        detail: String,
        retry_after: Duration,
    },
    #[error("every replica is busy: come back in {} ms", retry_after.as_millis())]
    Full {
        code: &'static str,
        retry_after: Duration,
    },
    /// Each stays open for as long as its client likes.
    #[error("as many streams are open as may be: close one, or come back later")]
    Streams,
    #[error("more than {rate} requests a second")]
    Rate { rate: f64, retry_after: Duration },
    /// What was waited for will not come by itself.
    #[error("the replica could not be started: {cause}; {remedy}")]
    StartFailed {
        cause: String,
        remedy: String,
        retry_after: Duration,
    },
    #[error("the gateway is draining; another one will serve this")]
    Draining,
    #[error("no answer within {} ms", limit.as_millis())]
    Deadline { limit: Duration },
    /// It broke twice, or could not be sent again.
    #[error("the replica was lost while it worked on this request")]
    ReplicaLost,
    #[error("Request for unknown model: '{0}' is not found")]
    UnknownModel(String),
    #[error("a key is required: send it as authorization: Bearer or x-api-key")]
    NoKey,
    #[error("this key is not accepted")]
    WrongKey,
    #[error("{}", of_a_stranger(*.0))]
    Stranger(Stranger),
    #[error(transparent)]
    Body(BodyFault),
    #[error("{0}")]
    Malformed(String),
    /// An order that does not fit how things stand.
    #[error("{0}")]
    Conflict(String),
    #[error("no such route")]
    NoRoute,
    #[error("no such service: {0}")]
    NoService(String),
}

fn of_a_stranger(stranger: Stranger) -> String {
    match stranger {
        Stranger::From(whose) => format!("requests from pages of {whose} are not taken"),
        Stranger::NotJson => "send content-type: application/json".into(),
    }
}

impl From<Spent> for Refusal {
    fn from(spent: Spent) -> Self {
        Refusal::Rate {
            rate: spent.rate,
            retry_after: spent.retry_after,
        }
    }
}

impl Refusal {
    /// Stable, for programs and for the metric.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::NothingWarm { code, .. } | Refusal::Full { code, .. } => code,
            Refusal::Streams => "streams",
            Refusal::Rate { .. } => "rate_limited",
            Refusal::StartFailed { .. } => "start_failed",
            Refusal::Draining => "draining",
            Refusal::Deadline { .. } => "deadline",
            Refusal::ReplicaLost => "replica_lost",
            Refusal::UnknownModel(_) => "unknown_model",
            Refusal::NoKey => "no_key",
            Refusal::WrongKey => "wrong_key",
            Refusal::Stranger(Stranger::From(_)) => "foreign",
            Refusal::Stranger(Stranger::NotJson) => "media_type",
            Refusal::Body(BodyFault::TooLarge { .. }) => "body_too_large",
            Refusal::Body(BodyFault::TooSlow { .. }) => "body_too_slow",
            Refusal::Body(BodyFault::Broken | BodyFault::Replaced) | Refusal::Malformed(_) => {
                "malformed"
            }
            Refusal::Conflict(_) => "conflict",
            Refusal::NoRoute => "no_route",
            Refusal::NoService(_) => "no_service",
        }
    }

    /// The request was in order; it is this gateway that does not serve it, or not now.
    #[must_use]
    pub fn turns_away(&self) -> bool {
        self.retry_after().is_some() || matches!(self, Refusal::NoKey | Refusal::WrongKey)
    }

    /// When it makes sense to come back.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Refusal::NothingWarm { retry_after, .. }
            | Refusal::Full { retry_after, .. }
            | Refusal::Rate { retry_after, .. }
            | Refusal::StartFailed { retry_after, .. } => Some(*retry_after),
            Refusal::Draining | Refusal::ReplicaLost | Refusal::Streams => {
                Some(Duration::from_secs(1))
            }
            _ => None,
        }
    }

    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Refusal::NothingWarm { .. }
            | Refusal::StartFailed { .. }
            | Refusal::Draining
            | Refusal::ReplicaLost => StatusCode::SERVICE_UNAVAILABLE,
            Refusal::Full { .. } | Refusal::Rate { .. } | Refusal::Streams => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Refusal::Deadline { .. } => StatusCode::GATEWAY_TIMEOUT,
            Refusal::UnknownModel(_) | Refusal::NoRoute | Refusal::NoService(_) => {
                StatusCode::NOT_FOUND
            }
            Refusal::Conflict(_) => StatusCode::CONFLICT,
            Refusal::NoKey => StatusCode::UNAUTHORIZED,
            Refusal::WrongKey | Refusal::Stranger(Stranger::From(_)) => StatusCode::FORBIDDEN,
            Refusal::Stranger(Stranger::NotJson) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Refusal::Body(BodyFault::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::Body(BodyFault::TooSlow { .. }) => StatusCode::REQUEST_TIMEOUT,
            Refusal::Body(_) | Refusal::Malformed(_) => StatusCode::BAD_REQUEST,
        }
    }

    /// The answer over HTTP.
    #[must_use]
    pub fn http(&self, family: Family, model: &str, request_id: &str) -> Response<Body> {
        let status = self.status();
        let body = family.body(self.said(status, model, request_id));
        let mut response = Response::new(Body::full(Bytes::from(body.to_string())));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        let content_type = HeaderValue::from_static(family.content_type());
        headers.insert(header::CONTENT_TYPE, content_type);
        self.add_retry_after(headers);
        if matches!(self, Refusal::NoKey) {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }

    /// The answer over gRPC: a head that is a trailer too.
    #[must_use]
    pub fn grpc(&self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        let content_type = HeaderValue::from_static("application/grpc");
        headers.insert(header::CONTENT_TYPE, content_type);
        headers.insert("grpc-status", self.grpc_status().into());
        if let Ok(message) = HeaderValue::from_str(&percent_encoded(&self.to_string())) {
            headers.insert("grpc-message", message);
        }
        self.add_retry_after(headers);
        response
    }

    fn said(&self, status: StatusCode, model: &str, request_id: &str) -> Said {
        let phase = match self {
            Refusal::NothingWarm { .. } => Some("starting".to_owned()),
            Refusal::StartFailed { .. } => Some("failed".to_owned()),
            Refusal::Draining => Some("draining".to_owned()),
            _ => None,
        };
        let eta = match self {
            Refusal::NothingWarm { retry_after, .. } => Some(whole_millis(*retry_after)),
            _ => None,
        };
        let model = match self {
            Refusal::UnknownModel(asked) => asked,
            _ => model,
        };
        Said {
            status: status.as_u16(),
            title: status.canonical_reason().unwrap_or("Error").into(),
            message: self.to_string(),
            code: self.code().into(),
            tei_kind: self.tei_kind(),
            model: model.to_owned(),
            phase,
            eta_ms: eta,
            request_id: request_id.to_owned(),
        }
    }

    fn tei_kind(&self) -> &'static str {
        match self {
            Refusal::Full { .. } | Refusal::Rate { .. } | Refusal::Streams => "Overloaded",
            Refusal::Deadline { .. } | Refusal::ReplicaLost => "Backend",
            Refusal::NothingWarm { .. } | Refusal::StartFailed { .. } | Refusal::Draining => {
                "Unhealthy"
            }
            _ => "Validation",
        }
    }

    fn grpc_status(&self) -> u16 {
        match self {
            Refusal::NothingWarm { .. }
            | Refusal::StartFailed { .. }
            | Refusal::Draining
            | Refusal::ReplicaLost => 14,
            Refusal::Full { .. } | Refusal::Rate { .. } | Refusal::Streams => 8,
            Refusal::Deadline { .. } => 4,
            Refusal::UnknownModel(_) | Refusal::NoService(_) => 5,
            Refusal::NoRoute => 12,
            Refusal::NoKey => 16,
            Refusal::WrongKey | Refusal::Stranger(_) => 7,
            Refusal::Body(BodyFault::TooLarge { .. }) => 8,
            Refusal::Conflict(_) => 9,
            Refusal::Body(_) | Refusal::Malformed(_) => 3,
        }
    }

    fn add_retry_after(&self, headers: &mut HeaderMap) {
        let Some(after) = self.retry_after() else {
            return;
        };
        // Whole seconds, and never 0: a client that reads 0 comes back at once.
        let seconds = after.as_secs_f64().ceil().max(1.0) as u64;
        headers.insert(header::RETRY_AFTER, seconds.into());
        headers.insert(headers::RETRY_AFTER_MS, whole_millis(after).into());
    }
}

fn whole_millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// As gRPC wants messages: printable ASCII, the rest in hexadecimal.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(byte as char),
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_when_to_come_back_and_never_at_once() {
        let refusal = Refusal::Full {
            code: "too_late",
            retry_after: Duration::from_millis(120),
        };
        let response = refusal.http(Family::of("/v1/embeddings"), "m", "id");
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["retry-after"], "1");
        assert_eq!(response.headers()["retry-after-ms"], "120");
        let grpc = refusal.grpc();
        assert_eq!(grpc.status(), 200);
        assert_eq!(grpc.headers()["grpc-status"], "8");
    }

    #[test]
    fn messages_are_printable() {
        assert_eq!(percent_encoded("a b%ü\n"), "a b%25%C3%BC%0A");
    }
}
