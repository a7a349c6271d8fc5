//! Answers of classifiers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One label and how much the model holds it to be right.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Score {
    pub label: String,
    /// Place of the label among the model's outputs.
    pub index: usize,
    pub score: f32,
}
