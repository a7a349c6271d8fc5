//! `x = layer_norm(x + update)`, row by row.

use super::{Rounded, Shared};
use crate::native::math;
use crate::native::simd::Simd;

/// Rows of one part: enough work to be worth handing out.
const BLOCK_ROWS: usize = 16;

/// The learned numbers of a layer norm.
#[derive(Clone, Copy)]
pub(in crate::native) struct Norm<'a> {
    pub(in crate::native) gamma: &'a [f32],
    pub(in crate::native) beta: &'a [f32],
    pub(in crate::native) eps: f32,
}

pub(in crate::native) struct AddNorm<'a> {
    pub(in crate::native) update: &'a [f32],
    pub(in crate::native) norm: Norm<'a>,
    pub(in crate::native) out: Shared<'a>,
    /// Gets the same rows, rounded, where the next step multiplies those.
    pub(in crate::native) rounded: Option<Rounded<'a>>,
}

impl Norm<'_> {
    #[inline(always)]
    pub(super) fn apply<S: Simd>(&self, s: S, row: &mut [f32]) {
        math::layer_norm(s, row, self.gamma, self.beta, self.eps);
    }
}

impl AddNorm<'_> {
    pub(super) fn parts(&self) -> usize {
        self.out.rows().div_ceil(BLOCK_ROWS)
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "parts of one step write different pieces")]
    pub(super) fn run<S: Simd>(&self, s: S, part: usize) {
        let cols = self.out.cols();
        let first = part * BLOCK_ROWS;
        for row in first..self.out.rows().min(first + BLOCK_ROWS) {
            // SAFETY: each row belongs to one part.
            let x = unsafe { self.out.piece(row, 0..cols) };
            math::add(s, x, &self.update[row * cols..][..cols]);
            self.norm.apply(s, x);
            if let Some(rounded) = &self.rounded {
                // SAFETY: as above.
                unsafe { rounded.put(s, row, x) };
            }
        }
    }
}
