//! Texts to rows of token ids, within the model's limits.

use std::sync::Arc;

use bytes::Bytes;
use preheat_engine::{SECOND, Tensor, TokenizeError, Tokenizer};
use preheat_runtime::Tasks;
use tokio::sync::Semaphore;

use crate::serve_error::ServeError;

/// What a request puts in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inputs {
    Texts(Vec<String>),
    /// Texts of which some belong together.
    Pairs(Vec<TextPair>),
    /// Token ids, used as they are.
    Tokens(Vec<Vec<u32>>),
    /// Named tensors, in any order.
    Tensors(Vec<Tensor>),
    /// One encoded image.
    Image(Bytes),
}

impl Inputs {
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Inputs::Texts(texts) => texts.len(),
            Inputs::Pairs(pairs) => pairs.len(),
            Inputs::Tokens(rows) => rows.len(),
            Inputs::Tensors(tensors) => tensors.len().min(1),
            Inputs::Image(encoded) => encoded.len().min(1),
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A text, or two that the model reads as one input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextPair {
    /// Shared: a query stands before many texts.
    pub first: Arc<str>,
    pub second: Option<String>,
}

impl TextPair {
    fn bytes(&self) -> usize {
        self.first.len() + self.second.as_ref().map_or(0, String::len)
    }

    fn encode(&self, tokenizer: &Tokenizer) -> Result<Vec<u32>, TokenizeError> {
        match &self.second {
            None => tokenizer.encode(&self.first),
            Some(second) => tokenizer.encode_pair(&self.first, second),
        }
    }

    fn count(&self, tokenizer: &Tokenizer) -> Result<usize, TokenizeError> {
        match &self.second {
            None => tokenizer.count(&self.first),
            Some(second) => tokenizer.count_pair(&self.first, second),
        }
    }
}

impl From<String> for TextPair {
    fn from(first: String) -> Self {
        TextPair {
            first: first.into(),
            second: None,
        }
    }
}

/// What becomes of an input that is longer than the model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooLong {
    Cut,
    Refuse,
}

/// Texts up to this many bytes together are tokenised where they are: a hop to another thread
/// costs more. It bounds the time that an event loop is held up to a fraction of a millisecond.
const INLINE_BYTES: usize = 4096;

/// Large texts tokenised at the same time.
const AT_ONCE: usize = 2;

/// Tokenises, short texts at once and long ones on other threads.
#[derive(Debug, Clone)]
pub struct Preparer {
    tasks: Tasks,
    places: Arc<Semaphore>,
}

impl Preparer {
    #[must_use]
    pub fn new(tasks: Tasks) -> Self {
        Preparer {
            tasks,
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// One row of token ids for each input.
    ///
    /// # Errors
    /// [`ServeError::TooLong`] as asked for, [`ServeError::Malformed`] when a text has no tokens.
    pub async fn rows(
        &self,
        tokenizer: &Arc<Tokenizer>,
        vocab: usize,
        inputs: Inputs,
        too_long: TooLong,
    ) -> Result<Vec<Vec<u32>>, ServeError> {
        let pairs = match inputs {
            Inputs::Tensors(_) | Inputs::Image(_) => return Err(ServeError::NoInput),
            Inputs::Tokens(rows) => {
                let rows = rows.into_iter();
                return rows
                    .map(|row| fit(row, vocab, tokenizer.max_tokens(), too_long))
                    .collect();
            }
            Inputs::Texts(texts) => texts.into_iter().map(TextPair::from).collect(),
            Inputs::Pairs(pairs) => pairs,
        };
        if pairs.iter().map(TextPair::bytes).sum::<usize>() <= INLINE_BYTES {
            return encode(tokenizer, vocab, &pairs, too_long);
        }
        let tokenizer = Arc::clone(tokenizer);
        self.elsewhere(move || encode(&tokenizer, vocab, &pairs, too_long))
            .await
    }

    /// Runs heavy preparation off the event loop, a few at a time.
    ///
    /// # Errors
    /// Those of `work`.
    pub async fn elsewhere<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ServeError> + Send + 'static,
    ) -> Result<T, ServeError> {
        let gone = |_| ServeError::Engine("the preparation was cut off".into());
        let place = Arc::clone(&self.places)
            .acquire_owned()
            .await
            .map_err(|_| ServeError::Engine("the preparation has ended".into()))?;
        let job = self.tasks.spawn_blocking("prepare", move || {
            let _place = place;
            work()
        });
        job.await.map_err(gone)?
    }
}

fn encode(
    tokenizer: &Tokenizer,
    vocab: usize,
    pairs: &[TextPair],
    too_long: TooLong,
) -> Result<Vec<Vec<u32>>, ServeError> {
    pairs
        .iter()
        .map(|pair| {
            let row = pair.encode(tokenizer).map_err(no_tokens)?;
            known(row.iter().map(|id| id & !SECOND), vocab)?;
            // Only a row that is full can have been cut.
            if too_long == TooLong::Refuse && row.len() == tokenizer.max_tokens() {
                let (got, limit) = (
                    pair.count(tokenizer).map_err(no_tokens)?,
                    tokenizer.max_tokens(),
                );
                if got > limit {
                    return Err(ServeError::TooLong { got, limit });
                }
            }
            Ok(row)
        })
        .collect()
}

fn fit(
    mut row: Vec<u32>,
    vocab: usize,
    limit: usize,
    too_long: TooLong,
) -> Result<Vec<u32>, ServeError> {
    known(row.iter().copied(), vocab)?;
    match too_long {
        _ if row.is_empty() => Err(ServeError::NoInput),
        TooLong::Refuse if row.len() > limit => Err(ServeError::TooLong {
            got: row.len(),
            limit,
        }),
        _ => {
            row.truncate(limit);
            Ok(row)
        }
    }
}

/// Checked here: in a batch it would fail the requests beside it.
fn known(mut row: impl Iterator<Item = u32>, vocab: usize) -> Result<(), ServeError> {
    match row.find(|&id| id as usize >= vocab) {
        None => Ok(()),
        Some(id) => {
            let why = format!("token id {id} is not in the vocabulary of {vocab}");
            Err(ServeError::Malformed(why))
        }
    }
}

pub(crate) fn no_tokens(error: TokenizeError) -> ServeError {
    ServeError::Malformed(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts alone, in pairs, and ids: one that a model has no vector for would fail all that it is batched
    /// with.
    #[tokio::test]
    async fn ids_beyond_the_vocabulary_are_refused_before_they_are_batched() {
        let preparer = Preparer::new(Tasks::default());
        let tokenizer = Arc::new(Tokenizer::whitespace(16, 1000));
        let pair = TextPair {
            first: "a".into(),
            second: Some("b".into()),
        };
        let inputs = [
            Inputs::Texts(vec!["word ".repeat(2000)]),
            Inputs::Texts(vec!["a b c".into()]),
            Inputs::Pairs(vec![pair]),
            Inputs::Tokens(vec![vec![999]]),
        ];
        for inputs in inputs {
            let rows = |vocab| preparer.rows(&tokenizer, vocab, inputs.clone(), TooLong::Cut);
            assert!(rows(1000).await.is_ok(), "{inputs:?}");
            let refused = rows(1).await;
            assert!(
                matches!(&refused, Err(ServeError::Malformed(why)) if why.contains("vocabulary")),
                "{refused:?}"
            );
        }
    }
}
