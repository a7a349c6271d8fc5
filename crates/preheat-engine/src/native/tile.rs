//! Some rows times one panel of weights: the product that all others are made of. Sums live in
//! registers, and every number is summed in the order of its inputs, so that it does not matter
//! which rows share a tile.

use super::memory::Bf16;
use super::simd::Simd;

/// Some rows of a matrix, and the panel they are multiplied with.
pub(super) struct Tile<'a, E> {
    /// Begins at the first row.
    pub(super) input: &'a [E],
    /// From one row to the next.
    pub(super) stride: usize,
    pub(super) rows: usize,
    /// `depth × PANEL` words: for each word of an input row, a line of the panel.
    pub(super) panel: &'a [f32],
    /// Words of an input row.
    pub(super) depth: usize,
}

/// What becomes of a finished tile.
pub(super) trait Sink<S: Simd> {
    /// Takes register `vector` (of the panel's [`Simd::VECTORS`]) of row `row`.
    fn take(&mut self, simd: S, row: usize, vector: usize, value: S::V);
}

/// What a matrix is multiplied in.
pub(super) trait Element: Copy + 'static {
    /// Elements in one word of a panel: so many inputs share a line.
    const PER_WORD: usize;
    /// Whether sums are whole numbers.
    const WHOLE: bool = false;

    /// A word of the input in all lanes.
    ///
    /// # Safety
    /// `PER_WORD` elements must be readable at `from`.
    #[expect(
        unsafe_code,
        reason = "the innermost loop: bounds are checked once, before it"
    )]
    unsafe fn splat<S: Simd>(simd: S, from: *const Self) -> S::V;
    /// Adds the product of two words to `sum`.
    fn accumulate<S: Simd>(simd: S, input: S::V, weights: S::V, sum: S::V) -> S::V;
}

#[expect(unsafe_code, reason = "implements an unsafe interface")]
impl Element for f32 {
    const PER_WORD: usize = 1;

    #[inline(always)]
    unsafe fn splat<S: Simd>(simd: S, from: *const f32) -> S::V {
        // SAFETY: as the caller promises.
        simd.splat(unsafe { *from })
    }

    #[inline(always)]
    fn accumulate<S: Simd>(simd: S, input: S::V, weights: S::V, sum: S::V) -> S::V {
        simd.mul_add(input, weights, sum)
    }
}

#[expect(unsafe_code, reason = "implements an unsafe interface")]
impl Element for Bf16 {
    const PER_WORD: usize = 2;

    #[inline(always)]
    unsafe fn splat<S: Simd>(simd: S, from: *const Bf16) -> S::V {
        // SAFETY: as the caller promises; the pair may lie anywhere.
        simd.splat(unsafe { from.cast::<f32>().read_unaligned() })
    }

    #[inline(always)]
    fn accumulate<S: Simd>(simd: S, input: S::V, weights: S::V, sum: S::V) -> S::V {
        simd.dot_halves(input, weights, sum)
    }
}

#[expect(unsafe_code, reason = "implements an unsafe interface")]
impl Element for u8 {
    const PER_WORD: usize = 4;
    const WHOLE: bool = true;

    #[inline(always)]
    unsafe fn splat<S: Simd>(simd: S, from: *const u8) -> S::V {
        // SAFETY: as the caller promises; the four may lie anywhere.
        simd.splat(unsafe { from.cast::<f32>().read_unaligned() })
    }

    #[inline(always)]
    fn accumulate<S: Simd>(simd: S, input: S::V, weights: S::V, sum: S::V) -> S::V {
        simd.dot_bytes(input, weights, sum)
    }
}

/// `M` rows times one panel of `V` registers, each number summed over `depth` in ascending order.
#[inline(always)]
#[expect(
    unsafe_code,
    reason = "the innermost loop: bounds are checked once, before it"
)]
pub(super) fn tile<S: Simd, E: Element, K: Sink<S>, const M: usize, const V: usize>(
    simd: S,
    job: &Tile<'_, E>,
    sink: &mut K,
) {
    let Tile {
        input,
        stride,
        panel,
        depth,
        ..
    } = *job;
    let width = depth * E::PER_WORD;
    assert!(
        input.len() >= (M - 1) * stride + width,
        "the tile's rows lie inside the input"
    );
    assert!(
        panel.len() >= depth * V * S::LANES,
        "the tile's panel is complete"
    );
    let mut sums = [[simd.splat(0.0); V]; M];
    for k in 0..depth {
        // SAFETY: `k < depth`, and both slices were found long enough above.
        unsafe {
            let line = panel.as_ptr().add(k * V * S::LANES);
            let mut weights = [simd.splat(0.0); V];
            for (v, weights) in weights.iter_mut().enumerate() {
                *weights = simd.load_at(line.add(v * S::LANES));
            }
            for (m, sums) in sums.iter_mut().enumerate() {
                let value = E::splat(simd, input.as_ptr().add(m * stride + k * E::PER_WORD));
                for (sum, weights) in sums.iter_mut().zip(weights) {
                    *sum = E::accumulate(simd, value, weights, *sum);
                }
            }
        }
    }
    for (m, sums) in sums.into_iter().enumerate() {
        for (v, sum) in sums.into_iter().enumerate() {
            sink.take(simd, m, v, sum);
        }
    }
}

/// Writes an implementation of [`Simd::tile`] that picks the compiled tile for a row count.
macro_rules! tile_by_rows {
    ($vectors:literal; $($rows:literal)+) => {
        #[inline(always)]
        fn tile<E: $crate::native::tile::Element, K: $crate::native::tile::Sink<Self>>(
            self,
            job: &$crate::native::tile::Tile<'_, E>,
            sink: &mut K,
        ) {
            match job.rows {
                $($rows => $crate::native::tile::tile::<Self, E, K, $rows, $vectors>(self, job, sink),)+
                rows => unreachable!("a tile has at most {} rows, not {rows}", Self::ROWS),
            }
        }
    };
}
pub(super) use tile_by_rows;
