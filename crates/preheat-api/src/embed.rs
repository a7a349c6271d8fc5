//! `POST /embed` in its two forms.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::tei::EmbedRequest;

/// What `/embed` accepts: a bare list of texts, or the object of text-embeddings-inference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum EmbedBody {
    Texts(Vec<String>),
    Object(EmbedRequest),
}

/// Answer to the list form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EmbedAnswer {
    /// One vector for each text, in order.
    pub embeddings: Vec<Vec<f32>>,
}

/// `/health` and its other names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    pub status: String,
}
