//! The vocabulary that kernels are written in. One kernel source serves every instruction set.
//!
//! Everything generic over [`Simd`] is `#[inline(always)]`: it must end up inside the one function
//! of its instruction set that is compiled with those instructions (see `isa.rs`), otherwise each
//! operation becomes a call.

use super::memory::Bf16;
use super::tile::{Element, Sink, Tile};

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

    /// `a₁ × b₁ + … + a₄ × b₄ + c`, whole numbers: of `a` bytes without sign, of `b` bytes with
    /// one. Exact, and so the same on every instruction set.
    fn dot_bytes(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// From whole numbers, as [`Simd::dot_bytes`] gives them, to the nearest floats.
    fn whole(self, a: Self::V) -> Self::V;
    /// Rounds every lane, which lies between 0 and 255, to a byte.
    ///
    /// # Safety
    /// `LANES` bytes must be writable at `to`.
    unsafe fn store_bytes_at(self, value: Self::V, to: *mut u8);

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

    /// Rounds every lane, which lies between 0 and 255, to a byte.
    #[inline(always)]
    fn store_bytes(self, value: Self::V, to: &mut [u8]) {
        assert!(to.len() >= Self::LANES);
        // SAFETY: the slice is long enough.
        unsafe { self.store_bytes_at(value, to.as_mut_ptr()) }
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
