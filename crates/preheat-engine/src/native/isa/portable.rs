//! Arrays that the compiler turns into whatever vectors the target is sure to have.
#![expect(
    unsafe_code,
    reason = "implements an interface whose loads and stores take pointers"
)]

use crate::native::memory::Bf16;
use crate::native::simd::Simd;
use crate::native::tile::tile_by_rows;

#[derive(Clone, Copy)]
pub(super) struct Portable;

type V = [f32; 4];

#[inline(always)]
fn each(mut f: impl FnMut(usize) -> f32) -> V {
    [f(0), f(1), f(2), f(3)]
}

impl Simd for Portable {
    type V = V;
    const LANES: usize = 4;
    const VECTORS: usize = 2;
    const ROWS: usize = 4;

    #[inline(always)]
    fn splat(self, value: f32) -> V {
        [value; 4]
    }

    #[inline(always)]
    unsafe fn load_at(self, from: *const f32) -> V {
        // SAFETY: the caller promises four readable floats; an array needs no more alignment.
        unsafe { *from.cast::<V>() }
    }

    #[inline(always)]
    unsafe fn store_at(self, value: V, to: *mut f32) {
        // SAFETY: the caller promises four writable floats; an array needs no more alignment.
        unsafe { *to.cast::<V>() = value }
    }

    #[inline(always)]
    fn add(self, a: V, b: V) -> V {
        each(|i| a[i] + b[i])
    }

    #[inline(always)]
    fn sub(self, a: V, b: V) -> V {
        each(|i| a[i] - b[i])
    }

    #[inline(always)]
    fn mul(self, a: V, b: V) -> V {
        each(|i| a[i] * b[i])
    }

    #[inline(always)]
    fn div(self, a: V, b: V) -> V {
        each(|i| a[i] / b[i])
    }

    /// Rounded twice: without the instruction, rounding once would be a function call.
    #[inline(always)]
    fn mul_add(self, a: V, b: V, c: V) -> V {
        each(|i| a[i] * b[i] + c[i])
    }

    #[inline(always)]
    fn max(self, a: V, b: V) -> V {
        each(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    fn abs(self, a: V) -> V {
        each(|i| a[i].abs())
    }

    #[inline(always)]
    fn round(self, a: V) -> V {
        // Adding and taking away 1.5 × 2^23 leaves no room for a fraction. Good for ± 2^22, which
        // is more than any exponent.
        const SHIFT: f32 = 12_582_912.0;
        each(|i| (a[i] + SHIFT) - SHIFT)
    }

    #[inline(always)]
    fn exp2_whole(self, a: V) -> V {
        each(|i| f32::from_bits(((a[i] as i32 + 127) << 23) as u32))
    }

    #[inline(always)]
    fn sum(self, a: V) -> f32 {
        (a[0] + a[2]) + (a[1] + a[3])
    }

    #[inline(always)]
    fn largest(self, a: V) -> f32 {
        let larger = |x: f32, y: f32| if x > y { x } else { y };
        larger(larger(a[0], a[2]), larger(a[1], a[3]))
    }

    #[inline(always)]
    fn first_halves(self, pairs: V) -> V {
        each(|i| f32::from_bits(pairs[i].to_bits() << 16))
    }

    #[inline(always)]
    fn second_halves(self, pairs: V) -> V {
        each(|i| f32::from_bits(pairs[i].to_bits() & 0xffff_0000))
    }

    #[inline(always)]
    unsafe fn store_halves_at(self, value: V, to: *mut Bf16) {
        // SAFETY: the caller promises four writable half numbers.
        unsafe { *to.cast::<[Bf16; 4]>() = value.map(Bf16::round) }
    }

    #[inline(always)]
    fn dot_bytes(self, a: V, b: V, c: V) -> V {
        each(|i| {
            let (a, b) = (a[i].to_bits().to_le_bytes(), b[i].to_bits().to_le_bytes());
            let products = (0..4).map(|k| i32::from(a[k]) * i32::from(b[k].cast_signed()));
            let sum = c[i].to_bits().cast_signed() + products.sum::<i32>();
            f32::from_bits(sum.cast_unsigned())
        })
    }

    #[inline(always)]
    fn whole(self, a: V) -> V {
        each(|i| a[i].to_bits().cast_signed() as f32)
    }

    #[inline(always)]
    unsafe fn store_bytes_at(self, value: V, to: *mut u8) {
        // SAFETY: the caller promises four writable bytes.
        unsafe { *to.cast::<[u8; 4]>() = self.round(value).map(|x| x as u8) }
    }

    tile_by_rows!(2; 1 2 3 4);
}
