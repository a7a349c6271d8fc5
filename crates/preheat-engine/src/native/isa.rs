//! Which instruction set computes, chosen once when a model is opened.
//!
//! All work of a forward pass goes through one function per instruction set, [`Kernels::run`]:
//! it is compiled with those instructions, and all kernels are inlined into it.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

use std::fmt;

#[cfg(target_arch = "x86_64")]
use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
use avx512::Avx512;

use super::ops::{Op, Scratch};
use super::simd::Simd;
use crate::load::LoadError;

/// An instruction set that has kernels of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Isa {
    Avx512,
    Avx2,
    Neon,
    /// Whatever every CPU of the target has.
    Portable,
}

impl Isa {
    /// The best one first.
    pub const ALL: [Isa; 4] = [Isa::Avx512, Isa::Avx2, Isa::Neon, Isa::Portable];

    /// All that this CPU can run, the best one first.
    #[must_use]
    pub fn available() -> Vec<Isa> {
        Isa::ALL
            .into_iter()
            .filter(|isa| Kernels::of(*isa).is_some())
            .collect()
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Isa::Avx512 => "avx512",
            Isa::Avx2 => "avx2",
            Isa::Neon => "neon",
            Isa::Portable => "portable",
        }
    }

    /// The kernels of the wanted one, or of the best one.
    pub(super) fn choose(wanted: Option<Isa>) -> Result<Kernels, LoadError> {
        let candidates = wanted.map_or(Isa::ALL.to_vec(), |isa| vec![isa]);
        candidates
            .into_iter()
            .find_map(Kernels::of)
            .ok_or_else(|| LoadError::Isa {
                wanted: wanted.unwrap_or(Isa::Portable),
                available: Isa::available(),
            })
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

type Run = unsafe fn(&Op<'_>, usize, &mut Scratch);

/// The compiled kernels of one instruction set, which this CPU has.
#[derive(Clone, Copy)]
pub(super) struct Kernels {
    pub(super) isa: Isa,
    /// Columns of one panel of weights.
    pub(super) panel: usize,
    run: Run,
}

impl Kernels {
    /// None where this CPU cannot run them.
    fn of(isa: Isa) -> Option<Self> {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => {
                let plain = || {
                    Some(Kernels::with(
                        isa,
                        Avx512::<false, false>::detect()?,
                        avx512::run,
                    ))
                };
                let bytes = || {
                    Some(Kernels::with(
                        isa,
                        Avx512::<true, false>::detect()?,
                        avx512::run_bytes,
                    ))
                };
                let halves = || {
                    Some(Kernels::with(
                        isa,
                        Avx512::<true, true>::detect()?,
                        avx512::run_halves,
                    ))
                };
                halves().or_else(bytes).or_else(plain)
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => {
                let plain = || Some(Kernels::with(isa, Avx2::<false>::detect()?, avx2::run));
                let bytes = || Some(Kernels::with(isa, Avx2::<true>::detect()?, avx2::run_bytes));
                bytes().or_else(plain)
            }
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => Some(Kernels::with(isa, neon::Neon, |op, part, scratch| {
                op.run(neon::Neon, part, scratch);
            })),
            Isa::Portable => Some(Kernels::with(
                isa,
                portable::Portable,
                |op, part, scratch| {
                    op.run(portable::Portable, part, scratch);
                },
            )),
            _ => None,
        }
    }

    /// `run` is compiled for the instructions that `simd` is the promise of.
    fn with<S: Simd>(isa: Isa, _simd: S, run: Run) -> Self {
        Kernels {
            isa,
            panel: S::PANEL,
            run,
        }
    }

    /// Computes one part of `op`.
    #[expect(unsafe_code, reason = "calls a function of an instruction set")]
    pub(super) fn run(self, op: &Op<'_>, part: usize, scratch: &mut Scratch) {
        // SAFETY: kernels are only made where the CPU was found to have their instructions.
        unsafe { (self.run)(op, part, scratch) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As bytes are multiplied one by one; the largest that there are among them, at which sums of
    /// two do not fit 16 bits.
    fn check<S: Simd>(s: S) {
        let mut state = 1u32;
        let mut word = |round: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            match round {
                0 => u32::MAX,
                1 => 0x8080_8080,
                2 => 0x7f7f_7f7f,
                _ => state.rotate_left(16),
            }
        };
        for round in 0..200 {
            let mut lanes = |round| -> Vec<f32> {
                (0..S::LANES).map(|_| f32::from_bits(word(round))).collect()
            };
            let (a, b) = (lanes(round % 4), lanes(round % 5));
            let c: Vec<f32> = (0..S::LANES)
                .map(|lane| f32::from_bits(round as u32 * 1000 + lane as u32))
                .collect();
            let found = s.whole(s.dot_bytes(s.load(&a), s.load(&b), s.load(&c)));
            let mut numbers = vec![0.0; S::LANES];
            s.store(found, &mut numbers);
            for (lane, found) in numbers.into_iter().enumerate() {
                let bytes = |of: &[f32]| of[lane].to_bits().to_le_bytes();
                let products = bytes(&a)
                    .into_iter()
                    .zip(bytes(&b))
                    .map(|(a, b)| i32::from(a) * i32::from(b.cast_signed()));
                let expected = products.sum::<i32>() + c[lane].to_bits() as i32;
                assert_eq!(found, expected as f32, "lane {lane}, round {round}");
            }
        }
        let all: Vec<f32> = (0..S::LANES)
            .map(|lane| [0.0, 255.0, 127.5, 128.4, 254.6][lane % 5])
            .collect();
        let mut bytes = vec![0; S::LANES];
        s.store_bytes(s.load(&all), &mut bytes);
        for (lane, byte) in bytes.into_iter().enumerate() {
            assert_eq!(byte, [0, 255, 128, 128, 255][lane % 5]);
        }
    }

    /// Also by the instructions that a CPU has beside better ones.
    #[test]
    fn bytes_are_multiplied_exactly() {
        check(portable::Portable);
        #[cfg(target_arch = "aarch64")]
        check(neon::Neon);
        #[cfg(target_arch = "x86_64")]
        {
            let _ = Avx2::<false>::detect().map(check);
            let _ = Avx2::<true>::detect().map(check);
            let _ = Avx512::<false, false>::detect().map(check);
            let _ = Avx512::<true, false>::detect().map(check);
            let _ = Avx512::<true, true>::detect().map(check);
        }
    }
}
