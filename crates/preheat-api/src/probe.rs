//! The plan of `preheat probe`: what is sent to a model server that is not ours.

use serde::{Deserialize, Serialize};

use crate::config::CaseConfig;
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
    /// Tensors and images are for our own engines alone.
    #[serde(alias = "cases")]
    pub case: Vec<CaseConfig>,
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
