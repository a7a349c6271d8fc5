//! A tokenizer that is used where it lies: nothing is parsed when it is opened, and all processes of
//! a machine share its pages. What it cannot do is not compiled, see `compile.rs`.
//!
//! | to change | look in |
//! |---|---|
//! | where things lie in the file | `blob.rs`; lookups in it: `table.rs` |
//! | which steps there are | `recipe.rs` |
//! | a step | `added.rs`, `normalize.rs` and `charsmap.rs`, `words.rs`, `model.rs` |
//! | where in the text tokens came from | `details.rs` |

pub(super) mod added;
pub(super) mod blob;
mod charsmap;
pub(super) mod details;
pub(super) mod letters;
mod model;
mod normalize;
pub(super) mod recipe;
pub(super) mod table;
mod words;

use std::sync::Arc;

use added::{Added, Enough, Part};
use blob::{Blob, Section};
use details::Mapped;
use recipe::Recipe;
use table::Tokens;

use super::library::Pipeline;
use super::pair::Pair;

pub(super) use normalize::normalized;

pub(super) struct Compiled {
    blob: Arc<Blob>,
    recipe: Recipe,
    /// Looked for in the raw text.
    raw: Added,
    /// Looked for in the normalised text.
    normalized: Added,
    details: Option<Pipeline<Mapped>>,
}

impl Compiled {
    /// # Errors
    /// Why there is no compiled tokenizer in these bytes.
    pub(super) fn open(blob: Blob) -> Result<Self, String> {
        let refusal = blob.section(Section::Refusal);
        if !refusal.is_empty() {
            return Err(String::from_utf8_lossy(refusal).into_owned());
        }
        let read = || {
            Some((
                Recipe::read(blob.words(Section::Recipe))?,
                Added::read(&blob, false)?,
                Added::read(&blob, true)?,
            ))
        };
        let (recipe, raw, normalized) = read().ok_or("its compiled form makes no sense")?;
        let blob = Arc::new(blob);
        Ok(Compiled {
            details: details::read(&blob, recipe.model),
            blob,
            recipe,
            raw,
            normalized,
        })
    }

    /// Special tokens around every text.
    pub(super) fn specials(&self) -> usize {
        self.recipe.before.len() + self.recipe.after.len()
    }

    /// Whether the tokens of a text up to a space are the first tokens of the whole text.
    pub(super) fn stops_at_spaces(&self) -> bool {
        self.recipe.stops_at_spaces
    }

    /// Ids with special tokens, at most `max_tokens`: the end of the text is lost, special tokens
    /// are not.
    pub(super) fn encode(&self, text: &str, max_tokens: usize) -> Vec<u32> {
        let room = max_tokens.saturating_sub(self.specials());
        let mut ids = self.recipe.before.clone();
        self.add_text(text, ids.len().saturating_add(room), &mut ids);
        ids.extend(&self.recipe.after);
        ids
    }

    /// The first `most` ids, without special tokens.
    pub(super) fn plain(&self, text: &str, most: usize) -> Vec<u32> {
        let mut ids = Vec::new();
        self.add_text(text, most, &mut ids);
        ids
    }

    pub(super) fn largest_known_id(&self) -> Option<u32> {
        let added = self.raw.ids().chain(self.normalized.ids());
        added.chain(Tokens::of(&self.blob).last_id()).max()
    }

    /// None: this tokenizer has no form for two texts.
    pub(super) fn pair(&self) -> Option<&Pair> {
        self.recipe.pair.as_ref()
    }

    /// What tells where in a text tokens came from. None: only the file itself does.
    pub(super) fn details(&self) -> Option<&Pipeline<Mapped>> {
        self.details.as_ref()
    }

    /// Stops at `limit` ids.
    fn add_text(&self, text: &str, limit: usize, ids: &mut Vec<u32>) {
        let enough = |ids: &Vec<u32>| match ids.len() >= limit {
            true => Enough::Yes,
            false => Enough::No,
        };
        self.raw.split(&self.blob, text, |part| {
            match part {
                Part::Token(id) => ids.push(id),
                Part::Text(text) => {
                    let text = normalized(&self.recipe.normalizers, &self.blob, text);
                    self.normalized.split(&self.blob, &text, |part| {
                        match part {
                            Part::Token(id) => ids.push(id),
                            Part::Text(text) => {
                                let (splits, model) = (&self.recipe.splits, self.recipe.model);
                                words::pieces(splits, &self.blob, text, &mut |piece| {
                                    model.encode(&self.blob, piece, ids);
                                    enough(ids)
                                });
                            }
                        }
                        enough(ids)
                    });
                }
            }
            enough(ids)
        });
        ids.truncate(limit);
    }
}
