//! The memory of one execution context: made once, of a size that depends on the model only, and
//! touched, so that no request waits for a page.

use std::cmp::Reverse;

use super::group::Group;
use super::math::Scaling;
use super::memory::{Bf16, Buffer, Floats, NoMemory, halves, halves_mut};
use super::ops::{Bytes, Input, Rounded, Rows, Shared};
use crate::load::{Dtype, EncoderConfig};

/// Tokens that are computed together: enough that reading the weights is little beside computing
/// with them. More would only take memory, which each replica has for itself. What sequences they
/// come from changes no answer.
const GROUP_TOKENS: usize = 256;

/// One row for each token of a group.
pub(super) struct Arena {
    tokens: usize,
    /// The residual stream.
    pub(super) stream: Floats,
    /// What linear steps read in its place, where they multiply rounded numbers.
    pub(super) rounded: Option<RoundedRows>,
    /// The widest rows. A layer holds queries, keys and values, and after that its inner rows: never
    /// both, so they share their memory. What attention makes of queries comes to lie where they were,
    /// and then behind what is added to the residual stream; that lies before the inner rows, too.
    pub(super) wide: Floats,
    pub(super) operand: Operand,
    /// Where each sequence of the group begins and ends.
    pub(super) spans: Vec<(usize, usize)>,
    /// The same, longest first.
    pub(super) order: Vec<(usize, usize)>,
}

impl Arena {
    pub(super) fn new(config: &EncoderConfig, dtype: Dtype) -> Result<Self, NoMemory> {
        let tokens = GROUP_TOKENS.max(config.max_tokens);
        let rows = |width: usize| Floats::zeroed(tokens.saturating_mul(width));
        let operand = Operand(dtype);
        let inner = operand.floats(config.inner);
        let wide = (3 * config.hidden).max(match dtype {
            // Those of a large group are computed in pieces: what is added lies before them.
            Dtype::F32 | Dtype::Bf16 => config.hidden + inner.div_ceil(tokens),
            // They are rounded to where those were that they were computed from: all at once.
            Dtype::Int8 => config.hidden + inner,
        });
        Ok(Arena {
            tokens,
            stream: rows(config.hidden)?,
            rounded: match dtype {
                Dtype::F32 => None,
                Dtype::Bf16 => Some(RoundedRows::halves(tokens, config.hidden)?),
                Dtype::Int8 => Some(RoundedRows::bytes(tokens, config.hidden.max(config.inner))?),
            },
            wide: rows(wide)?,
            operand,
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

/// How inner rows lie in memory, which one linear step writes and another reads: in what that one
/// multiplies, but for bytes. How much a byte is worth is only known when the whole row is: such
/// rows are rounded by a step of their own.
#[derive(Clone, Copy)]
pub(super) struct Operand(Dtype);

impl Operand {
    /// Floats whose memory a row takes.
    pub(super) fn floats(self, width: usize) -> usize {
        match self.0 {
            Dtype::F32 | Dtype::Int8 => width,
            Dtype::Bf16 => even(width) / 2,
        }
    }

    /// To write the first `tokens` rows.
    pub(super) fn rows(self, memory: &mut [f32], tokens: usize, width: usize) -> Rows<'_> {
        match self.0 {
            Dtype::F32 | Dtype::Int8 => {
                Rows::Single(Shared::new(&mut memory[..tokens * width], width))
            }
            Dtype::Bf16 => {
                let rows = &mut halves_mut(memory)[..tokens * even(width)];
                if width % 2 == 1 {
                    // Something else was here before.
                    let fill = rows.iter_mut().skip(width).step_by(width + 1);
                    fill.for_each(|half| *half = Bf16::default());
                }
                Rows::Half(Shared::new(rows, even(width)))
            }
        }
    }

    /// To read rows.
    pub(super) fn input(self, memory: &[f32]) -> Input<'_> {
        match self.0 {
            Dtype::F32 | Dtype::Int8 => Input::Single(memory),
            Dtype::Bf16 => Input::Half(halves(memory)),
        }
    }
}

/// Half numbers are read in pairs.
fn even(width: usize) -> usize {
    width.next_multiple_of(2)
}

/// Rounded rows in memory of their own.
pub(super) enum RoundedRows {
    /// What fills a row up to an even width stays zero.
    Halves { rows: Buffer<Bf16>, width: usize },
    /// Rows of any width up to the widest. What fills one up to whole words does not matter: the
    /// weights there are zero.
    Bytes {
        rows: Buffer<u8>,
        scalings: Buffer<Scaling>,
    },
}

impl RoundedRows {
    fn halves(tokens: usize, width: usize) -> Result<Self, NoMemory> {
        let width = even(width);
        let rows = Buffer::zeroed(tokens.saturating_mul(width))?;
        Ok(RoundedRows::Halves { rows, width })
    }

    fn bytes(tokens: usize, widest: usize) -> Result<Self, NoMemory> {
        Ok(RoundedRows::Bytes {
            rows: Buffer::zeroed(tokens.saturating_mul(words(widest)))?,
            scalings: Buffer::zeroed(tokens)?,
        })
    }

    /// To write the first `tokens` rows.
    pub(super) fn rows(&mut self, tokens: usize, width: usize) -> Rounded<'_> {
        match self {
            RoundedRows::Halves { rows, width } => {
                Rounded::Half(Shared::new(&mut rows[..tokens * *width], *width))
            }
            RoundedRows::Bytes { rows, scalings } => {
                let width = words(width);
                Rounded::Bytes(Bytes {
                    rows: Shared::new(&mut rows[..tokens * width], width),
                    scalings: Shared::new(&mut scalings[..tokens], 1),
                })
            }
        }
    }

    pub(super) fn input(&self) -> Input<'_> {
        match self {
            RoundedRows::Halves { rows, .. } => Input::Half(rows),
            RoundedRows::Bytes { rows, scalings } => Input::Bytes(rows, scalings),
        }
    }
}

/// Bytes are read four at a time.
fn words(width: usize) -> usize {
    width.next_multiple_of(4)
}
