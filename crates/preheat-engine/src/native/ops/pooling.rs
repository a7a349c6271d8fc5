//! The rows of a sequence to the one vector that stands for it. A part is one sequence.

use super::Shared;
use crate::load::Pooling;
use crate::native::math;
use crate::native::simd::Simd;

pub(in crate::native) struct Pooled<'a> {
    pub(in crate::native) hidden: &'a [f32],
    /// Where each sequence begins and ends in the rows of `hidden`; none is empty.
    pub(in crate::native) spans: &'a [(usize, usize)],
    pub(in crate::native) pooling: Pooling,
    pub(in crate::native) normalize: bool,
    pub(in crate::native) out: Shared<'a>,
}

impl Pooled<'_> {
    pub(super) fn parts(&self) -> usize {
        self.spans.len()
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "parts of one step write different pieces")]
    pub(super) fn run<S: Simd>(&self, s: S, part: usize) {
        let cols = self.out.cols();
        let (start, end) = self.spans[part];
        let row = |token: usize| &self.hidden[token * cols..][..cols];
        // SAFETY: each part writes the row of its own sequence.
        let out = unsafe { self.out.piece(part, 0..cols) };
        out.copy_from_slice(row(start));
        match self.pooling {
            Pooling::Cls => {}
            Pooling::Max => (start + 1..end).for_each(|token| math::max(s, out, row(token))),
            Pooling::Mean => {
                (start + 1..end).for_each(|token| math::add(s, out, row(token)));
                math::scale(s, out, 1.0 / (end - start) as f32);
            }
        }
        if self.normalize {
            math::normalize(s, out);
        }
    }
}
