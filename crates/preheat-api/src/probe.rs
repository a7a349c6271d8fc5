//! The plan of `preheat probe`: what is sent to a model server that is not ours.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::{Expect, Generate};
use crate::quantity::Span;

/// A plan as written. Cases stand under `[[case]]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProbePlan {
    /// `openai`, `oip`, `tei` or `preheat`; without it the path tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// Where requests go, unless a case says otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What `{{model}}` stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Requests of each case after its first.
    pub rounds: usize,
    /// For everything.
    pub timeout: Span,
    /// A request on a fresh connection against steady, once warm.
    pub max_ratio: f64,
    /// Differences that count as noise.
    pub slack: Span,
    #[serde(alias = "cases")]
    pub case: Vec<ProbeCase>,
}

/// One case: exactly one of `texts`, `generate`, `file` and `body`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProbeCase {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub texts: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generate: Option<Generate>,
    /// JSON bodies, one a line, as they were recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Lines taken from the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<usize>,
    /// A JSON body. `{{texts}}`, `{{text}}`, `{{count}}` and `{{model}}` are filled in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The status that counts as an answer; 200 if none is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    pub expect: Expect,
}

impl Default for ProbePlan {
    fn default() -> Self {
        ProbePlan {
            preset: None,
            path: None,
            model: None,
            rounds: 20,
            timeout: Span::secs(60),
            max_ratio: 1.5,
            slack: Span::millis(5),
            case: Vec::new(),
        }
    }
}
