//! The steps of a forward pass. Each is cut into parts that touch different numbers, so that
//! several threads can run parts of one step at the same time; steps follow each other.

mod attention;
mod embed;
mod linear;
mod norm;
mod pooling;
mod round;
mod shared;

pub(super) use attention::{Attention, Scratch};
pub(super) use embed::Embed;
pub(super) use linear::{Dense, Linear};
pub(super) use norm::{AddNorm, Norm};
pub(super) use pooling::Pooled;
pub(super) use round::Round;
pub(super) use shared::{Bytes, Input, Rounded, Rows, Shared};

use super::memory::Bf16;
use super::simd::Simd;

/// One step, with everything it reads and writes.
pub(super) enum Op<'a> {
    Embed(Embed<'a>),
    Linear(Linear<'a, f32>),
    LinearHalf(Linear<'a, Bf16>),
    LinearBytes(Linear<'a, u8>),
    Attention(Attention<'a>),
    AddNorm(AddNorm<'a>),
    Round(Round<'a>),
    Pooled(Pooled<'a>),
}

impl Op<'_> {
    pub(super) fn parts(&self) -> usize {
        match self {
            Op::Embed(op) => op.parts(),
            Op::Linear(op) => op.parts(),
            Op::LinearHalf(op) => op.parts(),
            Op::LinearBytes(op) => op.parts(),
            Op::Attention(op) => op.parts(),
            Op::AddNorm(op) => op.parts(),
            Op::Round(op) => op.parts(),
            Op::Pooled(op) => op.parts(),
        }
    }

    /// Computes part `part`, which no other thread may be computing.
    #[inline(always)]
    pub(super) fn run<S: Simd>(&self, s: S, part: usize, scratch: &mut Scratch) {
        match self {
            Op::Embed(op) => op.run(s, part),
            Op::Linear(op) => op.run(s, part),
            Op::LinearHalf(op) => op.run(s, part),
            Op::LinearBytes(op) => op.run(s, part),
            Op::Attention(op) => op.run(s, part, scratch),
            Op::AddNorm(op) => op.run(s, part),
            Op::Round(op) => op.run(s, part),
            Op::Pooled(op) => op.run(s, part),
        }
    }
}

/// Cuts `count` rows into tiles of at most `most`, all of nearly the same height: two half tiles
/// cost less than a full one and a single row, because each tile reads all weights.
#[inline(always)]
fn tiles(count: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let tiles = count.div_ceil(most).max(1);
    (0..tiles).map(move |tile| {
        let start = count * tile / tiles;
        (start, count * (tile + 1) / tiles - start)
    })
}
