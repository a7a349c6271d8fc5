//! Scaled dot-product attention within each sequence. A part is one head of one sequence.
//!
//! Keys and values of the head are brought into panels, so that scores and answers come from the
//! same tile as every other product.

use super::{Shared, tiles};
use crate::load::EncoderConfig;
use crate::native::math;
use crate::native::memory::{Floats, NoMemory};
use crate::native::simd::Simd;
use crate::native::tile::{Sink, Tile};

/// Queries whose scores are held at once.
const BLOCK_ROWS: usize = 48;

pub(in crate::native) struct Attention<'a> {
    /// For each token its query, key and value, all heads of one after the other. An answer comes to
    /// lie where its query was.
    pub(in crate::native) qkv: Shared<'a>,
    pub(in crate::native) heads: usize,
    /// Numbers of one head.
    pub(in crate::native) width: usize,
    /// Where each sequence begins and ends; the longest first, so that the last parts are short.
    pub(in crate::native) order: &'a [(usize, usize)],
    /// What is added to scores, as `layout.rs` describes it.
    pub(in crate::native) distances: Option<&'a [f32]>,
}

/// What one thread needs beside the matrices of a step.
pub(in crate::native) struct Scratch {
    queries: Floats,
    keys: Floats,
    values: Floats,
    scores: Floats,
}

impl Scratch {
    pub(in crate::native) fn new(config: &EncoderConfig, panel: usize) -> Result<Self, NoMemory> {
        Scratch::of(config.max_tokens, config.hidden / config.heads, panel)
    }

    /// For sequences of up to `tokens` and heads that are `width` wide.
    pub(in crate::native) fn of(
        tokens: usize,
        width: usize,
        panel: usize,
    ) -> Result<Self, NoMemory> {
        let padded = tokens.next_multiple_of(panel);
        Ok(Scratch {
            queries: Floats::zeroed(BLOCK_ROWS * width)?,
            keys: Floats::zeroed(padded * width)?,
            values: Floats::zeroed(tokens * width.next_multiple_of(panel))?,
            scores: Floats::zeroed(BLOCK_ROWS * padded)?,
        })
    }
}

impl Attention<'_> {
    pub(super) fn parts(&self) -> usize {
        self.order.len() * self.heads
    }

    #[inline(always)]
    pub(super) fn run<S: Simd>(&self, s: S, part: usize, scratch: &mut Scratch) {
        let Scratch {
            queries,
            keys,
            values,
            scores,
        } = scratch;
        let (start, end) = self.order[part / self.heads];
        let tokens = end - start;
        let padded = tokens.next_multiple_of(S::PANEL);
        let head = Head {
            op: self,
            index: part % self.heads,
            start,
            tokens,
            padded,
        };
        head.pack_keys::<S>(keys);
        head.pack_values::<S>(values);
        for first in (0..tokens).step_by(BLOCK_ROWS) {
            let rows = BLOCK_ROWS.min(tokens - first);
            let queries = &mut queries[..rows * self.width];
            let scores = &mut scores[..rows * padded];
            head.gather_queries(first, queries);
            head.scores(s, queries, keys, scores);
            let sums = head.weights(s, first, scores);
            head.answers(s, first, scores, &sums[..rows], values);
        }
    }
}

/// One head of one sequence.
struct Head<'a> {
    op: &'a Attention<'a>,
    index: usize,
    start: usize,
    tokens: usize,
    /// Tokens, in whole panels.
    padded: usize,
}

/// Their order in a row of `qkv`.
const QUERY: usize = 0;
const KEY: usize = 1;
const VALUE: usize = 2;

impl<'a> Head<'a> {
    /// What this head has of a token.
    #[inline(always)]
    #[expect(unsafe_code, reason = "parts of one step use different pieces")]
    fn piece(&self, what: usize, token: usize) -> &'a [f32] {
        let Attention {
            qkv, heads, width, ..
        } = self.op;
        let first = (what * heads + self.index) * width;
        // SAFETY: each token and head belong to one part, which writes no piece that it still reads.
        unsafe { qkv.piece(self.start + token, first..first + width) }
    }

    /// Queries from a token on, one after the other: answers take their place.
    #[inline(always)]
    fn gather_queries(&self, first: usize, queries: &mut [f32]) {
        let rows = queries.chunks_exact_mut(self.op.width);
        for (row, query) in rows.enumerate() {
            query.copy_from_slice(self.piece(QUERY, first + row));
        }
    }

    /// Each key becomes a column; columns behind the last key are zero.
    #[inline(always)]
    fn pack_keys<S: Simd>(&self, keys: &mut [f32]) {
        let panels = self.tokens.div_ceil(S::PANEL);
        for (panel, lines) in keys
            .chunks_exact_mut(self.op.width * S::PANEL)
            .take(panels)
            .enumerate()
        {
            let first = panel * S::PANEL;
            let count = S::PANEL.min(self.tokens - first);
            if count < S::PANEL {
                lines.fill(0.0);
            }
            for column in 0..count {
                let key = self.piece(KEY, first + column);
                for (line, value) in lines.chunks_exact_mut(S::PANEL).zip(key) {
                    line[column] = *value;
                }
            }
        }
    }

    /// Each value becomes a line; lines are cut into panels and filled up with zeros.
    #[inline(always)]
    fn pack_values<S: Simd>(&self, values: &mut [f32]) {
        for (panel, lines) in values
            .chunks_exact_mut(self.tokens * S::PANEL)
            .take(self.op.width.div_ceil(S::PANEL))
            .enumerate()
        {
            let first = panel * S::PANEL;
            let count = S::PANEL.min(self.op.width - first);
            for (token, line) in lines.chunks_exact_mut(S::PANEL).enumerate() {
                line[..count].copy_from_slice(&self.piece(VALUE, token)[first..first + count]);
                line[count..].fill(0.0);
            }
        }
    }

    /// Rows of `query · key`, each padded to whole panels.
    #[inline(always)]
    fn scores<S: Simd>(&self, s: S, queries: &[f32], keys: &[f32], scores: &mut [f32]) {
        let (padded, width) = (self.padded, self.op.width);
        let panels = keys.chunks_exact(width * S::PANEL).take(padded / S::PANEL);
        for (panel, keys) in panels.enumerate() {
            for (row, rows) in tiles(scores.len() / padded, S::ROWS) {
                let job = Tile {
                    input: &queries[row * width..],
                    stride: width,
                    rows,
                    panel: keys,
                    depth: width,
                };
                let out = &mut scores[row * padded + panel * S::PANEL..];
                s.tile(
                    &job,
                    &mut Scores {
                        out,
                        stride: padded,
                    },
                );
            }
        }
    }

    /// Scores to softmax weights; their sums are divided out at the end.
    #[inline(always)]
    fn weights<S: Simd>(&self, s: S, first: usize, scores: &mut [f32]) -> [f32; BLOCK_ROWS] {
        let mut factor = 1.0 / (self.op.width as f32).sqrt();
        let mut sums = [0.0; BLOCK_ROWS];
        if self.op.distances.is_some() {
            for (at, row) in scores.chunks_exact_mut(self.padded).enumerate() {
                math::scale(s, &mut row[..self.tokens], factor);
                math::add(s, &mut row[..self.tokens], self.distances(first + at));
            }
            factor = 1.0;
        }
        for (row, sum) in scores.chunks_exact_mut(self.padded).zip(&mut sums) {
            row[self.tokens..].fill(f32::NEG_INFINITY);
            *sum = math::softmax_weights(s, row, factor);
        }
        sums
    }

    /// What is added to the scores of one query, a number for each key.
    #[inline(always)]
    fn distances(&self, query: usize) -> &'a [f32] {
        let table = self.op.distances.unwrap_or_default();
        let spread = table.len() / self.op.heads;
        let table = &table[self.index * spread..][..spread];
        &table[spread / 2 - query..][..self.tokens]
    }

    #[inline(always)]
    fn answers<S: Simd>(&self, s: S, first: usize, weights: &[f32], sums: &[f32], values: &[f32]) {
        let padded = self.padded;
        let panels = values.chunks_exact(self.tokens * S::PANEL);
        for (panel, values) in panels.take(self.op.width.div_ceil(S::PANEL)).enumerate() {
            for (row, rows) in tiles(sums.len(), S::ROWS) {
                let job = Tile {
                    input: &weights[row * padded..],
                    stride: padded,
                    rows,
                    panel: values,
                    depth: self.tokens,
                };
                let (column, sums) = (panel * S::PANEL, &sums[row..]);
                let row = self.start + first + row;
                s.tile(
                    &job,
                    &mut Answers {
                        head: self,
                        row,
                        column,
                        sums,
                    },
                );
            }
        }
    }
}

struct Scores<'a> {
    out: &'a mut [f32],
    stride: usize,
}

impl<S: Simd> Sink<S> for Scores<'_> {
    #[inline(always)]
    fn take(&mut self, s: S, row: usize, vector: usize, value: S::V) {
        s.store(
            value,
            &mut self.out[row * self.stride + vector * S::LANES..],
        );
    }
}

struct Answers<'a> {
    head: &'a Head<'a>,
    row: usize,
    /// In the head.
    column: usize,
    sums: &'a [f32],
}

impl<S: Simd> Sink<S> for Answers<'_> {
    #[inline(always)]
    #[expect(unsafe_code, reason = "parts of one step write different pieces")]
    fn take(&mut self, s: S, row: usize, vector: usize, value: S::V) {
        let head = self.head;
        let column = self.column + vector * S::LANES;
        let end = head.op.width.min(column + S::LANES);
        if column >= end {
            return;
        }
        let value = s.mul(value, s.splat(1.0 / self.sums[row]));
        let base = head.index * head.op.width;
        let (row, cols) = (self.row + row, base + column..base + end);
        // SAFETY: each token and head belong to one part, which has gathered these queries.
        let answer = unsafe { head.op.qkv.piece(row, cols) };
        s.store_some(value, answer);
    }
}
