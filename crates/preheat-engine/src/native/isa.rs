//! Which instruction set computes, chosen once when a model is opened.
//!
//! All work of a forward pass goes through one function per instruction set, [`Kernels::run`]:
//! it is compiled with those instructions, and all kernels are inlined into it.

mod portable;

use std::fmt;

use super::ops::{Op, Scratch};
use super::simd::Simd;
use crate::load::LoadError;

/// An instruction set that has kernels of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Isa {
    /// Whatever every CPU of the target has.
    Portable,
}

impl Isa {
    /// All that this CPU can run, the best one first.
    #[must_use]
    pub fn available() -> Vec<Isa> {
        vec![Isa::Portable]
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
        }
    }

    /// The wanted one, or the best one.
    pub(super) fn choose(wanted: Option<Isa>) -> Result<Kernels, LoadError> {
        let available = Isa::available();
        let isa = wanted.unwrap_or(available[0]);
        if !available.contains(&isa) {
            return Err(LoadError::Isa {
                wanted: isa,
                available,
            });
        }
        Ok(Kernels::of(isa))
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The compiled kernels of one instruction set and the tile they work in.
#[derive(Clone, Copy)]
pub(super) struct Kernels {
    pub(super) isa: Isa,
    /// Columns of one panel of weights.
    pub(super) panel: usize,
    run: fn(&Op<'_>, usize, &mut Scratch),
}

impl Kernels {
    fn of(isa: Isa) -> Self {
        match isa {
            Isa::Portable => Kernels::with::<portable::Portable>(isa, |op, part, scratch| {
                op.run(portable::Portable, part, scratch);
            }),
        }
    }

    fn with<S: Simd>(isa: Isa, run: fn(&Op<'_>, usize, &mut Scratch)) -> Self {
        Kernels {
            isa,
            panel: S::PANEL,
            run,
        }
    }

    /// Computes one part of `op`.
    pub(super) fn run(self, op: &Op<'_>, part: usize, scratch: &mut Scratch) {
        (self.run)(op, part, scratch);
    }
}
