//! Whose conventions an error answer follows, and how it says what it has to say.

use serde_json::{Value, json};

use super::{OipError, OpenAiError, OpenAiErrorBody, Problem, TeiError};

/// A family of routes with a style of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// RFC 9457: everything that is no one else's.
    Problem,
    OpenAi,
    Tei,
    Oip,
}

/// Everything that an error answer may say; each family takes what it has room for.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    pub status: u16,
    /// The status in words.
    pub title: String,
    pub message: String,
    /// Stable, for programs.
    pub code: String,
    /// The class of error in text-embeddings-inference.
    pub tei_kind: &'static str,
    pub model: String,
    pub phase: Option<String>,
    pub eta_ms: Option<u64>,
    pub request_id: String,
}

impl Family {
    #[must_use]
    pub fn of(path: &str) -> Self {
        match path {
            "/" | "/predict" | "/rerank" | "/tokenize" | "/info" => Family::Tei,
            _ if path.starts_with("/v1/") => Family::OpenAi,
            _ if path == "/v2" || path.starts_with("/v2/") => Family::Oip,
            _ => Family::Problem,
        }
    }

    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Family::Problem => "application/problem+json",
            Family::OpenAi | Family::Tei | Family::Oip => "application/json",
        }
    }

    /// The body of the answer.
    #[must_use]
    pub fn body(self, said: Said) -> Value {
        match self {
            Family::Problem => value(&Problem {
                kind: "about:blank".into(),
                title: said.title,
                status: said.status,
                detail: said.message,
                code: said.code,
                model: Some(said.model),
                phase: said.phase,
                eta_ms: said.eta_ms,
                request_id: Some(said.request_id),
            }),
            Family::Oip => value(&OipError {
                error: said.message,
            }),
            Family::Tei => value(&TeiError {
                error: said.message,
                error_type: said.tei_kind.into(),
            }),
            Family::OpenAi => value(&OpenAiError {
                error: OpenAiErrorBody {
                    kind: open_ai_kind(said.status).into(),
                    message: said.message,
                    param: None,
                    code: Some(match said.code.as_str() {
                        "unknown_model" => "model_not_found".into(),
                        _ => said.code,
                    }),
                },
            }),
        }
    }
}

fn open_ai_kind(status: u16) -> &'static str {
    match status {
        401 | 403 => "authentication_error",
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    }
}

/// These shapes always serialise.
fn value(shape: &impl serde::Serialize) -> Value {
    serde_json::to_value(shape).unwrap_or_else(|_| json!({}))
}
