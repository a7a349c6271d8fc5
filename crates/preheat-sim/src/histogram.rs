//! Times, counted in classes a hundredth wide: any number of them in little memory.

use std::time::Duration;

/// Counts of durations by class. A percentile is right to within one per cent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    counts: Vec<u32>,
    count: u64,
    longest: u64,
    sum: u128,
}

/// Classes in each doubling.
const CLASSES: u64 = 64;
/// Nothing is shorter, as far as classes go: 2^10 ns.
const SHORTEST: u32 = 10;

impl Histogram {
    pub fn add(&mut self, took: Duration) {
        self.add_nanos(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    pub(crate) fn add_nanos(&mut self, nanos: u64) {
        let class = class(nanos);
        if class >= self.counts.len() {
            self.counts.resize(class + 1, 0);
        }
        self.counts[class] = self.counts[class].saturating_add(1);
        self.count += 1;
        self.longest = self.longest.max(nanos);
        self.sum += u128::from(nanos);
    }

    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    #[must_use]
    pub const fn longest(&self) -> Duration {
        Duration::from_nanos(self.longest)
    }

    #[must_use]
    pub fn mean(&self) -> Duration {
        let mean = self.sum.checked_div(u128::from(self.count)).unwrap_or(0);
        Duration::from_nanos(u64::try_from(mean).unwrap_or(u64::MAX))
    }

    /// The time that this share of all stayed within; 0.95 for the p95. Zero when empty.
    #[must_use]
    pub fn percentile(&self, share: f64) -> Duration {
        let wanted = (self.count as f64 * share.clamp(0.0, 1.0)).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (class, count) in self.counts.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= wanted {
                return Duration::from_nanos(middle(class).min(self.longest));
            }
        }
        Duration::ZERO
    }

    /// How many took at least so long, to within one class.
    #[must_use]
    pub fn at_least(&self, time: Duration) -> u64 {
        let from = class(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        let counts = self.counts.iter().skip(from);
        counts.map(|count| u64::from(*count)).sum()
    }

    pub fn merge(&mut self, other: &Histogram) {
        if other.counts.len() > self.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine = mine.saturating_add(*theirs);
        }
        self.count += other.count;
        self.longest = self.longest.max(other.longest);
        self.sum += other.sum;
    }
}

fn class(nanos: u64) -> usize {
    let nanos = nanos.max(1 << SHORTEST);
    let doubling = 63 - nanos.leading_zeros();
    // The six bits after the leading one.
    let within = (nanos >> (doubling - 6)) & (CLASSES - 1);
    (u64::from(doubling - SHORTEST) * CLASSES + within) as usize
}

fn middle(class: usize) -> u64 {
    let class = class as u64;
    let doubling = class / CLASSES + u64::from(SHORTEST);
    let width = 1u64 << (doubling - 6);
    (1 << doubling) + (class % CLASSES) * width + width / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_right_to_a_hundredth() {
        let mut histogram = Histogram::default();
        (1..=1000).for_each(|ms| histogram.add(Duration::from_millis(ms)));
        for (share, want) in [(0.5, 500.0), (0.95, 950.0), (0.99, 990.0), (1.0, 1000.0)] {
            let got = histogram.percentile(share).as_secs_f64() * 1e3;
            assert!((got / want - 1.0).abs() < 0.01, "{share}: {got}");
        }
        assert_eq!(histogram.at_least(Duration::from_millis(1)), 1000);
        assert!(histogram.at_least(Duration::from_millis(900)).abs_diff(101) < 12);
        assert_eq!(histogram.longest(), Duration::from_secs(1));
        assert_eq!(histogram.mean(), Duration::from_micros(500_500));
    }

    #[test]
    fn nothing_and_everything_fit() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.percentile(0.95), Duration::ZERO);
        histogram.add(Duration::ZERO);
        histogram.add(Duration::MAX);
        assert!(histogram.percentile(0.5) < Duration::from_micros(2));
        let mut other = Histogram::default();
        other.merge(&histogram);
        assert_eq!(other, histogram);
    }
}
