//! A large table that stays in its file, of which a request meets a few rows: a vocabulary.
//!
//! The first touch of a mapped page is a fault, and costs a request several times what a call costs
//! that reads the row instead. A vocabulary has hundreds of places where that would happen, so rows
//! are read by calls at first; a place that is asked for again and again is worth its fault.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use super::error::LoadError;
use super::weights::Tensor;

/// What Linux maps at one fault, where it is mapped sparsely, by its default.
const PLACE: usize = 64 << 10;

/// Calls for rows of one place, until the place is mapped.
const CALLS: u8 = 16;

#[derive(Debug)]
pub(crate) struct Rows {
    table: Tensor,
    /// How often each place was read by a call.
    calls: Box<[AtomicU8]>,
}

impl Rows {
    pub(crate) fn new(table: Tensor) -> Self {
        let places = table.range().len().div_ceil(PLACE);
        Rows {
            table,
            calls: (0..places).map(|_| AtomicU8::new(0)).collect(),
        }
    }

    /// Copies row `row` to `out`, which has one place for each column.
    pub(crate) fn read(&self, row: usize, out: &mut [f32]) {
        // A file that cannot be read is as good mapped as it was before.
        if self.is_mapped(row) || self.table.call_row(row, out).is_err() {
            self.table.read_row(row, out);
        }
    }

    /// Whether all of row `row` lies in places that are worth a fault, or have had theirs. Counts.
    fn is_mapped(&self, row: usize) -> bool {
        let bytes = self.table.row_bytes();
        let (first, end) = (row * bytes / PLACE, ((row + 1) * bytes).div_ceil(PLACE));
        let places = self.calls.get(first..end).unwrap_or_default();
        places.iter().fold(true, |all, calls| {
            let is_often = calls.load(Relaxed) >= CALLS;
            if !is_often {
                // Threads that meet here may count one too many: nothing depends on it.
                calls.fetch_add(1, Relaxed);
            }
            all && is_often
        })
    }

    /// Has all of it in memory, without mapping any.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn bring(&self) -> Result<(), LoadError> {
        self.table.bring()
    }

    /// Whether all of it is in memory.
    pub(crate) fn is_there(&self) -> bool {
        self.table.is_there()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use safetensors::Dtype;
    use safetensors::tensor::{TensorView, serialize_to_file};

    use super::super::weights::{Tensors, WeightsFile};
    use super::*;

    /// Rows over several places, each wider than what one call reads.
    const ROWS: usize = 70;
    const COLS: usize = 2100;

    fn rows(dtype: Dtype) -> Rows {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let bytes: Vec<u8> = (0..ROWS * COLS * dtype.bitsize() / 8)
            .map(|at| (at * 31 % 251) as u8)
            .collect();
        let view = TensorView::new(dtype, vec![ROWS, COLS], &bytes).unwrap();
        serialize_to_file([("words", view)], None, &path).unwrap();
        let files = [Arc::new(WeightsFile::map(&path).unwrap())];
        let tensors = Tensors::parse(&files, &[], "words").unwrap();
        Rows::new(tensors.get("words", &[ROWS, COLS]).unwrap())
    }

    #[test]
    fn a_row_is_the_same_by_a_call_and_mapped() {
        for dtype in [Dtype::F32, Dtype::F16, Dtype::BF16] {
            let rows = rows(dtype);
            for row in [0, 1, 7, 8, 15, 31, ROWS - 1] {
                let mut mapped = vec![0.0; COLS];
                rows.table.read_row(row, &mut mapped);
                let bits = |row: &[f32]| row.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                for time in 0..CALLS + 2 {
                    let mut read = vec![0.0; COLS];
                    rows.read(row, &mut read);
                    assert_eq!(
                        bits(&read),
                        bits(&mapped),
                        "{dtype:?} row {row}, time {time}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_place_that_is_asked_for_often_is_mapped_and_no_other() {
        let rows = rows(Dtype::F32);
        // 8400 bytes: eight rows begin in each place, and the last of them ends in the next.
        for _ in 0..CALLS {
            assert!(!rows.is_mapped(3));
        }
        assert!(rows.is_mapped(3) && rows.is_mapped(5));
        assert!(!rows.is_mapped(7), "its end is in another place");
        assert!(!rows.is_mapped(30) && !rows.is_mapped(ROWS - 1));
    }
}
