//! The vocabulary that kernels are written in. One kernel source serves every instruction set.
//!
//! Everything generic over [`Simd`] is `#[inline(always)]`: it must end up inside the one function
//! of its instruction set that is compiled with those instructions (see `isa.rs`), otherwise each
//! operation becomes a call.

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

    /// Multiplies `job.rows` rows by one panel and hands the result to `sink`.
    fn tile<K: Sink<Self>>(self, job: &Tile<'_>, sink: &mut K);

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
        let mut lanes = [0.0; 16];
        self.store(value, &mut lanes);
        let len = to.len();
        to.copy_from_slice(&lanes[..len]);
    }
}

/// Some rows of a matrix, and the panel they are multiplied with.
pub(super) struct Tile<'a> {
    /// Begins at the first row.
    pub(super) input: &'a [f32],
    /// From one row to the next.
    pub(super) stride: usize,
    pub(super) rows: usize,
    /// `depth × PANEL` weights: for each column of the input, a line of the panel.
    pub(super) panel: &'a [f32],
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
pub(super) fn tile<S: Simd, K: Sink<S>, const M: usize, const V: usize>(
    simd: S,
    job: &Tile<'_>,
    sink: &mut K,
) {
    let Tile {
        input,
        stride,
        panel,
        depth,
        ..
    } = *job;
    assert!(
        input.len() >= (M - 1) * stride + depth,
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
                let value = simd.splat(*input.as_ptr().add(m * stride + k));
                for (sum, weights) in sums.iter_mut().zip(weights) {
                    *sum = simd.mul_add(value, weights, *sum);
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
        fn tile<K: $crate::native::simd::Sink<Self>>(
            self,
            job: &$crate::native::simd::Tile<'_>,
            sink: &mut K,
        ) {
            match job.rows {
                $($rows => $crate::native::simd::tile::<Self, K, $rows, $vectors>(self, job, sink),)+
                rows => unreachable!("a tile has at most {} rows, not {rows}", Self::ROWS),
            }
        }
    };
}
pub(super) use tile_by_rows;
