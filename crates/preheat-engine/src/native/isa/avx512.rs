//! 512-bit vectors: x86-64 servers since 2017, and since 2022 from both makers.
#![expect(
    unsafe_code,
    reason = "instructions that not every CPU has are unsafe to name"
)]
// Each block below is sound for one reason: a value of `Avx512` exists only where `detect` found
// the instructions.

use std::arch::x86_64::*;
use std::mem::transmute;

use super::avx2::dot_widened;
use crate::native::memory::Bf16;
use crate::native::ops::{Op, Scratch};
use crate::native::simd::Simd;
use crate::native::tile::tile_by_rows;

/// `BYTES` and `HALVES` say whether there are instructions that multiply bytes, and half numbers
/// too. No CPU has the latter alone.
#[derive(Clone, Copy)]
pub(super) struct Avx512<const BYTES: bool, const HALVES: bool>(());

impl Avx512<false, false> {
    pub(super) fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx512f").then_some(Avx512(()))
    }
}

impl Avx512<true, false> {
    pub(super) fn detect() -> Option<Self> {
        Avx512::<false, false>::detect()?;
        is_x86_feature_detected!("avx512vnni").then_some(Avx512(()))
    }
}

impl Avx512<true, true> {
    pub(super) fn detect() -> Option<Self> {
        Avx512::<true, false>::detect()?;
        is_x86_feature_detected!("avx512bf16").then_some(Avx512(()))
    }
}

/// All kernels, compiled with these instructions.
#[target_feature(enable = "avx512f")]
pub(super) fn run(op: &Op<'_>, part: usize, scratch: &mut Scratch) {
    op.run(Avx512::<false, false>(()), part, scratch);
}

/// The same, with those for bytes.
#[target_feature(enable = "avx512f,avx512vnni")]
pub(super) fn run_bytes(op: &Op<'_>, part: usize, scratch: &mut Scratch) {
    op.run(Avx512::<true, false>(()), part, scratch);
}

/// The same, with those for bytes and for half numbers.
#[target_feature(enable = "avx512f,avx512vnni,avx512bf16")]
pub(super) fn run_halves(op: &Op<'_>, part: usize, scratch: &mut Scratch) {
    op.run(Avx512::<true, true>(()), part, scratch);
}

impl<const BYTES: bool, const HALVES: bool> Simd for Avx512<BYTES, HALVES> {
    type V = __m512;
    const LANES: usize = 16;
    // 10 rows × 2 registers of sums, 2 of weights and one of input, of 32: from 11 on the compiler
    // moves sums about in the innermost loop.
    const VECTORS: usize = 2;
    const ROWS: usize = 10;

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

    #[inline(always)]
    fn first_halves(self, pairs: __m512) -> __m512 {
        unsafe { _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_castps_si512(pairs))) }
    }

    #[inline(always)]
    fn second_halves(self, pairs: __m512) -> __m512 {
        unsafe {
            let upper = _mm512_set1_epi32(0xffff_0000_u32 as i32);
            _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(pairs), upper))
        }
    }

    #[inline(always)]
    fn dot_halves(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        if HALVES {
            // SAFETY: `HALVES` is only true where `detect` found the instruction; the types are the
            // same 512 bits.
            return unsafe {
                _mm512_dpbf16_ps(
                    c,
                    transmute::<__m512, __m512bh>(a),
                    transmute::<__m512, __m512bh>(b),
                )
            };
        }
        let sum = self.mul_add(self.second_halves(a), self.second_halves(b), c);
        self.mul_add(self.first_halves(a), self.first_halves(b), sum)
    }

    /// As [`Bf16::round`], sixteen at once.
    #[inline(always)]
    unsafe fn store_halves_at(self, value: __m512, to: *mut Bf16) {
        // SAFETY: the caller promises that it may be written; any alignment will do.
        unsafe {
            let bits = _mm512_castps_si512(value);
            let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
            let up = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff));
            let rounded = _mm512_srli_epi32::<16>(_mm512_add_epi32(bits, up));
            let no_number = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(value, value);
            let halves = _mm512_mask_set1_epi32(rounded, no_number, 0x7fc0);
            _mm256_storeu_si256(to.cast(), _mm512_cvtepi32_epi16(halves));
        }
    }

    #[inline(always)]
    fn dot_bytes(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: `BYTES` is only true where `detect` found that instruction as well; the narrower
        // vectors are part of every instruction set with these.
        unsafe {
            let (a, b) = (_mm512_castps_si512(a), _mm512_castps_si512(b));
            let c = _mm512_castps_si512(c);
            if BYTES {
                return _mm512_castsi512_ps(_mm512_dpbusd_epi32(c, a, b));
            }
            let low = dot_widened(
                _mm512_castsi512_si256(a),
                _mm512_castsi512_si256(b),
                _mm512_castsi512_si256(c),
            );
            let high = dot_widened(
                _mm512_extracti64x4_epi64::<1>(a),
                _mm512_extracti64x4_epi64::<1>(b),
                _mm512_extracti64x4_epi64::<1>(c),
            );
            _mm512_castsi512_ps(_mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high))
        }
    }

    #[inline(always)]
    fn whole(self, a: __m512) -> __m512 {
        unsafe { _mm512_cvtepi32_ps(_mm512_castps_si512(a)) }
    }

    #[inline(always)]
    unsafe fn store_bytes_at(self, value: __m512, to: *mut u8) {
        // SAFETY: the caller promises that it may be written; any alignment will do.
        unsafe { _mm_storeu_si128(to.cast(), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(value))) }
    }

    tile_by_rows!(2; 1 2 3 4 5 6 7 8 9 10);
}
