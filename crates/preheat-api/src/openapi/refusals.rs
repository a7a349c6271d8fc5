//! How requests are refused: the codes by what a request has to pass, and each family's style.

use std::collections::BTreeSet;

use super::route::{Answer, Content, content, json};
use crate::headers;
use crate::problem::{OipError, OpenAiError, Problem, TeiError};

/// Where keys are configured.
pub(super) const KEY: &[u16] = &[401, 403];
/// A request that names a model.
pub(super) const MODEL: &[u16] = &[404];
/// A route that only models of one task serve.
pub(super) const TASK: &[u16] = &[404];
pub(super) const BODY: &[u16] = &[400, 408, 413, 415];
/// As [`BODY`], in the family that calls a malformed body unprocessable.
pub(super) const TEI_BODY: &[u16] = &[408, 413, 415, 422];
pub(super) const RATE: &[u16] = &[429];
/// Admission, engine, deadline.
pub(super) const RUN: &[u16] = &[429, 500, 504];
/// What the fleet of a gateway cannot do as things stand.
pub(super) const CONFLICT: &[u16] = &[409];
/// Not ready, or draining.
pub(super) const GATE: &[u16] = &[503];

/// One code in the style that a route gives it.
pub(super) struct Refusal {
    pub(super) status: u16,
    family: Family,
}

/// Whose conventions an error follows.
#[derive(Clone, Copy)]
pub(super) struct Family {
    name: &'static str,
    content: &'static [Content],
}

const PROBLEM: Family = Family {
    name: "Problem",
    content: &[content::<Problem>("application/problem+json")],
};
const OPEN_AI: Family = Family {
    name: "OpenAi",
    content: &[json::<OpenAiError>()],
};
const TEI: Family = Family {
    name: "Tei",
    content: &[json::<TeiError>()],
};
const OIP: Family = Family {
    name: "Oip",
    content: &[json::<OipError>()],
};
const EITHER: Family = Family {
    name: "ProblemOrTei",
    content: &[PROBLEM.content[0], TEI.content[0]],
};

/// The family of a path, for a code.
pub(super) type FamilyOf = fn(&str, u16) -> Family;

/// What this path may refuse with, in order and each code once.
pub(super) fn of(path: &str, groups: &[&[u16]], family: FamilyOf) -> Vec<Refusal> {
    let codes: BTreeSet<u16> = groups.iter().copied().flatten().copied().collect();
    let refusal = |status| Refusal {
        status,
        family: family(path, status),
    };
    codes.into_iter().map(refusal).collect()
}

/// Where clients of other servers are at home, their conventions hold.
pub(super) fn by_path(path: &str, status: u16) -> Family {
    match path {
        // Which of its two forms it was asked in is known only from the body.
        "/embed" => match status {
            422 => TEI,
            404 | 429 | 500.. => EITHER,
            _ => PROBLEM,
        },
        "/" | "/predict" | "/rerank" | "/tokenize" | "/info" => TEI,
        _ if path.starts_with("/v1/") => OPEN_AI,
        _ if path == "/v2" || path.starts_with("/v2/") => OIP,
        _ => PROBLEM,
    }
}

/// Our own everywhere.
pub(super) fn problem(_path: &str, _status: u16) -> Family {
    PROBLEM
}

impl Refusal {
    /// Under which it stands among the document's components.
    pub(super) fn name(&self) -> String {
        format!("{}{}", self.family.name, self.status)
    }

    pub(super) fn answer(&self) -> Answer {
        Answer {
            status: self.status,
            meaning: meaning(self.status),
            content: self.family.content,
            headers: added_headers(self.status),
        }
    }
}

fn meaning(status: u16) -> &'static str {
    match status {
        400 | 422 => "The request is malformed; the message says where.",
        401 => "A key is required.",
        403 => "This key is not accepted.",
        404 => "No such model, or not a task of this one.",
        409 => "Not as things stand; the message says why.",
        408 => "The body took too long to arrive.",
        413 => "The body, or the image in it, is too large.",
        415 => "The body is of another kind, by its content type, than the route takes.",
        429 => "Full, or over the rate.",
        500 => "The model failed to run the batch.",
        503 => "Not ready, or draining.",
        _ => "No answer before the deadline.",
    }
}

fn added_headers(status: u16) -> &'static [&'static str] {
    match status {
        401 => &["www-authenticate"],
        429 | 503 => &["retry-after", headers::RETRY_AFTER_MS],
        _ => &[],
    }
}
