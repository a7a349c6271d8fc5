//! The vocabulary that kernels are written in. One kernel source serves every instruction set.
//!
//! Everything generic over [`Simd`] is `#[inline(always)]`: it must end up inside the one function
//! of its instruction set that is compiled with those instructions (see `isa.rs`), otherwise each
//! operation becomes a call.

use super::memory::Bf16;

/// One instruction set. A value of an implementing type is the promise that this CPU has it.
#[expect(
    unsafe_code,
    reason = "tiles are loaded through pointers that their caller has checked"
)]
pub(super) trait Simd: Copy + Send + Sync + 'static {
    /// A vector register of floats.
    type V: Copy;
    /// Floats in one register.
    const LANES: usize;
    /// Registers side by side in one panel of weights.
    const VECTORS: usize;
    /// Most rows that one tile computes at once.
    const ROWS: usize;
    /// Columns of a panel.
    const PANEL: usize = Self::LANES * Self::VECTORS;

    fn splat(self, value: f32) -> Self::V;
    /// # Safety
    /// `LANES` floats must be readable at `from`.
    unsafe fn load_at(self, from: *const f32) -> Self::V;
    /// # Safety
    /// `LANES` floats must be writable at `to`.
    unsafe fn store_at(self, value: Self::V, to: *mut f32);

    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a × b + c`, rounded once where the instruction set can.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The larger one; `b` when either is not a number.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    fn abs(self, a: Self::V) -> Self::V;
    /// To the nearest whole number.
    fn round(self, a: Self::V) -> Self::V;
    /// `2^a` for whole `a` between -126 and 127.
    fn exp2_whole(self, a: Self::V) -> Self::V;
    fn sum(self, a: Self::V) -> f32;
    /// The largest lane.
    fn largest(self, a: Self::V) -> f32;

    /// Of pairs of half numbers, the first of each: the lower half of its bits.
    fn first_halves(self, pairs: Self::V) -> Self::V;
    /// Of pairs of half numbers, the second of each.
    fn second_halves(self, pairs: Self::V) -> Self::V;
    /// Rounds every lane.
    ///
    /// # Safety
    /// `LANES` half numbers must be writable at `to`.
    unsafe fn store_halves_at(self, value: Self::V, to: *mut Bf16);

    /// Multiplies `job.rows` rows by one panel and hands the result to `sink`.
    fn tile<E: Element, K: Sink<Self>>(self, job: &Tile<'_, E>, sink: &mut K);

    /// `a₁ × b₁ + a₂ × b₂ + c` for pairs of half numbers. How often it is rounded differs between
    /// instruction sets, as with [`Simd::mul_add`].
    #[inline(always)]
    fn dot_halves(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        let sum = self.mul_add(self.second_halves(a), self.second_halves(b), c);
        self.mul_add(self.first_halves(a), self.first_halves(b), sum)
    }

    #[inline(always)]
    fn load(self, from: &[f32]) -> Self::V {
        assert!(from.len() >= Self::LANES);
        // SAFETY: the slice is long enough.
        unsafe { self.load_at(from.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, value: Self::V, to: &mut [f32]) {
        assert!(to.len() >= Self::LANES);
        // SAFETY: the slice is long enough.
        unsafe { self.store_at(value, to.as_mut_ptr()) }
    }

    /// Stores as many lanes as there is room for.
    #[inline(always)]
    fn store_some(self, value: Self::V, to: &mut [f32]) {
        if to.len() >= Self::LANES {
            return self.store(value, to);
        }
        let mut lanes = [0.0; MOST_LANES];
        self.store(value, &mut lanes);
        let len = to.len();
        to.copy_from_slice(&lanes[..len]);
    }

    /// Rounds, and stores as many lanes as there is room for.
    #[inline(always)]
    fn store_some_halves(self, value: Self::V, to: &mut [Bf16]) {
        let mut lanes = [Bf16::default(); MOST_LANES];
        let (whole, room) = (to.len() >= Self::LANES, to.len().min(Self::LANES));
        let place = if whole {
            to.as_mut_ptr()
        } else {
            lanes.as_mut_ptr()
        };
        // SAFETY: either the slice is long enough, or the array is.
        unsafe { self.store_halves_at(value, place) };
        if !whole {
            to.copy_from_slice(&lanes[..room]);
        }
    }
}

/// Lanes of the widest instruction set.
const MOST_LANES: usize = 16;

/// What a matrix is multiplied in.
pub(super) trait Element: Copy + 'static {
    /// Elements in one word of a panel: so many inputs share a line.
    const PER_WORD: usize;

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
        fn tile<E: $crate::native::simd::Element, K: $crate::native::simd::Sink<Self>>(
            self,
            job: &$crate::native::simd::Tile<'_, E>,
            sink: &mut K,
        ) {
            match job.rows {
                $($rows => $crate::native::simd::tile::<Self, E, K, $rows, $vectors>(self, job, sink),)+
                rows => unreachable!("a tile has at most {} rows, not {rows}", Self::ROWS),
            }
        }
    };
}
pub(super) use tile_by_rows;
