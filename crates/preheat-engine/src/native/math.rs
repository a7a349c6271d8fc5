//! Functions of single numbers and of rows, written once for all instruction sets.

use super::memory::Bf16;
use super::simd::Simd;

/// `e^x` for `x ≤ 0` within 2 units in the last place; below -87.3 the smallest normal number.
#[inline(always)]
pub(super) fn exp<S: Simd>(s: S, x: S::V) -> S::V {
    // ln 2 in two parts: the first has few bits, so that whole multiples of it are exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = s.max(s.splat(-87.33), x);
    let n = s.round(s.mul(x, s.splat(std::f32::consts::LOG2_E)));
    let r = s.mul_add(n, s.splat(-LN2_HIGH), x);
    let r = s.mul_add(n, s.splat(-LN2_LOW), r);
    // The Taylor series; |r| ≤ ln 2 / 2 makes its eighth term vanish in single precision.
    let mut sum = s.splat(1.0 / 5040.0);
    for term in [
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ] {
        sum = s.mul_add(sum, r, s.splat(term));
    }
    s.mul(sum, s.exp2_whole(n))
}

/// `x × Φ(x)`, the exact GELU, within 4e-7 of it for |x| ≤ 4 or so and relative to x beyond.
///
/// With `q = erfc(|x| / √2)` it is `max(x, 0) - |x| × q / 2` on both sides of zero. `q` by
/// Abramowitz and Stegun, formula 7.1.26, whose error is below 1.5e-7.
#[inline(always)]
pub(super) fn gelu<S: Simd>(s: S, x: S::V) -> S::V {
    const P: f32 = 0.327_591_1;
    const A: [f32; 5] = [
        1.061_405_4,
        -1.453_152_1,
        1.421_413_8,
        -0.284_496_72,
        0.254_829_6,
    ];
    let size = s.abs(x);
    let z = s.mul(size, s.splat(std::f32::consts::FRAC_1_SQRT_2));
    let t = s.div(s.splat(1.0), s.mul_add(z, s.splat(P), s.splat(1.0)));
    let mut q = s.splat(A[0]);
    for a in &A[1..] {
        q = s.mul_add(q, t, s.splat(*a));
    }
    let q = s.mul(s.mul(q, t), exp(s, s.mul(z, s.sub(s.splat(0.0), z))));
    let positive = s.max(s.splat(0.0), x);
    s.sub(positive, s.mul(s.mul(size, s.splat(0.5)), q))
}

/// The hyperbolic tangent within 2e-7: `(1 - e) / (1 + e)` with `e = e^(-2x)`, on each side of zero by
/// itself.
#[inline(always)]
pub(super) fn tanh<S: Simd>(s: S, x: S::V) -> S::V {
    s.sub(tanh_above(s, x), tanh_above(s, s.sub(s.splat(0.0), x)))
}

/// Zero below zero.
#[inline(always)]
fn tanh_above<S: Simd>(s: S, x: S::V) -> S::V {
    let one = s.splat(1.0);
    let e = exp(s, s.mul(s.max(s.splat(0.0), x), s.splat(-2.0)));
    s.div(s.sub(one, e), s.add(one, e))
}

/// Brings a row to mean zero and variance one, then scales and shifts it.
#[inline(always)]
pub(super) fn layer_norm<S: Simd>(s: S, row: &mut [f32], gamma: &[f32], beta: &[f32], eps: f32) {
    let count = row.len() as f32;
    let mean = sum(s, row) / count;
    let variance = sum_squares(s, row, mean) / count;
    let scale = 1.0 / (variance + eps).sqrt();

    let (vectors, rest) = split::<S>(row.len());
    for at in (0..vectors).step_by(S::LANES) {
        let x = s.mul(s.sub(s.load(&row[at..]), s.splat(mean)), s.splat(scale));
        let y = s.mul_add(x, s.load(&gamma[at..]), s.load(&beta[at..]));
        s.store(y, &mut row[at..]);
    }
    for at in rest {
        row[at] = (row[at] - mean) * scale * gamma[at] + beta[at];
    }
}

/// Brings a row to length one.
#[inline(always)]
pub(super) fn normalize<S: Simd>(s: S, row: &mut [f32]) {
    let length = sum_squares(s, row, 0.0).sqrt().max(1e-12);
    scale(s, row, 1.0 / length);
}

/// `row ← row × factor`.
#[inline(always)]
pub(super) fn scale<S: Simd>(s: S, row: &mut [f32], factor: f32) {
    let (vectors, rest) = split::<S>(row.len());
    for at in (0..vectors).step_by(S::LANES) {
        s.store(s.mul(s.load(&row[at..]), s.splat(factor)), &mut row[at..]);
    }
    for at in rest {
        row[at] *= factor;
    }
}

/// `row ← row + other`.
#[inline(always)]
pub(super) fn add<S: Simd>(s: S, row: &mut [f32], other: &[f32]) {
    let (vectors, rest) = split::<S>(row.len());
    for at in (0..vectors).step_by(S::LANES) {
        s.store(
            s.add(s.load(&row[at..]), s.load(&other[at..])),
            &mut row[at..],
        );
    }
    for at in rest {
        row[at] += other[at];
    }
}

/// `row ← max(row, other)`.
#[inline(always)]
pub(super) fn max<S: Simd>(s: S, row: &mut [f32], other: &[f32]) {
    let (vectors, rest) = split::<S>(row.len());
    for at in (0..vectors).step_by(S::LANES) {
        s.store(
            s.max(s.load(&row[at..]), s.load(&other[at..])),
            &mut row[at..],
        );
    }
    for at in rest {
        row[at] = if row[at] > other[at] {
            row[at]
        } else {
            other[at]
        };
    }
}

/// Every number to the nearest half number.
#[inline(always)]
pub(super) fn round<S: Simd>(s: S, row: &[f32], out: &mut [Bf16]) {
    let (vectors, rest) = split::<S>(row.len());
    for at in (0..vectors).step_by(S::LANES) {
        s.store_some_halves(s.load(&row[at..]), &mut out[at..at + S::LANES]);
    }
    for at in rest {
        out[at] = Bf16::round(row[at]);
    }
}

/// What the bytes of a row stand for: `least + step × byte`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Scaling {
    pub(super) step: f32,
    pub(super) least: f32,
}

/// Every number to the nearest of 256 between the least and the largest of its row. A row with
/// something that is no number stands for no numbers.
#[inline(always)]
pub(super) fn to_bytes<S: Simd>(s: S, row: &[f32], out: &mut [u8]) -> Scaling {
    const STEPS: f32 = 255.0;
    let (least, largest, finite) = extremes(s, row);
    let range = largest - least;
    let per_step = Some(STEPS / range).filter(|steps| steps.is_finite());
    let steps = s.splat(per_step.unwrap_or(0.0));

    let (vectors, rest) = split::<S>(row.len());
    for at in (0..vectors).step_by(S::LANES) {
        let above = s.sub(s.load(&row[at..]), s.splat(least));
        s.store_bytes(s.mul(above, steps), &mut out[at..]);
    }
    for at in rest {
        out[at] = ((row[at] - least) * per_step.unwrap_or(0.0)).round_ties_even() as u8;
    }
    let step = if finite { range / STEPS } else { f32::NAN };
    Scaling { step, least }
}

/// The least and the largest number, and whether all are numbers.
#[inline(always)]
fn extremes<S: Simd>(s: S, row: &[f32]) -> (f32, f32, bool) {
    let (vectors, rest) = split::<S>(row.len());
    let zero = s.splat(0.0);
    let mut largest = s.splat(f32::NEG_INFINITY);
    let mut least = largest;
    // Zero for every number, and nothing that is a number for the others.
    let mut nothing = zero;
    for at in (0..vectors).step_by(S::LANES) {
        let x = s.load(&row[at..]);
        largest = s.max(largest, x);
        least = s.max(least, s.sub(zero, x));
        nothing = s.mul_add(x, zero, nothing);
    }
    let (mut least, mut largest) = (-s.largest(least), s.largest(largest));
    let mut finite = s.sum(nothing) == 0.0;
    for x in &row[rest] {
        (least, largest) = (least.min(*x), largest.max(*x));
        finite &= x.is_finite();
    }
    (least, largest, finite)
}

/// Turns scores into weights `e^(factor × (score - largest))` and returns their sum.
#[inline(always)]
pub(super) fn softmax_weights<S: Simd>(s: S, row: &mut [f32], factor: f32) -> f32 {
    debug_assert!(
        row.len().is_multiple_of(S::LANES),
        "rows of scores are padded to whole vectors"
    );
    let mut largest = s.splat(f32::NEG_INFINITY);
    for at in (0..row.len()).step_by(S::LANES) {
        largest = s.max(largest, s.load(&row[at..]));
    }
    let largest = s.splat(s.largest(largest));
    let mut total = s.splat(0.0);
    for at in (0..row.len()).step_by(S::LANES) {
        let x = s.mul(s.sub(s.load(&row[at..]), largest), s.splat(factor));
        let weight = exp(s, x);
        total = s.add(total, weight);
        s.store(weight, &mut row[at..]);
    }
    s.sum(total)
}

#[inline(always)]
fn sum<S: Simd>(s: S, row: &[f32]) -> f32 {
    let (vectors, rest) = split::<S>(row.len());
    let mut total = s.splat(0.0);
    for at in (0..vectors).step_by(S::LANES) {
        total = s.add(total, s.load(&row[at..]));
    }
    s.sum(total) + row[rest].iter().sum::<f32>()
}

#[inline(always)]
fn sum_squares<S: Simd>(s: S, row: &[f32], mean: f32) -> f32 {
    let (vectors, rest) = split::<S>(row.len());
    let mut total = s.splat(0.0);
    for at in (0..vectors).step_by(S::LANES) {
        let x = s.sub(s.load(&row[at..]), s.splat(mean));
        total = s.mul_add(x, x, total);
    }
    let mut result = s.sum(total);
    for x in &row[rest] {
        result += (x - mean) * (x - mean);
    }
    result
}

/// How much of a row whole vectors cover, and what is left.
#[inline(always)]
fn split<S: Simd>(len: usize) -> (usize, std::ops::Range<usize>) {
    let vectors = len - len % S::LANES;
    (vectors, vectors..len)
}
