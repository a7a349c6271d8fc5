//! What users were promised, and how much one replica carries under it.

use std::time::Duration;

/// A share of requests that must be answered within a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slo {
    /// 0.95 for a p95.
    pub percentile: f64,
    pub threshold: Duration,
    /// Time over which the share is looked at.
    pub window: Duration,
}

impl Slo {
    #[must_use]
    pub const fn p95(threshold: Duration) -> Self {
        Slo {
            percentile: 0.95,
            threshold,
            window: Duration::from_secs(60),
        }
    }

    /// How many of so many requests may miss the threshold.
    #[must_use]
    pub fn may_miss(&self, requests: u32) -> u32 {
        let share = (1.0 - self.percentile).clamp(0.0, 1.0);
        // A hair above, so that 5 % of 20 is one and not 0.999….
        (f64::from(requests) * share + 1e-9) as u32
    }
}

/// What one replica carries.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Capacity {
    /// Requests that it works on at once.
    pub concurrency: usize,
    /// Time that one request takes when nothing else waits.
    pub service: Duration,
    /// Requests a second under the objective, where a load test has measured it.
    pub measured: Option<f64>,
}

impl Capacity {
    /// Requests a second that one replica carries. Without a measurement: what its places and its
    /// service time allow at best. Never zero, so that divisions mean something.
    #[must_use]
    pub fn rate(&self) -> f64 {
        let service = self.service.as_secs_f64().max(1e-6);
        let at_best = self.concurrency.max(1) as f64 / service;
        match self.measured {
            Some(rate) if rate > 0.0 && rate.is_finite() => rate,
            _ => at_best,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_p95_lets_one_in_twenty_miss() {
        let slo = Slo::p95(Duration::from_millis(200));
        assert_eq!(
            [0, 19, 20, 40, 100].map(|n| slo.may_miss(n)),
            [0, 0, 1, 2, 5]
        );
    }

    #[test]
    fn a_measurement_beats_arithmetic() {
        let by_arithmetic = Capacity {
            concurrency: 4,
            service: Duration::from_millis(80),
            measured: None,
        };
        assert!((by_arithmetic.rate() - 50.0).abs() < 1e-9);
        let measured = Capacity {
            measured: Some(45.0),
            ..by_arithmetic
        };
        assert!((measured.rate() - 45.0).abs() < 1e-9);
        let nonsense = Capacity {
            measured: Some(0.0),
            ..by_arithmetic
        };
        assert!((nonsense.rate() - 50.0).abs() < 1e-9);
    }
}
