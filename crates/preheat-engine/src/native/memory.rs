//! Memory for numbers: aligned to cache lines, zeroed, touched when it is made. Never grows.
#![expect(unsafe_code, reason = "lines of memory are also numbers and bytes")]

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use memmap2::{Advice, MmapMut};

use super::math::Scaling;

/// One cache line; also the widest vector there is.
const LINE: usize = 64;

/// Not larger than any system's.
const PAGE: usize = 4096;

/// Floats in one line.
pub(super) const LINE_FLOATS: usize = LINE / size_of::<f32>();

/// The upper half of a single precision number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct Bf16(pub(super) u16);

impl Bf16 {
    /// The nearest one; the even one of two that are equally near.
    pub(super) fn round(value: f32) -> Self {
        let bits = value.to_bits();
        if value.is_nan() {
            return Bf16(0x7fc0);
        }
        Bf16(((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16)
    }
}

/// What a buffer may hold: plain bits without padding, for which all zeros are a number.
pub(super) trait Plain: Copy {}
impl Plain for f32 {}
impl Plain for Bf16 {}
impl Plain for u8 {}
impl Plain for Scaling {}

/// A fixed number of numbers that begin on a page, and so on a cache line.
pub(super) struct Buffer<T> {
    pages: MmapMut,
    len: usize,
    numbers: PhantomData<T>,
}

pub(super) type Floats = Buffer<f32>;

/// That many bytes were not to be had.
#[derive(Debug)]
pub(super) struct NoMemory {
    pub(super) bytes: usize,
}

impl<T: Plain> Buffer<T> {
    pub(super) fn zeroed(len: usize) -> Result<Self, NoMemory> {
        let bytes = len.saturating_mul(size_of::<T>());
        let none = |_| NoMemory { bytes };
        let mut pages = MmapMut::map_anon(bytes.max(1)).map_err(none)?;
        // All page table entries at once, a quarter of the time that so many faults take; where
        // the kernel is too old, by faults. None is left for the first request either way.
        if pages.advise(Advice::PopulateWrite).is_err() {
            pages.iter_mut().step_by(PAGE).for_each(|byte| *byte = 0);
        }
        Ok(Buffer {
            pages,
            len,
            numbers: PhantomData,
        })
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        // SAFETY: plain numbers have no padding, and bytes any alignment.
        unsafe { std::slice::from_raw_parts(self.pages.as_ptr().cast(), size_of_val(&**self)) }
    }

    pub(super) fn as_bytes_mut(&mut self) -> &mut [u8] {
        let len = size_of_val(&**self);
        // SAFETY: as above; every pattern of bits is a number, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.pages.as_mut_ptr().cast(), len) }
    }
}

impl<T: Plain> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: pages are aligned for any number, and hold at least `len` of them.
        unsafe { std::slice::from_raw_parts(self.pages.as_ptr().cast(), self.len) }
    }
}

impl<T: Plain> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.pages.as_mut_ptr().cast(), self.len) }
    }
}

/// The same memory as half numbers, two in the place of each float.
pub(super) fn halves(floats: &[f32]) -> &[Bf16] {
    // SAFETY: floats are aligned for halves, and hold two each; both are plain bits.
    unsafe { std::slice::from_raw_parts(floats.as_ptr().cast(), 2 * floats.len()) }
}

pub(super) fn halves_mut(floats: &mut [f32]) -> &mut [Bf16] {
    // SAFETY: as above, and the borrow is exclusive.
    unsafe { std::slice::from_raw_parts_mut(floats.as_mut_ptr().cast(), 2 * floats.len()) }
}

#[cfg(test)]
mod tests {
    use super::Bf16;

    #[test]
    fn rounding_is_to_nearest_and_even() {
        for (from, to) in [
            (0x3f80_0000, 0x3f80),
            (0x3f80_8000, 0x3f80),
            (0x3f80_8001, 0x3f81),
            (0x3f81_8000, 0x3f82),
            (0x7f7f_ffff, 0x7f80),
            (0xff80_0000, 0xff80),
            (0x8000_0000, 0x8000),
            (0x7f80_0001, 0x7fc0),
            (0xffff_ffff, 0x7fc0),
        ] {
            assert_eq!(Bf16::round(f32::from_bits(from)), Bf16(to), "{from:#010x}");
        }
    }
}
