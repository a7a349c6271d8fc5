//! A matrix that the parts of one step write at the same time, each its own piece.
#![expect(
    unsafe_code,
    reason = "the compiler cannot see that parts do not overlap"
)]

use std::marker::PhantomData;
use std::ops::Range;

use crate::native::math::{self, Scaling};
use crate::native::memory::{Bf16, Plain};
use crate::native::simd::Simd;

pub(in crate::native) struct Shared<'a, T = f32> {
    start: *mut T,
    rows: usize,
    cols: usize,
    matrix: PhantomData<&'a mut [T]>,
}

// SAFETY: it is an exclusive borrow of plain numbers; `piece` passes on the duty not to overlap.
unsafe impl<T: Plain> Send for Shared<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Plain> Sync for Shared<'_, T> {}

impl<'a, T: Plain> Shared<'a, T> {
    pub(in crate::native) fn new(matrix: &'a mut [T], cols: usize) -> Self {
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
    pub(super) unsafe fn piece(&self, row: usize, cols: Range<usize>) -> &mut [T] {
        assert!(row < self.rows && cols.start <= cols.end && cols.end <= self.cols);
        // SAFETY: the piece lies inside the matrix, and the caller promises that it is alone.
        unsafe {
            let start = self.start.add(row * self.cols + cols.start);
            std::slice::from_raw_parts_mut(start, cols.len())
        }
    }
}

/// Rows that the next linear step multiplies, in whatever it multiplies in.
pub(in crate::native) enum Rows<'a> {
    Single(Shared<'a, f32>),
    Half(Shared<'a, Bf16>),
}

impl Rows<'_> {
    pub(super) fn rows(&self) -> usize {
        match self {
            Rows::Single(rows) => rows.rows(),
            Rows::Half(rows) => rows.rows(),
        }
    }

    pub(super) fn cols(&self) -> usize {
        match self {
            Rows::Single(rows) => rows.cols(),
            Rows::Half(rows) => rows.cols(),
        }
    }

    /// Stores the lanes of `value` from `cols.start` on, as many as `cols` has.
    ///
    /// # Safety
    /// As for [`Shared::piece`].
    #[inline(always)]
    pub(super) unsafe fn store<S: Simd>(&self, s: S, value: S::V, row: usize, cols: Range<usize>) {
        // SAFETY: the caller promises that the piece is alone.
        unsafe {
            match self {
                Rows::Single(rows) => s.store_some(value, rows.piece(row, cols)),
                Rows::Half(rows) => s.store_some_halves(value, rows.piece(row, cols)),
            }
        }
    }
}

/// Where whole rows go that were rounded for the next linear step.
pub(in crate::native) enum Rounded<'a> {
    Half(Shared<'a, Bf16>),
    Bytes(Bytes<'a>),
}

/// Rows of bytes, and what they stand for.
pub(in crate::native) struct Bytes<'a> {
    pub(in crate::native) rows: Shared<'a, u8>,
    /// One for each row.
    pub(in crate::native) scalings: Shared<'a, Scaling>,
}

impl Rounded<'_> {
    /// Rounds a row.
    ///
    /// # Safety
    /// As for [`Shared::piece`], of the whole row.
    #[inline(always)]
    pub(super) unsafe fn put<S: Simd>(&self, s: S, row: usize, numbers: &[f32]) {
        let cols = 0..numbers.len();
        // SAFETY: the caller promises that the row is alone.
        unsafe {
            match self {
                Rounded::Half(rows) => math::round(s, numbers, rows.piece(row, cols)),
                Rounded::Bytes(Bytes { rows, scalings }) => {
                    let scaling = math::to_bytes(s, numbers, rows.piece(row, cols));
                    scalings.piece(row, 0..1)[0] = scaling;
                }
            }
        }
    }
}

/// Rows that a linear step reads.
#[derive(Clone, Copy)]
pub(in crate::native) enum Input<'a> {
    Single(&'a [f32]),
    Half(&'a [Bf16]),
    Bytes(&'a [u8], &'a [Scaling]),
}

impl Input<'_> {
    /// Without the rows before this one, which are `width` numbers wide.
    pub(in crate::native) fn from(self, row: usize, width: usize) -> Self {
        match self {
            Input::Single(rows) => Input::Single(&rows[row * width..]),
            // Read in pairs, and four at a time.
            Input::Half(rows) => Input::Half(&rows[row * width.next_multiple_of(2)..]),
            Input::Bytes(rows, scalings) => {
                Input::Bytes(&rows[row * width.next_multiple_of(4)..], &scalings[row..])
            }
        }
    }
}
