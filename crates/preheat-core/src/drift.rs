//! Traffic that has moved away from what was warmed.
//!
//! Live requests are counted by shape class. A class that the proof did not cover and that has become
//! a share of traffic is to be warmed in the background and added to the plan.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::decision::Because;
use crate::moment::Moment;
use crate::shape::ShapeBucket;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DriftPolicy {
    /// Share of traffic from which a class counts as part of it.
    pub share: f64,
    /// Fewer requests than this say nothing about shares.
    pub at_least: u64,
    /// Counts are halved each time this has passed.
    pub half_life: Duration,
}

impl Default for DriftPolicy {
    fn default() -> Self {
        DriftPolicy {
            share: 0.01,
            at_least: 100,
            half_life: Duration::from_secs(600),
        }
    }
}

/// A class to warm.
#[derive(Debug, Clone, PartialEq)]
pub struct Uncovered {
    pub shape: ShapeBucket,
    pub share: f64,
    pub because: Because,
}

/// Requests by shape class, the recent ones counting more.
#[derive(Debug, Clone)]
pub struct Drift {
    policy: DriftPolicy,
    counts: BTreeMap<ShapeBucket, u64>,
    halved: Moment,
}

/// Classes counted: more than any sensible plan has.
const CLASSES: usize = 1024;

impl Drift {
    #[must_use]
    pub const fn new(policy: DriftPolicy, now: Moment) -> Self {
        Drift {
            policy,
            counts: BTreeMap::new(),
            halved: now,
        }
    }

    /// So many requests of this class came.
    pub fn saw(&mut self, shape: ShapeBucket, requests: u64, now: Moment) {
        self.fade(now);
        if self.counts.len() < CLASSES || self.counts.contains_key(&shape) {
            let count = self.counts.entry(shape).or_default();
            *count = count.saturating_add(requests);
        }
    }

    /// Shares of traffic, the largest first.
    #[must_use]
    pub fn shares(&self) -> Vec<(ShapeBucket, f64)> {
        let whole: u64 = self.counts.values().sum();
        let share = |count: u64| count as f64 / whole.max(1) as f64;
        let mut shares: Vec<_> = self.counts.iter().map(|(s, c)| (*s, share(*c))).collect();
        shares.sort_by(|a, b| b.1.total_cmp(&a.1));
        shares
    }

    /// Classes that are part of traffic and that `is_covered` by no proof, the largest share first.
    pub fn uncovered(
        &mut self,
        is_covered: impl Fn(ShapeBucket) -> bool,
        now: Moment,
    ) -> Vec<Uncovered> {
        self.fade(now);
        let whole: u64 = self.counts.values().sum();
        if whole < self.policy.at_least {
            return Vec::new();
        }
        let notable = |(shape, share): &(ShapeBucket, f64)| {
            *share >= self.policy.share && !is_covered(*shape)
        };
        let found = self.shares().into_iter().filter(notable);
        let explain = |(shape, share)| Uncovered {
            shape,
            share,
            because: Because::new("live traffic has a shape that the proof did not cover")
                .text("shape", shape.to_string())
                .share("share", share)
                .share("threshold", self.policy.share)
                .saw("requests", crate::decision::Value::Count(whole)),
        };
        found.map(explain).collect()
    }

    fn fade(&mut self, now: Moment) {
        let half_life = self.policy.half_life.max(Duration::from_secs(1));
        let passed = now.since(self.halved).as_nanos() / half_life.as_nanos();
        if passed == 0 {
            return;
        }
        let by = u32::try_from(passed).unwrap_or(u32::MAX);
        self.counts.retain(|_, count| {
            *count = count.checked_shr(by).unwrap_or(0);
            *count > 0
        });
        self.halved = self.halved + half_life.saturating_mul(by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Moment {
        Moment::after_start(Duration::from_secs(secs))
    }

    #[test]
    fn a_new_shape_is_named_once_it_is_part_of_traffic() {
        let (short, long) = (ShapeBucket::new(1, 16), ShapeBucket::new(1, 512));
        let mut drift = Drift::new(DriftPolicy::default(), at(0));
        drift.saw(long, 50, at(1));
        assert!(
            drift.uncovered(|_| false, at(1)).is_empty(),
            "too few to say"
        );
        drift.saw(short, 950, at(1));
        let found = drift.uncovered(|shape| shape == short, at(1));
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].shape, found[0].share), (long, 0.05));
        assert!(drift.uncovered(|_| true, at(1)).is_empty());
    }

    #[test]
    fn what_was_is_forgotten() {
        let mut drift = Drift::new(DriftPolicy::default(), at(0));
        let (old, new) = (ShapeBucket::new(1, 16), ShapeBucket::new(4, 16));
        drift.saw(old, 1000, at(0));
        drift.saw(new, 250, at(1200));
        assert_eq!(drift.shares(), [(old, 0.5), (new, 0.5)]);
        assert!(drift.uncovered(|_| false, at(1_000_000)).is_empty());
        assert!(drift.shares().is_empty());
    }
}
