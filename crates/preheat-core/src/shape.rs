//! Shape classes: batches that an engine treats alike.

use std::fmt;

/// A class of batches: so many rows of so many tokens at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShapeBucket {
    pub batch: usize,
    pub tokens: usize,
}

impl ShapeBucket {
    #[must_use]
    pub const fn new(batch: usize, tokens: usize) -> Self {
        ShapeBucket { batch, tokens }
    }

    /// Tokens of a full batch of this class.
    #[must_use]
    pub const fn volume(self) -> usize {
        self.batch.saturating_mul(self.tokens)
    }
}

impl fmt::Display for ShapeBucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.batch, self.tokens)
    }
}

/// The edges of the shape classes: ascending, without zero or repetition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Buckets {
    batch: Vec<usize>,
    tokens: Vec<usize>,
}

impl Buckets {
    /// Sorts, removes zeros and repetitions, and makes sure that the limits themselves are edges,
    /// so that every legal shape has a class.
    #[must_use]
    pub fn new(batch: &[usize], tokens: &[usize], max_batch: usize, max_tokens: usize) -> Self {
        Buckets {
            batch: edges(batch, max_batch),
            tokens: edges(tokens, max_tokens),
        }
    }

    /// The class of a batch. What exceeds the last edge falls into the last class.
    #[must_use]
    pub fn of(&self, rows: usize, longest: usize) -> ShapeBucket {
        ShapeBucket {
            batch: at_least(&self.batch, rows),
            tokens: at_least(&self.tokens, longest),
        }
    }

    /// The length class alone: what may be padded together.
    #[must_use]
    pub fn tokens_of(&self, length: usize) -> usize {
        at_least(&self.tokens, length)
    }

    /// The classes by number of rows.
    #[must_use]
    pub fn batches(&self) -> &[usize] {
        &self.batch
    }

    /// The largest row that a class is for.
    #[must_use]
    pub fn largest(&self) -> usize {
        self.tokens.last().copied().unwrap_or(0)
    }

    /// Every class, smallest volume first.
    #[must_use]
    pub fn all(&self) -> Vec<ShapeBucket> {
        let mut all: Vec<_> = self
            .batch
            .iter()
            .flat_map(|&b| self.tokens.iter().map(move |&t| ShapeBucket::new(b, t)))
            .collect();
        all.sort_by_key(|s| (s.volume(), *s));
        all
    }
}

fn edges(wanted: &[usize], max: usize) -> Vec<usize> {
    let max = max.max(1);
    let mut edges: Vec<_> = wanted
        .iter()
        .copied()
        .filter(|&e| e > 0 && e < max)
        .collect();
    edges.push(max);
    edges.sort_unstable();
    edges.dedup();
    edges
}

fn at_least(edges: &[usize], wanted: usize) -> usize {
    let at = edges.partition_point(|&edge| edge < wanted);
    // `edges` always holds at least the limit itself.
    edges.get(at).or(edges.last()).copied().unwrap_or(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_falls_into_the_smallest_class_that_holds_it() {
        let buckets = Buckets::new(&[4, 1, 16, 0, 4], &[16, 64], 32, 256);
        assert_eq!(buckets.of(1, 3).to_string(), "1x16");
        assert_eq!(buckets.of(5, 17).to_string(), "16x64");
        assert_eq!(buckets.of(32, 256).to_string(), "32x256");
        assert_eq!(
            buckets.of(99, 999).to_string(),
            "32x256",
            "beyond the limits: the last class"
        );
        assert_eq!(buckets.all().len(), 4 * 3);
    }
}
