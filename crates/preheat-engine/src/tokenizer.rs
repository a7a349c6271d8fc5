//! Text to token ids, cut to what the model can read. One text at a time on the caller's thread:
//! never pads, never starts threads.
//!
//! There are two ways to the same tokens: a compiled form that is mapped and used where it lies
//! (`compiled.rs`), and the `tokenizers` crate (`library.rs`), which reads every tokenizer.json. The
//! compiled form is made from the crate's (`compile.rs`), and used only after both gave the same
//! ids for a corpus, and for where in a text they came from only after that was the same, too
//! (`proof.rs`).

mod adjust;
mod compile;
mod compiled;
mod library;
mod open;
mod pair;
mod prompts;
mod proof;
#[cfg(test)]
mod tests;

use std::fmt;

use tokenizers::Tokenizer as Library;

use compiled::Compiled;
use open::Source;
use pair::Pair;

pub(crate) use adjust::{Adjust, Bert};
pub(crate) use open::{Opened, open};
pub use prompts::{Prompts, UnknownPrompt};

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
    prompts: Prompts,
}

enum Kind {
    Compiled {
        compiled: Box<Compiled>,
        /// Where the compiled form does not tell where in the text a token came from.
        source: Source,
    },
    Library {
        library: Box<Library>,
        /// Whether tokens never reach over a space, so that the tokens of a text up to a space are
        /// the first tokens of the whole text.
        stops_at_spaces: bool,
        /// None: it has no form for two texts.
        pair: Option<Pair>,
    },
    Whitespace {
        vocab: u32,
    },
}

impl Tokenizer {
    /// One token for each word, ids below `vocab`. For engines that have no model.
    #[must_use]
    pub fn whitespace(max_tokens: usize, vocab: u32) -> Self {
        Tokenizer {
            kind: Kind::Whitespace {
                vocab: vocab.max(1),
            },
            max_tokens: max_tokens.max(1),
            prompts: Prompts::default(),
        }
    }

    /// What the model wants in front of texts. [`Tokenizer::encode`] takes texts as they are.
    #[must_use]
    pub fn prompts(&self) -> &Prompts {
        &self.prompts
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
            Kind::Compiled { compiled, .. } => {
                let cut = compiled.stops_at_spaces();
                self.encode_head(text, cut, |head| {
                    let ids = compiled.encode(head, self.max_tokens);
                    let count = ids.len();
                    Ok((ids, count))
                })
            }
            Kind::Library {
                library,
                stops_at_spaces,
                ..
            } => self.encode_head(text, *stops_at_spaces, |head| {
                library::encode(library, head, self.max_tokens)
            }),
            Kind::Whitespace { vocab } => {
                let words = text.split_whitespace().take(self.max_tokens);
                let ids: Vec<u32> = words.map(|word| id(word, *vocab)).collect();
                // Like a model's special tokens, this leaves no text without any token.
                Ok(if ids.is_empty() { vec![0] } else { ids })
            }
        }
    }

    /// Tokenises no more of the text than it takes to fill [`Tokenizer::max_tokens`], where its
    /// beginning can be tokenised by itself. `encode` gives the ids and how many there were.
    fn encode_head(
        &self,
        text: &str,
        cut: bool,
        encode: impl Fn(&str) -> Result<(Vec<u32>, usize), TokenizeError>,
    ) -> Result<Vec<u32>, TokenizeError> {
        let mut bytes = if cut { 8 * self.max_tokens } else { text.len() };
        loop {
            let head = up_to_space(text, bytes);
            let (ids, count) = encode(head)?;
            if count >= self.max_tokens || head.len() == text.len() {
                return Ok(ids);
            }
            bytes *= 4;
        }
    }

    /// Ids of two texts as one sequence, with special tokens, cut to [`Tokenizer::max_tokens`]: the
    /// longer text loses its end first. Tokens of the second one are marked with [`SECOND`] where
    /// the model tells them apart.
    ///
    /// [`SECOND`]: crate::engine::SECOND
    ///
    /// # Errors
    /// When the tokenizer has no form for two texts, or no tokens for one of them.
    pub fn encode_pair(&self, first: &str, second: &str) -> Result<Vec<u32>, TokenizeError> {
        let most = self.max_tokens;
        let (first, second) = (self.plain(first, most)?, self.plain(second, most)?);
        Ok(self.pair()?.join(&first, &second, most))
    }

    /// How many tokens the whole of both texts has, special ones included.
    ///
    /// # Errors
    /// As for [`Tokenizer::encode_pair`].
    pub fn count_pair(&self, first: &str, second: &str) -> Result<usize, TokenizeError> {
        let (first, second) = (
            self.plain(first, usize::MAX)?,
            self.plain(second, usize::MAX)?,
        );
        Ok(first.len() + second.len() + self.pair()?.specials())
    }

    fn pair(&self) -> Result<Pair, TokenizeError> {
        let pair = match &self.kind {
            Kind::Compiled { compiled, .. } => compiled.pair().cloned(),
            Kind::Library { pair, .. } => pair.clone(),
            Kind::Whitespace { .. } => Some(Pair {
                before: Vec::new(),
                between: Vec::new(),
                after: vec![0],
                marked: true,
            }),
        };
        pair.ok_or_else(|| TokenizeError {
            reason: "this tokenizer has no form for two texts".to_owned(),
        })
    }

    /// The first `most` ids at least, without special tokens.
    fn plain(&self, text: &str, most: usize) -> Result<Vec<u32>, TokenizeError> {
        match &self.kind {
            Kind::Compiled { compiled, .. } => Ok(compiled.plain(text, most)),
            Kind::Library { library, .. } => library::plain(library, text),
            Kind::Whitespace { vocab } => {
                let words = text.split_whitespace().take(most);
                Ok(words.map(|word| id(word, *vocab)).collect())
            }
        }
    }

    /// How many tokens the whole text has, special ones included, however many the model reads.
    ///
    /// # Errors
    /// As for [`Tokenizer::encode`].
    pub fn count(&self, text: &str) -> Result<usize, TokenizeError> {
        match &self.kind {
            Kind::Compiled { compiled, .. } => Ok(compiled.encode(text, usize::MAX).len()),
            _ => Ok(self.encode_detail(text, Special::Add)?.len()),
        }
    }

    /// Whether [`Tokenizer::encode_detail`] runs at once. Else a file is read and parsed first, and
    /// what is made of it stays in memory.
    #[must_use]
    pub fn has_details(&self) -> bool {
        match &self.kind {
            Kind::Compiled { compiled, source } => compiled.details().is_some() || source.is_read(),
            Kind::Library { .. } | Kind::Whitespace { .. } => true,
        }
    }

    /// Every token of the text, however long it is.
    ///
    /// # Errors
    /// As for [`Tokenizer::encode`].
    pub fn encode_detail(&self, text: &str, special: Special) -> Result<Vec<Token>, TokenizeError> {
        match &self.kind {
            Kind::Compiled { compiled, source } => match compiled.details() {
                Some(pipeline) => library::details(pipeline, text, special),
                None => library::details(source.library()?, text, special),
            },
            Kind::Library { library, .. } => library::details(library, text, special),
            Kind::Whitespace { vocab } => Ok(words(text, *vocab)),
        }
    }
}

impl Tokenizer {
    /// The largest id that is seen without a walk through the vocabulary. Byte pairs lie in no order in
    /// their compiled form: of those it is that of an added token.
    fn largest_known_id(&self) -> Option<u32> {
        match &self.kind {
            Kind::Compiled { compiled, .. } => compiled.largest_known_id(),
            Kind::Library { library, .. } => library.get_vocab(true).into_values().max(),
            Kind::Whitespace { vocab } => vocab.checked_sub(1),
        }
    }
}

/// Whether the model's special tokens are put around the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Special {
    Add,
    Omit,
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
            Kind::Compiled { .. } => "compiled",
            Kind::Library { .. } => "library",
            Kind::Whitespace { .. } => "whitespace",
        };
        f.debug_struct("Tokenizer")
            .field("kind", &kind)
            .field("max_tokens", &self.max_tokens)
            .finish()
    }
}
