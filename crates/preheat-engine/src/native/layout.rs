//! Where every number of a model lies in its packed image. Pure arithmetic: the same config and
//! panel width always give the same layout.

use std::ops::Range;

use super::memory::LINE_FLOATS;
use crate::load::{Dtype, EncoderConfig};

/// Raised whenever the same description would mean other bytes.
const VERSION: u32 = 2;

/// The packed image of a model: all numbers that a forward pass streams, in the order of use.
#[derive(Debug)]
pub(super) struct Layout {
    /// A row for each position that a token can have: its embedding plus that of token type zero.
    pub(super) positions: Range<usize>,
    pub(super) embedding_norm: Norm,
    pub(super) layers: Vec<Layer>,
    /// What is added to a token of the second text of a pair.
    pub(super) second: Option<Range<usize>>,
    /// For each head, a number for each distance from the key back to the query: from one less than
    /// the longest sequence down to the negative of that.
    pub(super) distances: Option<Range<usize>>,
    pub(super) head: Option<[Dense; 2]>,
    /// Numbers in the image.
    pub(super) len: usize,
    /// Columns of one panel.
    pub(super) panel: usize,
    /// Everything that decides what the image holds, the weights aside.
    pub(super) description: String,
}

#[derive(Debug)]
pub(super) struct Layer {
    /// Query, key and value as one step with three times as many outputs.
    pub(super) qkv: Dense,
    pub(super) attention_out: Dense,
    pub(super) attention_norm: Norm,
    pub(super) up: Dense,
    pub(super) down: Dense,
    pub(super) output_norm: Norm,
}

/// A matrix in panels, and its bias.
#[derive(Debug, Clone)]
pub(super) struct Dense {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) dtype: Dtype,
    /// Panel after panel; in a panel, for each word of an input row (one number, two half numbers
    /// or four bytes), one word for each of its columns. The last panel is filled up with zeros,
    /// and so are the bias, scales, sums, and a last word that is not full.
    pub(super) panels: Range<usize>,
    pub(super) bias: Range<usize>,
    /// Of bytes only.
    pub(super) scaled: Option<Scaled>,
}

/// What weights of one byte stand for, a number for each column.
#[derive(Debug, Clone)]
pub(super) struct Scaled {
    /// What one step of the column's bytes is worth.
    pub(super) scales: Range<usize>,
    /// The sum of the column's weights.
    pub(super) sums: Range<usize>,
}

#[derive(Debug, Clone)]
pub(super) struct Norm {
    pub(super) gamma: Range<usize>,
    pub(super) beta: Range<usize>,
}

impl Layout {
    pub(super) fn of(config: &EncoderConfig, panel: usize, dtype: Dtype) -> Self {
        let mut at = Cursor {
            end: 0,
            panel,
            dtype,
        };
        let (hidden, inner) = (config.hidden, config.inner);
        let rows = config.positions - config.first_position;
        let positions = at.take(rows * hidden);
        let embedding_norm = at.norm(hidden);
        let layers = (0..config.layers)
            .map(|_| Layer {
                qkv: at.dense(hidden, 3 * hidden),
                attention_out: at.dense(hidden, hidden),
                attention_norm: at.norm(hidden),
                up: at.dense(hidden, inner),
                down: at.dense(inner, hidden),
                output_norm: at.norm(hidden),
            })
            .collect();
        let second = config.token_types.filter(|&types| types > 1);
        let second = second.map(|_| at.take(hidden));
        let distances = config
            .distances
            .map(|_| at.take(config.heads * spread(rows)));
        // One row for each sequence: precision costs nothing here.
        at.dtype = Dtype::F32;
        let head = config.head.as_ref().map(|head| {
            [
                at.dense(hidden, hidden),
                at.dense(hidden, head.labels.len()),
            ]
        });
        let EncoderConfig {
            family,
            first_position,
            token_types,
            ..
        } = config;
        let description = format!(
            "layout {VERSION} family {family:?} layers {} hidden {hidden} inner {inner} \
             positions {rows} from {first_position} types {} panel {panel} dtype {} \
             heads {} distances {} labels {}",
            config.layers,
            token_types.unwrap_or(0),
            dtype.name(),
            config.heads,
            config.distances.map_or(0, |distances| distances.classes),
            config.head.as_ref().map_or(0, |head| head.labels.len()),
        );
        Layout {
            positions,
            embedding_norm,
            layers,
            second,
            distances,
            head,
            len: at.end,
            panel,
            description,
        }
    }
}

/// Distances between two tokens of up to `tokens`, in both directions.
pub(super) const fn spread(tokens: usize) -> usize {
    2 * tokens - 1
}

/// Hands out ranges one after the other, each beginning on a cache line.
struct Cursor {
    end: usize,
    panel: usize,
    dtype: Dtype,
}

impl Cursor {
    fn take(&mut self, len: usize) -> Range<usize> {
        let start = self.end;
        self.end += len.next_multiple_of(LINE_FLOATS);
        start..start + len
    }

    fn dense(&mut self, inputs: usize, outputs: usize) -> Dense {
        let columns = outputs.next_multiple_of(self.panel);
        let words = inputs.div_ceil(self.dtype.per_word());
        Dense {
            inputs,
            outputs,
            dtype: self.dtype,
            panels: self.take(columns * words),
            bias: self.take(columns),
            scaled: (self.dtype == Dtype::Int8).then(|| Scaled {
                scales: self.take(columns),
                sums: self.take(columns),
            }),
        }
    }

    fn norm(&mut self, width: usize) -> Norm {
        Norm {
            gamma: self.take(width),
            beta: self.take(width),
        }
    }
}

impl Dtype {
    /// Weights in one word of a panel.
    pub(super) fn per_word(self) -> usize {
        match self {
            Dtype::F32 => 1,
            Dtype::Bf16 => 2,
            Dtype::Int8 => 4,
        }
    }
}
