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
            Isa::Avx512 => Avx512::<true>::detect()
                .map(|simd| Kernels::with(isa, simd, avx512::run_halves))
                .or_else(|| Avx512::<false>::detect().map(|s| Kernels::with(isa, s, avx512::run))),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2::Avx2::detect().map(|simd| Kernels::with(isa, simd, avx2::run)),
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
