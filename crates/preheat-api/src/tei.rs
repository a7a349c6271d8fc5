//! Bodies of text-embeddings-inference.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One text or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "inputs are a text or a list of texts")]
pub enum Texts {
    One(String),
    Many(Vec<String>),
}

impl Texts {
    #[must_use]
    pub fn into_vec(self) -> Vec<String> {
        match self {
            Texts::One(text) => vec![text],
            Texts::Many(texts) => texts,
        }
    }
}

/// Texts, or token ids that are used as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "inputs are a text, a list of texts, a list of token ids or a list of such lists"
)]
pub enum EmbedInputs {
    Text(String),
    Texts(Vec<String>),
    Tokens(Vec<u32>),
    TokenLists(Vec<Vec<u32>>),
}

/// The end at which a text is cut; `Left` is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum TruncationDirection {
    #[default]
    #[serde(alias = "right")]
    Right,
    // Refused: another answer than the one asked for would look like it.
    #[serde(alias = "left")]
    Left,
}

fn yes() -> bool {
    true
}

/// Object form of `/embed`. The answer is a bare list of vectors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EmbedRequest {
    pub inputs: EmbedInputs,
    /// Cut texts that are too long; false: refuse them. Null: cut.
    #[serde(default)]
    pub truncate: Option<bool>,
    #[serde(default)]
    pub truncation_direction: Option<TruncationDirection>,
    /// Which of the model's prompts stands in front of every text; null: its default one, if it has one.
    #[serde(default)]
    pub prompt_name: Option<String>,
    /// Scale vectors to length one where the model does not. False is refused where it does.
    #[serde(default = "yes")]
    pub normalize: bool,
    /// Keep only the first so many numbers of each vector.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub dimensions: Option<usize>,
}

/// What `/predict` takes: a text, a list of one text or of two that belong together, or a list of
/// such lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "inputs are a text, a list of one text or two, or a list of such lists"
)]
pub enum PredictInputs {
    One(String),
    Together(Vec<String>),
    Many(Vec<Vec<String>>),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PredictRequest {
    pub inputs: PredictInputs,
    /// Cut texts that are too long; false: refuse them. Null: cut.
    #[serde(default)]
    pub truncate: Option<bool>,
    #[serde(default)]
    pub truncation_direction: Option<TruncationDirection>,
    /// The model's own numbers; false: as shares of one, or, of a single label, from 0 to 1.
    #[serde(default)]
    pub raw_scores: bool,
}

/// One label and its score; they come best first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Prediction {
    pub score: f32,
    pub label: String,
}

/// A list of predictions for one input, a list of such lists for several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Predictions {
    One(Vec<Prediction>),
    Many(Vec<Vec<Prediction>>),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RerankRequest {
    pub query: String,
    pub texts: Vec<String>,
    /// Cut texts that are too long; false: refuse them. Null: cut.
    #[serde(default)]
    pub truncate: Option<bool>,
    #[serde(default)]
    pub truncation_direction: Option<TruncationDirection>,
    /// The model's own numbers; false: from 0 to 1.
    #[serde(default)]
    pub raw_scores: bool,
    #[serde(default)]
    pub return_text: bool,
}

/// `/rerank` answers these, best first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rank {
    /// Place of the text in the request.
    pub index: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    pub score: f32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TokenizeRequest {
    pub inputs: Texts,
    #[serde(default = "yes")]
    pub add_special_tokens: bool,
    /// As for `/embed`. Tokens of the prompt are told, too, and places are counted from its beginning.
    #[serde(default)]
    pub prompt_name: Option<String>,
}

/// `/tokenize` answers a list of these for each text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Token {
    pub id: u32,
    pub text: String,
    pub special: bool,
    /// Where the token begins and ends in the text, in characters; null for special tokens.
    pub start: Option<usize>,
    pub stop: Option<usize>,
}

/// `/info`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Info {
    pub model_id: String,
    pub model_sha: Option<String>,
    pub model_dtype: String,
    pub model_type: ModelType,
    pub max_concurrent_requests: usize,
    pub max_input_length: usize,
    pub max_batch_tokens: usize,
    pub max_batch_requests: Option<usize>,
    pub max_client_batch_size: usize,
    pub auto_truncate: bool,
    pub tokenization_workers: usize,
    pub version: String,
    pub sha: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ModelType {
    Embedding(EmbeddingType),
    Classifier(ClassifierType),
    /// One score for a pair of texts.
    Reranker(ClassifierType),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClassifierType {
    pub id2label: BTreeMap<String, String>,
    pub label2id: BTreeMap<String, usize>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EmbeddingType {
    pub pooling: String,
}
