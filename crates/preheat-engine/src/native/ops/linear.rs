//! `out = activation(input × weights + bias)`.

use super::{Rows, tiles};
use crate::load::Activation;
use crate::native::math::{self, Scaling};
use crate::native::simd::Simd;
use crate::native::tile::{Element, Sink, Tile};

/// Rows that go through one panel before the next: with 1536 inputs they fill half of a
/// second-level cache of 1 MB.
const BLOCK_ROWS: usize = 96;

/// Enough for threads that begin late or are slow to leave work to the others.
const PARTS_PER_THREAD: usize = 6;

/// The learned numbers of a linear step, as `layout.rs` describes them.
#[derive(Clone, Copy)]
pub(in crate::native) struct Dense<'a> {
    pub(in crate::native) panels: &'a [f32],
    /// One number for each column of the panels.
    pub(in crate::native) bias: &'a [f32],
    /// Of weights of one byte: as many scales, and as many sums; else nothing.
    pub(in crate::native) scales: &'a [f32],
    pub(in crate::native) sums: &'a [f32],
}

pub(in crate::native) struct Linear<'a, E> {
    input: &'a [E],
    /// What the rows of `input` stand for, where they are bytes; else nothing.
    scalings: &'a [Scaling],
    dense: Dense<'a>,
    activation: Option<Activation>,
    out: Rows<'a>,
    /// Parts are blocks of rows × groups of panels.
    blocks: usize,
    groups: usize,
}

impl<'a, E: Element> Linear<'a, E> {
    /// Rows of `input` have as many words as the panels have lines.
    pub(in crate::native) fn new(
        (input, scalings): (&'a [E], &'a [Scaling]),
        dense: Dense<'a>,
        activation: Option<Activation>,
        out: Rows<'a>,
        threads: usize,
    ) -> Self {
        let blocks = out.rows().div_ceil(BLOCK_ROWS).max(1);
        let groups = (PARTS_PER_THREAD * threads).div_ceil(blocks);
        Linear {
            input,
            scalings,
            dense,
            activation,
            out,
            blocks,
            groups,
        }
    }

    pub(super) fn parts(&self) -> usize {
        self.blocks * self.groups
    }

    #[inline(always)]
    pub(super) fn run<S: Simd>(&self, s: S, part: usize) {
        let Dense { panels, bias, .. } = self.dense;
        let (block, group) = (part / self.groups, part % self.groups);
        let (first, end) = piece(self.out.rows(), self.blocks, block);
        let (panel, last) = piece(bias.len() / S::PANEL, self.groups, group);
        let depth = panels.len() / bias.len();
        let stride = depth * E::PER_WORD;
        for panel in panel..last {
            let column = panel * S::PANEL;
            let panel = &panels[column * depth..][..S::PANEL * depth];
            for (row, rows) in tiles(end - first, S::ROWS) {
                let row = first + row;
                let input = &self.input[row * stride..];
                let sink = &mut Output {
                    op: self,
                    row,
                    column,
                };
                s.tile(
                    &Tile {
                        input,
                        stride,
                        rows,
                        panel,
                        depth,
                    },
                    sink,
                );
            }
        }
    }
}

impl<E: Element> Linear<'_, E> {
    /// What the sums from `column` on come to.
    #[inline(always)]
    fn value<S: Simd>(&self, s: S, row: usize, column: usize, sum: S::V) -> S::V {
        let bias = s.load(&self.dense.bias[column..]);
        if !E::WHOLE {
            return s.add(sum, bias);
        }
        // The sum of (least + step × byte) × weight.
        let Scaling { step, least } = self.scalings[row];
        let sums = s.load(&self.dense.sums[column..]);
        let scales = s.load(&self.dense.scales[column..]);
        let scaled = s.mul(s.whole(sum), s.splat(step));
        s.mul_add(scaled, scales, s.mul_add(sums, s.splat(least), bias))
    }
}

/// Where piece `index` of `count` things begins and ends, when they are cut into `pieces`.
#[inline(always)]
fn piece(count: usize, pieces: usize, index: usize) -> (usize, usize) {
    (count * index / pieces, count * (index + 1) / pieces)
}

/// Where a tile begins in the output.
struct Output<'a, 'op, E> {
    op: &'op Linear<'a, E>,
    row: usize,
    column: usize,
}

impl<S: Simd, E: Element> Sink<S> for Output<'_, '_, E> {
    #[inline(always)]
    #[expect(unsafe_code, reason = "parts of one step write different pieces")]
    fn take(&mut self, s: S, row: usize, vector: usize, sum: S::V) {
        let op = self.op;
        let column = self.column + vector * S::LANES;
        let end = op.out.cols().min(column + S::LANES);
        if column >= end {
            return;
        }
        let value = op.value(s, self.row + row, column, sum);
        let value = match op.activation {
            None => value,
            Some(Activation::Gelu) => math::gelu(s, value),
            Some(Activation::Relu) => s.max(s.splat(0.0), value),
            Some(Activation::Tanh) => math::tanh(s, value),
        };
        // SAFETY: each number belongs to one row and one panel, and these to one part.
        unsafe { op.out.store(s, value, self.row + row, column..end) };
    }
}
