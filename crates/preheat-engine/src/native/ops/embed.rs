//! Token ids to the first hidden rows: word plus position, normalised. A part is one sequence.

use super::{Norm, Rounded, Shared};
use crate::engine::SECOND;
use crate::load::Rows;
use crate::native::math;
use crate::native::simd::Simd;

pub(in crate::native) struct Embed<'a> {
    pub(in crate::native) ids: &'a [u32],
    /// Where each sequence begins and ends in `ids`.
    pub(in crate::native) spans: &'a [(usize, usize)],
    pub(in crate::native) words: &'a Rows,
    /// One row for each position in a sequence.
    pub(in crate::native) positions: &'a [f32],
    /// For tokens of the second text of a pair.
    pub(in crate::native) second: Option<&'a [f32]>,
    pub(in crate::native) norm: Norm<'a>,
    pub(in crate::native) out: Shared<'a>,
    /// Gets the same rows, rounded, where the next step multiplies those.
    pub(in crate::native) rounded: Option<Rounded<'a>>,
}

impl Embed<'_> {
    pub(super) fn parts(&self) -> usize {
        self.spans.len()
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "parts of one step write different pieces")]
    pub(super) fn run<S: Simd>(&self, s: S, part: usize) {
        let cols = self.out.cols();
        let (start, end) = self.spans[part];
        for token in start..end {
            // SAFETY: each token belongs to one sequence.
            let row = unsafe { self.out.piece(token, 0..cols) };
            let id = self.ids[token];
            self.words.read((id & !SECOND) as usize, row);
            math::add(s, row, &self.positions[(token - start) * cols..][..cols]);
            if let Some(second) = self.second.filter(|_| id & SECOND != 0) {
                math::add(s, row, second);
            }
            self.norm.apply(s, row);
            if let Some(rounded) = &self.rounded {
                // SAFETY: as above.
                unsafe { rounded.put(s, token, row) };
            }
        }
    }
}
