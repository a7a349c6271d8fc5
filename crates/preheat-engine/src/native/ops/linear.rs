//! `out = activation(input × weights + bias)`.

use super::{Shared, tiles};
use crate::load::Activation;
use crate::native::isa::Kernels;
use crate::native::math;
use crate::native::simd::{Simd, Sink, Tile};

/// Rows that go through one panel before the next: with 1536 inputs they fill half of a
/// second-level cache of 1 MB.
const BLOCK_ROWS: usize = 96;

pub(in crate::native) struct Linear<'a> {
    input: &'a [f32],
    inputs: usize,
    panels: &'a [f32],
    bias: &'a [f32],
    activation: Option<Activation>,
    out: Shared<'a>,
    /// Parts are blocks of rows × groups of panels.
    blocks: usize,
    groups: usize,
}

impl<'a> Linear<'a> {
    pub(in crate::native) fn new(
        input: &'a [f32],
        inputs: usize,
        panels: &'a [f32],
        bias: &'a [f32],
        activation: Option<Activation>,
        out: Shared<'a>,
        kernels: Kernels,
    ) -> Self {
        let blocks = out.rows().div_ceil(BLOCK_ROWS).max(1);
        let groups = bias.len() / kernels.panel;
        Linear {
            input,
            inputs,
            panels,
            bias,
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
        let panels = self.bias.len() / S::PANEL;
        let (block, group) = (part / self.groups, part % self.groups);
        let rows = |block| self.out.rows() * block / self.blocks;
        let (first, end) = (rows(block), rows(block + 1));
        for panel in panels * group / self.groups..panels * (group + 1) / self.groups {
            let weights = &self.panels[panel * S::PANEL * self.inputs..][..S::PANEL * self.inputs];
            for (row, count) in tiles(end - first, S::ROWS) {
                let row = first + row;
                let job = Tile {
                    input: &self.input[row * self.inputs..],
                    stride: self.inputs,
                    rows: count,
                    panel: weights,
                    depth: self.inputs,
                };
                s.tile(
                    &job,
                    &mut Output {
                        op: self,
                        row,
                        column: panel * S::PANEL,
                    },
                );
            }
        }
    }
}

/// Where a tile begins in the output.
struct Output<'a, 'op> {
    op: &'op Linear<'a>,
    row: usize,
    column: usize,
}

impl<S: Simd> Sink<S> for Output<'_, '_> {
    #[inline(always)]
    #[expect(unsafe_code, reason = "parts of one step write different pieces")]
    fn take(&mut self, s: S, row: usize, vector: usize, sum: S::V) {
        let op = self.op;
        let column = self.column + vector * S::LANES;
        let end = op.out.cols().min(column + S::LANES);
        if column >= end {
            return;
        }
        let value = s.add(sum, s.load(&op.bias[column..]));
        let value = match op.activation {
            None => value,
            Some(Activation::Gelu) => math::gelu(s, value),
            Some(Activation::Relu) => s.max(s.splat(0.0), value),
        };
        // SAFETY: each number belongs to one row and one panel, and these to one part.
        let piece = unsafe { op.out.piece(self.row + row, column..end) };
        s.store_some(value, piece);
    }
}
