//! Memory for numbers: aligned to cache lines, zeroed, touched when it is made. Never grows.
#![expect(unsafe_code, reason = "lines of memory are also numbers and bytes")]

use std::ops::{Deref, DerefMut};

/// One cache line; also the widest vector there is.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

/// Numbers in one line.
pub(super) const LINE: usize = 16;

/// A fixed number of floats that begin on a cache line.
pub(super) struct Floats {
    lines: Vec<Line>,
    len: usize,
}

/// That many bytes were not to be had.
#[derive(Debug)]
pub(super) struct NoMemory {
    pub(super) bytes: usize,
}

impl Floats {
    pub(super) fn zeroed(len: usize) -> Result<Self, NoMemory> {
        let mut lines = Vec::new();
        let count = len.div_ceil(LINE);
        lines.try_reserve_exact(count).map_err(|_| NoMemory {
            bytes: len.saturating_mul(size_of::<f32>()),
        })?;
        // Writing it now means that no page fault is left for the first request.
        lines.resize(count, Line([0.0; LINE]));
        Ok(Floats { lines, len })
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        let floats: &[f32] = self;
        // SAFETY: floats have no padding, and bytes any alignment.
        unsafe { std::slice::from_raw_parts(floats.as_ptr().cast(), size_of_val(floats)) }
    }

    pub(super) fn as_bytes_mut(&mut self) -> &mut [u8] {
        let floats: &mut [f32] = self;
        // SAFETY: as above; every pattern of bits is a float, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(floats.as_mut_ptr().cast(), size_of_val(floats)) }
    }
}

impl Deref for Floats {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: lines are nothing but floats, one after the other, at least `len` of them.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl DerefMut for Floats {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}
