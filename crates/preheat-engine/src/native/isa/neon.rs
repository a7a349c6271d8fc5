//! 128-bit vectors of every 64-bit ARM.
#![expect(unsafe_code, reason = "loads and stores take pointers")]
// Each block below is sound for one reason: every CPU of this target has the instructions.

use std::arch::aarch64::*;

use crate::native::memory::Bf16;
use crate::native::simd::Simd;
use crate::native::tile::tile_by_rows;

#[derive(Clone, Copy)]
pub(super) struct Neon;

impl Simd for Neon {
    type V = float32x4_t;
    const LANES: usize = 4;
    // 6 rows × 4 registers of sums, 4 of weights, and some to spare, of 32.
    const VECTORS: usize = 4;
    const ROWS: usize = 6;

    #[inline(always)]
    fn splat(self, value: f32) -> float32x4_t {
        unsafe { vdupq_n_f32(value) }
    }

    #[inline(always)]
    unsafe fn load_at(self, from: *const f32) -> float32x4_t {
        // SAFETY: the caller promises that it may be read.
        unsafe { vld1q_f32(from) }
    }

    #[inline(always)]
    unsafe fn store_at(self, value: float32x4_t, to: *mut f32) {
        // SAFETY: the caller promises that it may be written.
        unsafe { vst1q_f32(to, value) }
    }

    #[inline(always)]
    fn add(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vaddq_f32(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vsubq_f32(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vmulq_f32(a, b) }
    }

    #[inline(always)]
    fn div(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vdivq_f32(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        unsafe { vfmaq_f32(c, a, b) }
    }

    /// Not the instruction of that name, which gives neither operand when one is not a number.
    #[inline(always)]
    fn max(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vbslq_f32(vcgtq_f32(a, b), a, b) }
    }

    #[inline(always)]
    fn abs(self, a: float32x4_t) -> float32x4_t {
        unsafe { vabsq_f32(a) }
    }

    #[inline(always)]
    fn round(self, a: float32x4_t) -> float32x4_t {
        unsafe { vrndnq_f32(a) }
    }

    #[inline(always)]
    fn exp2_whole(self, a: float32x4_t) -> float32x4_t {
        unsafe {
            let exponent = vaddq_s32(vcvtq_s32_f32(a), vdupq_n_s32(127));
            vreinterpretq_f32_s32(vshlq_n_s32::<23>(exponent))
        }
    }

    #[inline(always)]
    fn sum(self, a: float32x4_t) -> f32 {
        unsafe { vaddvq_f32(a) }
    }

    #[inline(always)]
    fn largest(self, a: float32x4_t) -> f32 {
        unsafe { vmaxvq_f32(a) }
    }

    #[inline(always)]
    fn first_halves(self, pairs: float32x4_t) -> float32x4_t {
        unsafe { vreinterpretq_f32_u32(vshlq_n_u32::<16>(vreinterpretq_u32_f32(pairs))) }
    }

    #[inline(always)]
    fn second_halves(self, pairs: float32x4_t) -> float32x4_t {
        unsafe {
            let upper = vdupq_n_u32(0xffff_0000);
            vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(pairs), upper))
        }
    }

    /// As [`Bf16::round`], four at once.
    #[inline(always)]
    unsafe fn store_halves_at(self, value: float32x4_t, to: *mut Bf16) {
        // SAFETY: the caller promises that it may be written.
        unsafe {
            let bits = vreinterpretq_u32_f32(value);
            let odd = vandq_u32(vshrq_n_u32::<16>(bits), vdupq_n_u32(1));
            let rounded = vshrq_n_u32::<16>(vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff))));
            let halves = vbslq_u32(vceqq_f32(value, value), rounded, vdupq_n_u32(0x7fc0));
            vst1_u16(to.cast(), vmovn_u32(halves));
        }
    }

    #[inline(always)]
    fn dot_bytes(self, a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        unsafe {
            let (a, b) = (vreinterpretq_u8_f32(a), vreinterpretq_s8_f32(b));
            let low = vmulq_s16(
                vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(a))),
                vmovl_s8(vget_low_s8(b)),
            );
            let high = vmulq_s16(vreinterpretq_s16_u16(vmovl_high_u8(a)), vmovl_high_s8(b));
            // A product fits 16 bits, a sum of two does not.
            let sums = vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high));
            vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(c), sums))
        }
    }

    #[inline(always)]
    fn whole(self, a: float32x4_t) -> float32x4_t {
        unsafe { vcvtq_f32_s32(vreinterpretq_s32_f32(a)) }
    }

    #[inline(always)]
    unsafe fn store_bytes_at(self, value: float32x4_t, to: *mut u8) {
        // SAFETY: the caller promises four writable bytes; they may lie anywhere.
        unsafe {
            let four = vmovn_u32(vcvtnq_u32_f32(value));
            let bytes = vmovn_u16(vcombine_u16(four, four));
            let word = vget_lane_u32::<0>(vreinterpret_u32_u8(bytes));
            to.cast::<u32>().write_unaligned(word);
        }
    }

    tile_by_rows!(4; 1 2 3 4 5 6);
}
