//! 256-bit vectors with fused multiply-add: x86-64 since 2013 to 2015.
#![expect(
    unsafe_code,
    reason = "instructions that not every CPU has are unsafe to name"
)]
// Each block below is sound for one reason: a value of `Avx2` exists only where `detect` found the
// instructions.

use std::arch::x86_64::*;

use crate::native::memory::Bf16;
use crate::native::ops::{Op, Scratch};
use crate::native::simd::Simd;
use crate::native::tile::tile_by_rows;

/// `BYTES` says whether there are instructions that multiply bytes too.
#[derive(Clone, Copy)]
pub(super) struct Avx2<const BYTES: bool>(());

impl Avx2<false> {
    pub(super) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        found.then_some(Avx2(()))
    }
}

impl Avx2<true> {
    pub(super) fn detect() -> Option<Self> {
        Avx2::<false>::detect()?;
        is_x86_feature_detected!("avxvnni").then_some(Avx2(()))
    }
}

/// All kernels, compiled with these instructions.
#[target_feature(enable = "avx2,fma")]
pub(super) fn run(op: &Op<'_>, part: usize, scratch: &mut Scratch) {
    op.run(Avx2::<false>(()), part, scratch);
}

/// The same, with those for bytes.
#[target_feature(enable = "avx2,fma,avxvnni")]
pub(super) fn run_bytes(op: &Op<'_>, part: usize, scratch: &mut Scratch) {
    op.run(Avx2::<true>(()), part, scratch);
}

/// [`Simd::dot_bytes`] by instructions that every CPU with these vectors has. Bytes are widened
/// before they are multiplied: the instruction that takes bytes saturates.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn dot_widened(a: __m256i, b: __m256i, c: __m256i) -> __m256i {
    let even = _mm256_madd_epi16(
        _mm256_and_si256(a, _mm256_set1_epi16(0xff)),
        _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(b)),
    );
    let odd = _mm256_madd_epi16(_mm256_srli_epi16::<8>(a), _mm256_srai_epi16::<8>(b));
    _mm256_add_epi32(c, _mm256_add_epi32(even, odd))
}

impl<const BYTES: bool> Simd for Avx2<BYTES> {
    type V = __m256;
    const LANES: usize = 8;
    // 6 rows × 2 registers of sums, 2 of weights and one of input, of 16.
    const VECTORS: usize = 2;
    const ROWS: usize = 6;

    #[inline(always)]
    fn splat(self, value: f32) -> __m256 {
        unsafe { _mm256_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load_at(self, from: *const f32) -> __m256 {
        // SAFETY: the caller promises that it may be read; any alignment will do.
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store_at(self, value: __m256, to: *mut f32) {
        // SAFETY: the caller promises that it may be written; any alignment will do.
        unsafe { _mm256_storeu_ps(to, value) }
    }

    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_mul_ps(a, b) }
    }

    #[inline(always)]
    fn div(self, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_div_ps(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn max(self, a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_max_ps(a, b) }
    }

    #[inline(always)]
    fn abs(self, a: __m256) -> __m256 {
        unsafe { _mm256_andnot_ps(_mm256_set1_ps(-0.0), a) }
    }

    #[inline(always)]
    fn round(self, a: __m256) -> __m256 {
        unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
    }

    #[inline(always)]
    fn exp2_whole(self, a: __m256) -> __m256 {
        unsafe {
            let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(a), _mm256_set1_epi32(127));
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent))
        }
    }

    #[inline(always)]
    fn sum(self, a: __m256) -> f32 {
        unsafe {
            let four = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }

    #[inline(always)]
    fn largest(self, a: __m256) -> f32 {
        unsafe {
            let four = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)))
        }
    }

    #[inline(always)]
    fn first_halves(self, pairs: __m256) -> __m256 {
        unsafe { _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_castps_si256(pairs))) }
    }

    #[inline(always)]
    fn second_halves(self, pairs: __m256) -> __m256 {
        unsafe {
            let upper = _mm256_set1_epi32(0xffff_0000_u32 as i32);
            _mm256_and_ps(pairs, _mm256_castsi256_ps(upper))
        }
    }

    /// As [`Bf16::round`], eight at once.
    #[inline(always)]
    unsafe fn store_halves_at(self, value: __m256, to: *mut Bf16) {
        // SAFETY: the caller promises that it may be written; any alignment will do.
        unsafe {
            let bits = _mm256_castps_si256(value);
            let odd = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
            let up = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
            let rounded = _mm256_srli_epi32::<16>(_mm256_add_epi32(bits, up));
            let no_number = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_UNORD_Q>(value, value));
            let halves = _mm256_blendv_epi8(rounded, _mm256_set1_epi32(0x7fc0), no_number);
            let (low, high) = (
                _mm256_castsi256_si128(halves),
                _mm256_extracti128_si256::<1>(halves),
            );
            _mm_storeu_si128(to.cast(), _mm_packus_epi32(low, high));
        }
    }

    #[inline(always)]
    fn dot_bytes(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: `BYTES` is only true where `detect` found that instruction as well.
        unsafe {
            let (a, b) = (_mm256_castps_si256(a), _mm256_castps_si256(b));
            let c = _mm256_castps_si256(c);
            _mm256_castsi256_ps(if BYTES {
                _mm256_dpbusd_avx_epi32(c, a, b)
            } else {
                dot_widened(a, b, c)
            })
        }
    }

    #[inline(always)]
    fn whole(self, a: __m256) -> __m256 {
        unsafe { _mm256_cvtepi32_ps(_mm256_castps_si256(a)) }
    }

    #[inline(always)]
    unsafe fn store_bytes_at(self, value: __m256, to: *mut u8) {
        // SAFETY: the caller promises that it may be written; any alignment will do.
        unsafe {
            let whole = _mm256_cvtps_epi32(value);
            let (low, high) = (
                _mm256_castsi256_si128(whole),
                _mm256_extracti128_si256::<1>(whole),
            );
            let words = _mm_packus_epi32(low, high);
            _mm_storel_epi64(to.cast(), _mm_packus_epi16(words, words));
        }
    }

    tile_by_rows!(2; 1 2 3 4 5 6);
}
