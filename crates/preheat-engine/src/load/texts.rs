//! What a directory says about texts for a model that computes on its own terms: how long they may
//! be, which ids there are, and what becomes of the vectors of their tokens.

use std::path::Path;

use serde_json::Value;

use super::LoadError;
use super::advice::Advice;
use super::config::Pooling;
use super::files::{Json, optional};
use super::modules::Modules;
use crate::file::TOKENIZER_MB;
use crate::tokenizer::{Adjust, Prompts};

/// Everything about texts that an ONNX file does not say itself.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TextConfig {
    /// Longest sequence that is served, special tokens included.
    pub(crate) max_tokens: usize,
    /// Ids at or above this one are refused.
    pub(crate) vocab: usize,
    pub(crate) pad: u32,
    pub(crate) pooling: Pooling,
    pub(crate) normalize: bool,
    pub(crate) adjust: Adjust,
    pub(crate) prompts: Prompts,
}

/// What most encoders read, where nothing says otherwise.
const USUAL_TOKENS: usize = 512;

impl TextConfig {
    /// # Errors
    /// When a file that is there cannot be understood.
    pub(crate) fn read(dir: &Path) -> Result<Self, LoadError> {
        let config = optional(dir, "config.json")?;
        let modules = Modules::read(dir)?;
        let advice = Advice::read(dir)?;
        let limits = [positions(config.as_ref())?, advice.max_tokens()?];
        let known = |field| match &config {
            Some(json) => json.optional_size(field),
            None => Ok(None),
        };
        let vocab = match known("vocab_size")? {
            Some(vocab) => vocab,
            None => vocabulary(dir)?,
        };
        let pad = config
            .as_ref()
            .and_then(|json| json.value.get("pad_token_id"));
        let pad = pad
            .and_then(Value::as_u64)
            .and_then(|id| u32::try_from(id).ok());
        Ok(TextConfig {
            max_tokens: limits.into_iter().flatten().min().unwrap_or(USUAL_TOKENS),
            vocab,
            pad: pad.unwrap_or(0),
            pooling: modules.pooling,
            normalize: modules.normalize,
            prompts: modules.prompts,
            adjust: advice.adjust(),
        })
    }
}

/// Rows of the position table that a sequence can use.
fn positions(config: Option<&Json>) -> Result<Option<usize>, LoadError> {
    let Some(json) = config else { return Ok(None) };
    let rows = json.optional_size("max_position_embeddings")?;
    let kind = json.value.get("model_type").and_then(Value::as_str);
    let skipped = match kind {
        Some("roberta" | "xlm-roberta" | "camembert" | "mpnet") => {
            json.optional_size("pad_token_id")?.unwrap_or(1) + 1
        }
        _ => 0,
    };
    Ok(rows
        .map(|rows| rows.saturating_sub(skipped))
        .filter(|&rows| rows > 0))
}

/// Without a config the tokenizer's own list is all there is.
fn vocabulary(dir: &Path) -> Result<usize, LoadError> {
    let json = Json::read(&dir.join("tokenizer.json"), TOKENIZER_MB)?;
    let model = match json.value.pointer("/model/vocab") {
        Some(Value::Object(ids)) => ids.values().filter_map(Value::as_u64).max(),
        Some(Value::Array(pieces)) => (pieces.len() as u64).checked_sub(1),
        _ => None,
    };
    let added = json.value.get("added_tokens").and_then(Value::as_array);
    let added = added
        .into_iter()
        .flatten()
        .filter_map(|token| token.get("id")?.as_u64());
    let last = added.chain(model).max();
    let count = last.and_then(|id| usize::try_from(id).ok()?.checked_add(1));
    count.ok_or_else(|| json.complain("model.vocab", "holds no ids"))
}
