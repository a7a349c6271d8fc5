//! What rounding costs: answers of an engine that rounds against those of one that does not, for
//! sequences of all lengths. Measured once for each artefact, and noted beside it.

use std::fmt;

use super::NativeEngine;
use crate::engine::{Engine, Matrix, RunError, TokenBatch};

/// The worst of all answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Accuracy {
    least_cosine: f64,
    most_off: f64,
}

const LENGTHS: [usize; 6] = [2, 5, 11, 23, 47, 95];
/// Of each length.
const SEQUENCES: usize = 4;

impl Accuracy {
    pub(super) fn of(rounded: &NativeEngine, exact: &NativeEngine) -> Result<Self, RunError> {
        let (vocab, longest) = (exact.info.vocab, exact.info.max_tokens);
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut id = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u32 % u32::try_from(vocab).unwrap_or(u32::MAX)
        };
        let lengths = LENGTHS.iter().map(|&length| length.min(longest));
        let all = lengths.flat_map(|length| [length; SEQUENCES]);
        let sequences: Vec<Vec<u32>> = all
            .map(|length| (0..length).map(|_| id()).collect())
            .collect();
        let batch: TokenBatch = sequences.iter().map(Vec::as_slice).collect();
        let [rounded, exact] = [
            rounded.instance()?.run(&batch)?,
            exact.instance()?.run(&batch)?,
        ];
        Ok(Accuracy::between(&rounded, &exact))
    }

    fn between(rounded: &Matrix, exact: &Matrix) -> Self {
        let rows = || rounded.iter().zip(exact.iter());
        let off = rounded.data.iter().zip(&exact.data);
        let off = off.map(|(a, b)| f64::from((a - b).abs()));
        Accuracy {
            least_cosine: rows().map(|(a, b)| cosine(a, b)).fold(1.0, f64::min),
            most_off: off.fold(0.0, f64::max),
        }
    }
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        let products = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b));
        products.sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(f64::MIN_POSITIVE)
}

impl fmt::Display for Accuracy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Accuracy {
            least_cosine,
            most_off,
        } = self;
        write!(
            f,
            "cosine to f32 at least {least_cosine:.6}, numbers off by {most_off:.1e} at most"
        )
    }
}
