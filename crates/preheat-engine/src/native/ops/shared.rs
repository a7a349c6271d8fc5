//! A matrix that the parts of one step write at the same time, each its own piece.
#![expect(
    unsafe_code,
    reason = "the compiler cannot see that parts do not overlap"
)]

use std::marker::PhantomData;
use std::ops::Range;

pub(in crate::native) struct Shared<'a> {
    start: *mut f32,
    rows: usize,
    cols: usize,
    matrix: PhantomData<&'a mut [f32]>,
}

// SAFETY: it is an exclusive borrow of floats; `piece` passes on the duty not to overlap.
unsafe impl Send for Shared<'_> {}
// SAFETY: as above.
unsafe impl Sync for Shared<'_> {}

impl<'a> Shared<'a> {
    pub(in crate::native) fn new(matrix: &'a mut [f32], cols: usize) -> Self {
        let (rows, start) = (matrix.len() / cols, matrix.as_mut_ptr());
        Shared {
            start,
            rows,
            cols,
            matrix: PhantomData,
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn cols(&self) -> usize {
        self.cols
    }

    /// Some columns of one row.
    ///
    /// # Safety
    /// No other part of the step may use these numbers, and no other piece of them may be alive.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "each part takes its own piece")]
    pub(super) unsafe fn piece(&self, row: usize, cols: Range<usize>) -> &mut [f32] {
        assert!(row < self.rows && cols.start <= cols.end && cols.end <= self.cols);
        // SAFETY: the piece lies inside the matrix, and the caller promises that it is alone.
        unsafe {
            let start = self.start.add(row * self.cols + cols.start);
            std::slice::from_raw_parts_mut(start, cols.len())
        }
    }
}
