//! Rows to what the next step multiplies, where the step that made them knew only pieces of each.

use super::Rounded;
use crate::native::simd::Simd;

/// Rows of one part: enough work to be worth handing out.
const BLOCK_ROWS: usize = 16;

pub(in crate::native) struct Round<'a> {
    pub(in crate::native) input: &'a [f32],
    /// Numbers in a row.
    pub(in crate::native) width: usize,
    pub(in crate::native) out: Rounded<'a>,
}

impl Round<'_> {
    fn rows(&self) -> usize {
        self.input.len() / self.width
    }

    pub(super) fn parts(&self) -> usize {
        self.rows().div_ceil(BLOCK_ROWS)
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "parts of one step write different pieces")]
    pub(super) fn run<S: Simd>(&self, s: S, part: usize) {
        let first = part * BLOCK_ROWS;
        for row in first..self.rows().min(first + BLOCK_ROWS) {
            let numbers = &self.input[row * self.width..][..self.width];
            // SAFETY: each row belongs to one part.
            unsafe { self.out.put(s, row, numbers) };
        }
    }
}
