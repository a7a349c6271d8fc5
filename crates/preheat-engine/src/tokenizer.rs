//! Text to token ids, cut to what the model can read. One text at a time on the caller's thread:
//! never pads, never starts threads.

use std::fmt;
use std::path::Path;

use tokenizers::{Encoding, NormalizerWrapper, PreTokenizerWrapper, Tokenizer as Library};

use crate::load::LoadError;

/// A text that cannot be tokenised. The client's fault, as far as anyone can tell.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the text cannot be tokenised: {reason}")]
pub struct TokenizeError {
    reason: String,
}

/// One token and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub id: u32,
    /// As the vocabulary spells it.
    pub text: String,
    /// Put in by the tokenizer, not found in the text.
    pub special: bool,
    /// First character in the text and the one behind the last; both zero for special tokens.
    pub start: usize,
    pub stop: usize,
}

/// Shared by all who prepare requests.
pub struct Tokenizer {
    kind: Kind,
    max_tokens: usize,
}

enum Kind {
    Model {
        library: Box<Library>,
        /// Whether tokens never reach over a space, so that the tokens of a text up to a space are
        /// the first tokens of the whole text.
        stops_at_spaces: bool,
    },
    Whitespace {
        vocab: u32,
    },
}

impl Tokenizer {
    /// The model's own tokenizer. What its file says about padding and truncation is ignored:
    /// it is advice for training scripts, and often shorter than the model's true limit.
    pub(crate) fn from_file(path: &Path, max_tokens: usize) -> Result<Self, LoadError> {
        let reject = |reason: String| LoadError::Tokenizer {
            path: path.to_owned(),
            reason,
        };
        let bytes = std::fs::read(path).map_err(|source| LoadError::Read {
            path: path.to_owned(),
            source,
        })?;
        let mut library = Library::from_bytes(bytes).map_err(|error| reject(error.to_string()))?;
        library.with_padding(None);
        library
            .with_truncation(None)
            .map_err(|error| reject(error.to_string()))?;
        let stops_at_spaces = stops_at_spaces(&library);
        let kind = Kind::Model {
            library: Box::new(library),
            stops_at_spaces,
        };
        let tokenizer = Tokenizer { kind, max_tokens };
        let empty = tokenizer.encode("").map_err(|error| reject(error.reason))?;
        if empty.len() >= max_tokens {
            return Err(reject(format!(
                "its {} special tokens leave no room in {max_tokens}",
                empty.len()
            )));
        }
        Ok(tokenizer)
    }

    /// One token for each word, ids below `vocab`. For engines that have no model.
    #[must_use]
    pub fn whitespace(max_tokens: usize, vocab: u32) -> Self {
        Tokenizer {
            kind: Kind::Whitespace {
                vocab: vocab.max(1),
            },
            max_tokens: max_tokens.max(1),
        }
    }

    /// Longest result of [`Tokenizer::encode`].
    #[must_use]
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// Ids with special tokens, cut to [`Tokenizer::max_tokens`]. The end of the text is lost,
    /// special tokens are not.
    ///
    /// # Errors
    /// When the tokenizer has no tokens for this text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizeError> {
        match &self.kind {
            Kind::Model {
                library,
                stops_at_spaces,
            } => {
                let mut bytes = if *stops_at_spaces {
                    8 * self.max_tokens
                } else {
                    text.len()
                };
                loop {
                    let head = up_to_space(text, bytes);
                    let encoding = library
                        .encode_fast(head, true)
                        .map_err(TokenizeError::new)?;
                    if encoding.len() >= self.max_tokens || head.len() == text.len() {
                        return Ok(truncated(&encoding, self.max_tokens));
                    }
                    bytes *= 4;
                }
            }
            Kind::Whitespace { vocab } => {
                let words = text.split_whitespace().take(self.max_tokens);
                let ids: Vec<u32> = words.map(|word| id(word, *vocab)).collect();
                // Like a model's special tokens, this leaves no text without any token.
                Ok(if ids.is_empty() { vec![0] } else { ids })
            }
        }
    }

    /// Every token of the text, however long it is.
    ///
    /// # Errors
    /// As for [`Tokenizer::encode`].
    pub fn encode_detail(&self, text: &str, special: Special) -> Result<Vec<Token>, TokenizeError> {
        match &self.kind {
            Kind::Model { library, .. } => library
                .encode_char_offsets(text, special == Special::Add)
                .map(|encoding| tokens(&encoding))
                .map_err(TokenizeError::new),
            Kind::Whitespace { vocab } => Ok(words(text, *vocab)),
        }
    }
}

/// Whether the model's special tokens are put around the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Special {
    Add,
    Omit,
}

/// BERT's normalizer and pre-tokenizer treat each character by itself and end every word at a
/// space. An added token that has one inside would reach over it.
fn stops_at_spaces(library: &Library) -> bool {
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

/// The text up to the first space behind its first `bytes` bytes; a megabyte is not tokenised for
/// the few hundred tokens that a model reads.
fn up_to_space(text: &str, bytes: usize) -> &str {
    let rest = text.as_bytes().get(bytes..).unwrap_or_default();
    match rest
        .iter()
        .position(|byte| matches!(byte, b' ' | b'\n' | b'\t'))
    {
        Some(space) => &text[..bytes + space],
        None => text,
    }
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

fn words(text: &str, vocab: u32) -> Vec<Token> {
    let (mut bytes, mut chars) = (0, 0);
    let mut words: Vec<Token> = Vec::new();
    for word in text.split_whitespace() {
        let at = word.as_ptr().addr() - text.as_ptr().addr();
        let start = chars + text[bytes..at].chars().count();
        let stop = start + word.chars().count();
        (bytes, chars) = (at + word.len(), stop);
        words.push(Token {
            id: id(word, vocab),
            text: word.to_owned(),
            special: false,
            start,
            stop,
        });
    }
    words
}

/// FNV-1a: the same word has the same id in every process.
fn id(word: &str, vocab: u32) -> u32 {
    let hash = word.bytes().fold(0x811c_9dc5u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    hash % vocab
}

impl TokenizeError {
    #[expect(clippy::needless_pass_by_value, reason = "the shape `map_err` calls")]
    fn new(error: tokenizers::Error) -> Self {
        TokenizeError {
            reason: error.to_string(),
        }
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Model { .. } => "model",
            Kind::Whitespace { .. } => "whitespace",
        };
        f.debug_struct("Tokenizer")
            .field("kind", &kind)
            .field("max_tokens", &self.max_tokens)
            .finish()
    }
}
