//! How many replicas should be in rotation.
//!
//! Wanted is *rate ÷ (utilisation × capacity)*, rounded up. Up at once; down only after the load has
//! been low for longer than a mistake would cost, and then in small steps.

use std::time::Duration;

use crate::decision::Because;
use crate::demand::Rate;
use crate::moment::Moment;
use crate::slo::Capacity;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScalePolicy {
    pub min: usize,
    pub max: usize,
    /// Share of its capacity that a replica is planned to carry.
    pub utilisation: f64,
    /// Load must be low for at least this long, and for two cold starts, before anything goes.
    pub down_after: Duration,
    /// Without a request for this long: none at all. None: never to zero.
    pub to_zero_after: Option<Duration>,
}

impl Default for ScalePolicy {
    fn default() -> Self {
        ScalePolicy {
            min: 1,
            max: 6,
            utilisation: 0.7,
            down_after: Duration::from_secs(60),
            to_zero_after: None,
        }
    }
}

/// A number of replicas and the reason for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    pub count: usize,
    pub because: Because,
}

/// What a decision looks at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seen {
    pub rate: Rate,
    pub capacity: Capacity,
    /// p90 time from start to proven.
    pub cold_start: Duration,
    /// Requests being held, worked on or just knocking: somebody is there.
    pub present: usize,
    pub last_arrival: Option<Moment>,
    /// Replicas that are on their way.
    pub starting: usize,
}

/// The wanted count of one service over time.
#[derive(Debug, Clone)]
pub struct Scaler {
    policy: ScalePolicy,
    count: usize,
    low: LowWater,
}

impl Scaler {
    #[must_use]
    pub fn new(policy: ScalePolicy) -> Self {
        Scaler {
            count: policy.floor(),
            policy,
            low: LowWater::default(),
        }
    }

    #[must_use]
    pub const fn policy(&self) -> &ScalePolicy {
        &self.policy
    }

    /// Other bounds from now on.
    pub fn set_policy(&mut self, policy: ScalePolicy) {
        self.policy = policy;
    }

    /// A request found every permit taken, and a spare went into rotation: now so many are in it.
    /// They stay until the load has been low for long enough, or the next look would undo it.
    pub fn promoted_to(&mut self, active: usize) {
        if active > self.count {
            self.count = active.min(self.policy.max);
            self.low.reset();
        }
    }

    pub fn decide(&mut self, seen: &Seen, now: Moment) -> Desired {
        let carried = self.policy.utilisation.clamp(0.05, 1.0) * seen.capacity.rate();
        let need = (seen.rate.wanted.max(0.0) / carried - 1e-9).ceil() as usize;
        let (target, rule) = self.target(need, seen, now);
        let before = self.count;
        let patience = self.policy.down_after.max(seen.cold_start * 2);
        let (count, rule) = if target >= before {
            self.low.reset();
            (target, rule)
        } else if target == 0 {
            (0, rule)
        } else if let Some(lowest) = self.low.over(target, patience, now) {
            (before - step(before).min(before - lowest), rule)
        } else {
            (before, "kept: the load has not been low for long enough")
        };
        // A new bound holds at once, whichever way it moved.
        self.count = count.clamp(self.policy.min_at(count), self.policy.max);
        Desired {
            count: self.count,
            because: self.because(rule, need, before, patience, seen),
        }
    }

    /// Where the count should go, before anything about pace.
    fn target(&self, need: usize, seen: &Seen, now: Moment) -> (usize, &'static str) {
        let policy = &self.policy;
        if let Some(linger) = policy.to_zero_after {
            let idle = |last: Moment| now.since(last) >= linger;
            let nobody = seen.present == 0 && seen.last_arrival.is_none_or(idle);
            if nobody && seen.starting == 0 {
                return (0, "nobody has come for longer than the linger time");
            }
        }
        let someone = usize::from(seen.present > 0 || self.count > 0);
        let target = need.max(someone).max(policy.floor());
        if target > policy.max {
            (policy.max, "the load needs more than the maximum")
        } else if target > need {
            (target, "the minimum")
        } else if seen.rate.forecast.is_some_and(|f| f >= seen.rate.wanted) {
            (target, "the load will need them one cold start from now")
        } else {
            (target, "the load needs them")
        }
    }

    fn because(
        &self,
        rule: &'static str,
        need: usize,
        before: usize,
        patience: Duration,
        seen: &Seen,
    ) -> Because {
        let mut because = Because::new(rule)
            .rate("rate", seen.rate.wanted)
            .rate("10 s mean", seen.rate.slow)
            .rate("2 s mean", seen.rate.fast)
            .rate("capacity of one", seen.capacity.rate())
            .share("utilisation", self.policy.utilisation)
            .count("needed", need)
            .count("before", before)
            .count("starting", seen.starting)
            .count("min", self.policy.min)
            .count("max", self.policy.max)
            .time("down after", patience);
        if let Some(forecast) = seen.rate.forecast {
            because = because.rate("forecast", forecast);
        }
        because
    }
}

impl ScalePolicy {
    /// The fewest while somebody may come at any time.
    fn floor(&self) -> usize {
        if self.to_zero_after.is_some() {
            self.min.min(self.max)
        } else {
            self.min.max(1).min(self.max)
        }
    }

    /// Zero is allowed below the minimum where the policy says so.
    fn min_at(&self, count: usize) -> usize {
        if count == 0 && self.to_zero_after.is_some() {
            0
        } else {
            self.floor()
        }
    }
}

/// One at a time; of a large fleet a tenth, or it would take days.
fn step(count: usize) -> usize {
    (count / 10).max(1)
}

/// Since when something has been low, and how low it has been all the while at most.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LowWater {
    since: Option<Moment>,
    highest: usize,
}

impl LowWater {
    pub(crate) fn reset(&mut self) {
        *self = LowWater::default();
    }

    /// The highest of the low values, once they have been low for `patience`; then the wait begins
    /// anew.
    pub(crate) fn over(&mut self, value: usize, patience: Duration, now: Moment) -> Option<usize> {
        let since = *self.since.get_or_insert(now);
        self.highest = self.highest.max(value);
        if now.since(since) < patience {
            return None;
        }
        let highest = self.highest;
        self.reset();
        Some(highest)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const COLD: Duration = Duration::from_secs(71);

    fn at(secs: u64) -> Moment {
        Moment::after_start(Duration::from_secs(secs))
    }

    fn seen(rate: f64) -> Seen {
        Seen {
            rate: Rate {
                wanted: rate,
                slow: rate,
                fast: rate,
                surging: false,
                forecast: None,
            },
            capacity: Capacity {
                concurrency: 4,
                service: Duration::from_millis(80),
                measured: None,
            },
            cold_start: COLD,
            present: usize::from(rate > 0.0),
            last_arrival: None,
            starting: 0,
        }
    }

    #[test]
    fn up_at_once_and_never_above_the_maximum() {
        let mut scaler = Scaler::new(ScalePolicy::default());
        for (rate, want) in [(0.0, 1), (30.0, 1), (36.0, 2), (180.0, 6), (9_000.0, 6)] {
            assert_eq!(scaler.decide(&seen(rate), at(0)).count, want, "{rate}");
        }
    }

    #[test]
    fn down_one_at_a_time_after_two_cold_starts() {
        let mut scaler = Scaler::new(ScalePolicy::default());
        scaler.decide(&seen(180.0), at(0));
        let counts: Vec<_> = (1..600)
            .map(|s| scaler.decide(&seen(30.0), at(s)).count)
            .collect();
        assert_eq!(counts[..142], [6; 142]);
        assert_eq!(counts[142], 5);
        assert!(counts.windows(2).all(|w| w[0] - w[1] <= 1));
        let spike = scaler.decide(&seen(100.0), at(600));
        assert_eq!(spike.because.rule, "the load needs them");
    }

    #[test]
    fn what_an_event_promoted_is_not_undone_by_the_next_look() {
        let mut scaler = Scaler::new(ScalePolicy::default());
        scaler.decide(&seen(30.0), at(0));
        scaler.promoted_to(3);
        assert_eq!(scaler.decide(&seen(30.0), at(1)).count, 3);
        assert_eq!(scaler.decide(&seen(30.0), at(143)).count, 2);
        scaler.promoted_to(99);
        assert_eq!(scaler.decide(&seen(30.0), at(144)).count, 6);
    }

    #[test]
    fn to_zero_after_the_linger_time_and_never_while_starting() {
        let policy = ScalePolicy {
            min: 0,
            to_zero_after: Some(Duration::from_secs(300)),
            ..ScalePolicy::default()
        };
        let mut scaler = Scaler::new(policy);
        assert_eq!(scaler.decide(&seen(0.0), at(0)).count, 0);
        assert_eq!(scaler.decide(&seen(0.5), at(1)).count, 1);
        let idle = Seen {
            last_arrival: Some(at(1)),
            ..seen(0.0)
        };
        let starting = Seen {
            starting: 1,
            ..idle
        };
        assert_eq!(scaler.decide(&idle, at(300)).count, 1);
        assert_eq!(scaler.decide(&starting, at(400)).count, 1);
        assert_eq!(scaler.decide(&idle, at(401)).count, 0);
    }

    #[test]
    fn every_decision_says_what_it_saw() {
        let mut scaler = Scaler::new(ScalePolicy::default());
        let because = scaler.decide(&seen(180.0), at(0)).because.to_string();
        assert!(
            because.starts_with("the load needs them: rate 180.0/s"),
            "{because}"
        );
        assert!(because.contains("needed 6, before 1"), "{because}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Within bounds; never more than needed; no way down within the patience of a way up.
        #[test]
        fn bounds_need_and_no_flapping(
            min in 0usize..4, more in 0usize..20, zero in any::<bool>(),
            rates in prop::collection::vec(0f64..2_000.0, 1..200),
        ) {
            let policy = ScalePolicy {
                min,
                max: min.max(1) + more,
                to_zero_after: zero.then_some(Duration::from_secs(5)),
                ..ScalePolicy::default()
            };
            let mut scaler = Scaler::new(policy);
            let (mut before, mut last_up, mut highest) = (policy.floor(), 0, 0);
            for (second, rate) in (0..).zip(rates) {
                let need = (rate / 35.0).ceil() as usize;
                highest = highest.max(need);
                let count = scaler.decide(&seen(rate), at(second)).count;
                prop_assert!(count <= policy.max);
                prop_assert!(count >= policy.floor() || (zero && count == 0));
                prop_assert!(count >= need.min(policy.max));
                prop_assert!(count <= highest.max(policy.floor()).max(1));
                if count > before {
                    last_up = second;
                } else if count < before && count > 0 {
                    prop_assert!(second - last_up >= 142);
                }
                before = count;
            }
        }
    }
}
