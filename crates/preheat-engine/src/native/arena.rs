//! The memory of one execution context: made once, of a size that depends on the model only, and
//! touched, so that no request waits for a page.

use std::cmp::Reverse;

use super::group::Group;
use super::memory::{Bf16, Buffer, Floats, NoMemory};
use super::ops::{Input, Rows, Shared};
use crate::load::{Dtype, EncoderConfig};

/// Tokens that are computed together. More would leave the second-level cache; what sequences they
/// come from changes no answer.
const GROUP_TOKENS: usize = 512;

/// One row for each token of a group.
pub(super) struct Arena {
    tokens: usize,
    /// The residual stream.
    pub(super) stream: Floats,
    /// The same, rounded, where linear steps multiply half numbers.
    pub(super) rounded: Option<Halves>,
    /// What a layer adds to the residual stream.
    pub(super) update: Floats,
    pub(super) qkv: Floats,
    pub(super) context: Operand,
    pub(super) inner: Operand,
    /// Where each sequence of the group begins and ends.
    pub(super) spans: Vec<(usize, usize)>,
    /// The same, longest first.
    pub(super) order: Vec<(usize, usize)>,
}

impl Arena {
    pub(super) fn new(config: &EncoderConfig, dtype: Dtype) -> Result<Self, NoMemory> {
        let tokens = GROUP_TOKENS.max(config.max_tokens);
        let rows = |width: usize| Floats::zeroed(tokens.saturating_mul(width));
        let operand = |width: usize| Operand::zeroed(tokens, width, dtype);
        Ok(Arena {
            tokens,
            stream: rows(config.hidden)?,
            rounded: match dtype {
                Dtype::F32 => None,
                Dtype::Bf16 => Some(Halves::zeroed(tokens, config.hidden)?),
            },
            update: rows(config.hidden)?,
            qkv: rows(3 * config.hidden)?,
            context: operand(config.hidden)?,
            inner: operand(config.inner)?,
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

/// Rows that one step writes and a linear step reads, in what that one multiplies.
pub(super) enum Operand {
    Single { rows: Floats, width: usize },
    Half(Halves),
}

impl Operand {
    fn zeroed(tokens: usize, width: usize, dtype: Dtype) -> Result<Self, NoMemory> {
        Ok(match dtype {
            Dtype::F32 => Operand::Single {
                rows: Buffer::zeroed(tokens.saturating_mul(width))?,
                width,
            },
            Dtype::Bf16 => Operand::Half(Halves::zeroed(tokens, width)?),
        })
    }

    /// To write the first `tokens` rows.
    pub(super) fn rows(&mut self, tokens: usize) -> Rows<'_> {
        match self {
            Operand::Single { rows, width } => {
                Rows::Single(Shared::new(&mut rows[..tokens * *width], *width))
            }
            Operand::Half(halves) => Rows::Half(halves.rows(tokens)),
        }
    }

    /// To read rows.
    pub(super) fn input(&self) -> Input<'_> {
        match self {
            Operand::Single { rows, .. } => Input::Single(rows),
            Operand::Half(halves) => halves.input(),
        }
    }
}

/// Rows of half numbers. Their width is even, because they are read in pairs; what fills a row up
/// stays zero.
pub(super) struct Halves {
    rows: Buffer<Bf16>,
    width: usize,
}

impl Halves {
    fn zeroed(tokens: usize, width: usize) -> Result<Self, NoMemory> {
        let width = width.next_multiple_of(2);
        Ok(Halves {
            rows: Buffer::zeroed(tokens.saturating_mul(width))?,
            width,
        })
    }

    pub(super) fn rows(&mut self, tokens: usize) -> Shared<'_, Bf16> {
        Shared::new(&mut self.rows[..tokens * self.width], self.width)
    }

    pub(super) fn input(&self) -> Input<'_> {
        Input::Half(&self.rows)
    }
}
