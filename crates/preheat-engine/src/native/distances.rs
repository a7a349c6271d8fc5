//! Classes of distances between tokens: near ones have one each, far ones share, and directions are
//! told apart.

use crate::load::Distances;

/// Beyond this all distances are of one class.
const FARTHEST: f64 = 128.0;

impl Distances {
    /// Of a query that stands so far behind its key; negative: before it.
    pub(super) fn class(self, back: i64) -> usize {
        let half = self.classes / 2;
        let side = if back < 0 { half } else { 0 };
        let distance = usize::try_from(back.unsigned_abs()).unwrap_or(usize::MAX);
        let exact = half / 2;
        if distance < exact {
            return side + distance;
        }
        // As the models were trained: in single precision, and rounded down.
        let share = (distance as f32 / exact as f32).ln() / ((FARTHEST / exact as f64).ln() as f32);
        let step = exact + (share * (half - exact) as f32) as usize;
        side + step.min(half - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the formula of the paper's code gives.
    #[test]
    fn near_distances_have_a_class_each_and_far_ones_share() {
        let class = |back| Distances { classes: 32 }.class(back);
        assert_eq!([0, 1, 7, 8, 11, 12].map(class), [0, 1, 7, 8, 8, 9]);
        assert_eq!(
            [15, 16, 31, 63, 64, 127, 128, 500].map(class),
            [9, 10, 11, 13, 14, 15, 15, 15]
        );
        assert_eq!([-1, -8, -200].map(class), [17, 24, 31]);
    }
}
