//! Turns a tokenizer of the `tokenizers` crate into its compiled form, or says why not. Every
//! setting is either understood or a reason to refuse: there is no guessing.

mod models;
mod parts;

use serde_json::Value;
use tokenizers::{ModelWrapper, Tokenizer as Library};

use super::compiled::added::{self, AddedToken};
use super::compiled::blob::{Blob, Bytes, Section, Writer};
use super::compiled::details;
use super::compiled::normalized;
use super::compiled::recipe::{Model, Normalizer, Recipe, Split};
use super::library;
use super::pair::Pair;
use crate::store::Content;

/// What has no compiled form.
pub(super) type Refusal = String;

/// Whether the compiled form is to tell more than ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Details {
    With,
    Without,
}

/// # Errors
/// The first thing in it that has no compiled form.
pub(super) fn compile(library: &Library, wanted: Details) -> Result<Bytes, Refusal> {
    let part = |part: serde_json::Result<Value>| part.map_err(|error| error.to_string());
    let mut to = Writer::new();
    let normalizers = parts::normalizers(
        &part(serde_json::to_value(library.get_normalizer()))?,
        &mut to,
    )?;
    let splits = parts::splits(&part(serde_json::to_value(library.get_pre_tokenizer()))?)?;
    let (before, after) =
        parts::specials(&part(serde_json::to_value(library.get_post_processor()))?)?;
    let model = model(library.get_model(), &splits, &mut to)?;
    added_tokens(library, &normalizers, &mut to)?;
    let recipe = Recipe {
        normalizers,
        splits,
        model,
        before,
        after,
        pair: Pair::of(library),
        stops_at_spaces: library::stops_at_spaces(library),
    };
    recipe.write(&mut to);
    if wanted == Details::With {
        details::write(library, &mut to).map_err(|error| error.to_string())?;
    }
    Ok(to.finish())
}

/// What is kept in place of a compiled tokenizer, so that it is not tried at every start.
pub(super) fn refused(reason: &str) -> Bytes {
    let mut to = Writer::new();
    to.add(Section::Refusal, reason.as_bytes());
    to.finish()
}

fn model(model: &ModelWrapper, splits: &[Split], to: &mut Writer) -> Result<Model, Refusal> {
    let in_bytes = |split: &Split| matches!(split, Split::ByteLevel { .. });
    let byte_level = splits.last().is_some_and(in_bytes);
    let only_last = !splits.iter().rev().skip(1).any(in_bytes);
    match model {
        ModelWrapper::WordPiece(model) if !byte_level && only_last => models::word_piece(model, to),
        ModelWrapper::Unigram(model) if !byte_level && only_last => models::unigram(model, to),
        ModelWrapper::BPE(model) if byte_level && only_last => models::bpe(model, to),
        ModelWrapper::BPE(_) => Err("byte pairs that are not pairs of bytes".to_owned()),
        ModelWrapper::WordLevel(_) => Err("whole words as tokens".to_owned()),
        _ => Err("a byte-level model that has no byte pairs".to_owned()),
    }
}

/// More would have to be searched for in another way.
const MOST_ADDED: usize = 1024;

fn added_tokens(
    library: &Library,
    normalizers: &[Normalizer],
    to: &mut Writer,
) -> Result<(), Refusal> {
    let tokens = library.get_added_tokens_decoder();
    if tokens.len() > MOST_ADDED {
        return Err(format!("{} added tokens", tokens.len()));
    }
    let is_charsmap = |step: &Normalizer| *step == Normalizer::Charsmap;
    // The steps that need no section of the file can run before it is written.
    let scratch = Blob::open(Content::Private(Writer::new().finish()));
    let mut compiled = Vec::with_capacity(tokens.len());
    for (id, token) in tokens {
        if token.single_word {
            return Err(format!(
                "an added token that must be a whole word, `{}`",
                token.content
            ));
        }
        let mut text = token.content;
        if token.normalized && !normalizers.is_empty() {
            let Some(scratch) = &scratch else { continue };
            if normalizers.iter().any(is_charsmap) {
                return Err(format!("an added token behind a character map, `{text}`"));
            }
            text = normalized(normalizers, scratch, &text).into_owned();
        }
        if text.is_empty() {
            return Err("an added token without text".to_owned());
        }
        compiled.push(AddedToken {
            text,
            id,
            normalized: token.normalized,
            left: token.lstrip,
            right: token.rstrip,
        });
    }
    added::write(compiled, to);
    Ok(())
}
