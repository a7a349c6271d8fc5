//! 512-bit vectors: x86-64 servers since 2017, and since 2022 from both makers.
#![expect(
    unsafe_code,
    reason = "instructions that not every CPU has are unsafe to name"
)]
// Each block below is sound for one reason: a value of `Avx512` exists only where `detect` found
// the instructions.

use std::arch::x86_64::*;

use crate::native::ops::{Op, Scratch};
use crate::native::simd::{Simd, tile_by_rows};

#[derive(Clone, Copy)]
pub(super) struct Avx512(());

impl Avx512 {
    pub(super) fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx512f").then_some(Avx512(()))
    }
}

/// All kernels, compiled with these instructions.
#[target_feature(enable = "avx512f")]
pub(super) fn run(op: &Op<'_>, part: usize, scratch: &mut Scratch) {
    op.run(Avx512(()), part, scratch);
}

impl Simd for Avx512 {
    type V = __m512;
    const LANES: usize = 16;
    // 12 rows × 2 registers of sums, 2 of weights, and some to spare, of 32.
    const VECTORS: usize = 2;
    const ROWS: usize = 12;

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load_at(self, from: *const f32) -> __m512 {
        // SAFETY: the caller promises that it may be read; any alignment will do.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store_at(self, value: __m512, to: *mut f32) {
        // SAFETY: the caller promises that it may be written; any alignment will do.
        unsafe { _mm512_storeu_ps(to, value) }
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_div_ps(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_max_ps(a, b) }
    }

    #[inline(always)]
    fn abs(self, a: __m512) -> __m512 {
        unsafe { _mm512_abs_ps(a) }
    }

    #[inline(always)]
    fn round(self, a: __m512) -> __m512 {
        unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT }>(a) }
    }

    #[inline(always)]
    fn exp2_whole(self, a: __m512) -> __m512 {
        unsafe { _mm512_scalef_ps(_mm512_set1_ps(1.0), a) }
    }

    #[inline(always)]
    fn sum(self, a: __m512) -> f32 {
        unsafe { _mm512_reduce_add_ps(a) }
    }

    #[inline(always)]
    fn largest(self, a: __m512) -> f32 {
        unsafe { _mm512_reduce_max_ps(a) }
    }

    tile_by_rows!(2; 1 2 3 4 5 6 7 8 9 10 11 12);
}
