//! The `tokenizers` crate: reads every tokenizer.json there is, takes its time to do it, and is the
//! judge of what is right.

use std::path::Path;

use tokenizers::{
    DecoderWrapper, Encoding, Model, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper,
    Tokenizer as Library, TokenizerImpl,
};

use super::{Adjust, Special, Token, TokenizeError};
use crate::file::{self, TOKENIZER_MB};
use crate::load::LoadError;

/// The crate's steps with this vocabulary.
pub(super) type Pipeline<M> =
    TokenizerImpl<M, NormalizerWrapper, PreTokenizerWrapper, PostProcessorWrapper, DecoderWrapper>;

/// The model's own tokenizer. What its file says about padding and truncation is ignored: it is
/// advice for training scripts, and often shorter than the model's true limit.
pub(super) fn read(path: &Path, adjust: Adjust) -> Result<Library, LoadError> {
    let bytes = file::read(path, TOKENIZER_MB).map_err(|source| LoadError::unread(path, source))?;
    parse(&bytes, adjust).map_err(|reason| LoadError::Tokenizer {
        path: path.to_owned(),
        reason,
    })
}

pub(super) fn parse(bytes: &[u8], adjust: Adjust) -> Result<Library, String> {
    let mut library = Library::from_bytes(bytes).map_err(|error| error.to_string())?;
    library.with_padding(None);
    library
        .with_truncation(None)
        .map_err(|error| error.to_string())?;
    let changed = adjust.apply(&mut library);
    changed.map_err(|error| error.to_string())?;
    Ok(library)
}

/// BERT's normalizer and pre-tokenizer treat each character by itself and end every word at a
/// space. An added token that has one inside would reach over it.
pub(super) fn stops_at_spaces(library: &Library) -> bool {
    let added = library.get_added_tokens_decoder();
    matches!(
        library.get_normalizer(),
        Some(NormalizerWrapper::BertNormalizer(_))
    ) && matches!(
        library.get_pre_tokenizer(),
        Some(PreTokenizerWrapper::BertPreTokenizer(_))
    ) && !added
        .values()
        .any(|token| token.content.contains(char::is_whitespace))
}

/// Ids with special tokens, and how many there would be without the limit.
pub(super) fn encode(
    library: &Library,
    text: &str,
    max_tokens: usize,
) -> Result<(Vec<u32>, usize), TokenizeError> {
    let encoding = library
        .encode_fast(text, true)
        .map_err(TokenizeError::new)?;
    Ok((truncated(&encoding, max_tokens), encoding.len()))
}

/// Ids without special tokens.
pub(super) fn plain(library: &Library, text: &str) -> Result<Vec<u32>, TokenizeError> {
    let encoding = library.encode_fast(text, false);
    Ok(encoding.map_err(TokenizeError::new)?.get_ids().to_vec())
}

/// Every token, and where it came from: the same steps over the crate's vocabulary or over ours.
pub(super) fn details<M: Model>(
    pipeline: &Pipeline<M>,
    text: &str,
    special: Special,
) -> Result<Vec<Token>, TokenizeError> {
    pipeline
        .encode_char_offsets(text, special == Special::Add)
        .map(|encoding| tokens(&encoding))
        .map_err(TokenizeError::new)
}

/// Drops tokens of the text from its end until special tokens and text fit together.
///
/// This is what truncating before the special tokens are added gives, because they do not depend
/// on the text.
fn truncated(encoding: &Encoding, max_tokens: usize) -> Vec<u32> {
    let (ids, special) = (encoding.get_ids(), encoding.get_special_tokens_mask());
    if ids.len() <= max_tokens {
        return ids.to_vec();
    }
    let added = special.iter().filter(|&&mask| mask == 1).count();
    let mut room = max_tokens.saturating_sub(added);
    let mut fits = |mask: u32| {
        let keep = mask == 1 || room > 0;
        room = room.saturating_sub(usize::from(mask == 0));
        keep
    };
    let pairs = ids.iter().zip(special);
    pairs
        .filter(|&(_, &mask)| fits(mask))
        .map(|(&id, _)| id)
        .collect()
}

fn tokens(encoding: &Encoding) -> Vec<Token> {
    let ids = encoding.get_ids().iter().zip(encoding.get_tokens());
    ids.zip(encoding.get_special_tokens_mask())
        .zip(encoding.get_offsets())
        .map(|(((&id, text), &mask), &(start, stop))| Token {
            id,
            text: text.clone(),
            special: mask == 1,
            start,
            stop,
        })
        .collect()
}
