//! The memory of one execution context: made once, of a size that depends on the model only, and
//! touched, so that no request waits for a page.

use std::cmp::Reverse;

use super::Group;
use super::memory::{Floats, NoMemory};
use crate::load::EncoderConfig;

/// Tokens that are computed together. More would leave the second-level cache; what sequences they
/// come from changes no answer.
const GROUP_TOKENS: usize = 512;

/// One row for each token of a group.
pub(super) struct Arena {
    tokens: usize,
    /// The residual stream.
    pub(super) hidden: Floats,
    /// What a layer adds to it.
    pub(super) update: Floats,
    pub(super) qkv: Floats,
    pub(super) context: Floats,
    pub(super) inner: Floats,
    /// Where each sequence of the group begins and ends.
    pub(super) spans: Vec<(usize, usize)>,
    /// The same, longest first.
    pub(super) order: Vec<(usize, usize)>,
}

impl Arena {
    pub(super) fn new(config: &EncoderConfig) -> Result<Self, NoMemory> {
        let tokens = GROUP_TOKENS.max(config.max_tokens);
        let rows = |width: usize| Floats::zeroed(tokens.saturating_mul(width));
        Ok(Arena {
            tokens,
            hidden: rows(config.hidden)?,
            update: rows(config.hidden)?,
            qkv: rows(3 * config.hidden)?,
            context: rows(config.hidden)?,
            inner: rows(config.inner)?,
            spans: Vec::with_capacity(tokens),
            order: Vec::with_capacity(tokens),
        })
    }

    /// Notes where the sequences of `group` are.
    pub(super) fn arrange(&mut self, group: &Group<'_>) {
        self.spans.clear();
        self.spans.extend(group.spans());
        self.order.clone_from(&self.spans);
        self.order
            .sort_unstable_by_key(|(start, end)| (Reverse(end - start), *start));
    }

    /// Most tokens of one group.
    pub(super) fn tokens(&self) -> usize {
        self.tokens
    }
}
