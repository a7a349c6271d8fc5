//! The warm pool: replicas fully proven and out of rotation, so that a burst meets warm ones.

use std::time::Duration;

use crate::decision::Because;
use crate::moment::Moment;
use crate::scaling::LowWater;
use crate::slo::Capacity;

/// Share of a replica's places that may be taken when the pool is in rotation.
const FULL: f64 = 0.85;

/// How many spares are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolSize {
    /// Computed from bursts and from the time that a new one takes.
    Auto,
    Fixed(usize),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PoolPolicy {
    pub size: PoolSize,
    /// The rate that a burst may bring, where somebody knows; else the highest seen of late.
    pub burst: Option<f64>,
    /// Active and spare replicas together.
    pub max_replicas: usize,
}

/// What the size is computed from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PoolInputs {
    /// Requests a second at the peak of a burst, as seen.
    pub burst: f64,
    pub capacity: Capacity,
    /// Replicas wanted in rotation.
    pub active: usize,
    /// Spares taken into rotation a second, of late.
    pub claims: f64,
    /// p90 time from start to proven.
    pub time_to_warm: Duration,
    /// Bytes that one replica needs, and bytes that spares may take in all. None: not known.
    pub memory: Option<(u64, u64)>,
    /// Spares by the schedule of busy hours, if one speaks now.
    pub scheduled: Option<usize>,
}

/// The wanted number of spares and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Spares {
    pub count: usize,
    /// More would be needed, and memory or the maximum forbids it: bursts will be shed.
    pub short_by: usize,
    pub because: Because,
}

/// The wanted pool of one service over time: grows at once, shrinks slowly.
#[derive(Debug, Clone)]
pub struct Pool {
    policy: PoolPolicy,
    total: usize,
    low: LowWater,
}

impl Pool {
    #[must_use]
    pub fn new(policy: PoolPolicy) -> Self {
        Pool {
            policy,
            total: 0,
            low: LowWater::default(),
        }
    }

    pub fn set_policy(&mut self, policy: PoolPolicy) {
        self.policy = policy;
    }

    /// So many were wanted, active and spare together, before this began to decide.
    pub fn held(&mut self, total: usize) {
        self.total = self.total.max(total);
    }

    /// `patience` as for scaling down: a spare that was paid for is kept for as long as another
    /// cold start would cost.
    pub fn decide(&mut self, inputs: &PoolInputs, patience: Duration, now: Moment) -> Spares {
        let now_wanted = self.policy.spares(inputs);
        let total = inputs.active + now_wanted.count;
        // Active and spare change places without anybody starting or stopping: the sum is what
        // must not flap. Scaled to zero is another matter: that was waited for already.
        if total >= self.total || inputs.active == 0 {
            self.low.reset();
            self.total = total;
        } else if let Some(highest) = self.low.over(total, patience, now) {
            self.total = highest.max(total);
        }
        let held = self.total.saturating_sub(inputs.active);
        Spares {
            count: now_wanted.count.max(held.min(self.policy.most(inputs))),
            ..now_wanted
        }
    }
}

impl PoolPolicy {
    /// The size for what is seen at this moment.
    #[must_use]
    pub fn spares(&self, inputs: &PoolInputs) -> Spares {
        let burst = self.burst.unwrap_or(inputs.burst).max(0.0);
        let service = inputs.capacity.service.as_secs_f64();
        let places = FULL * inputs.capacity.concurrency.max(1) as f64;
        let for_burst = ceil(burst * service / places).saturating_sub(inputs.active);
        let for_claims = ceil(inputs.claims.max(0.0) * inputs.time_to_warm.as_secs_f64());
        let (wanted, rule) = match (inputs.scheduled, self.size) {
            (Some(count), _) => (count, "spares by the schedule"),
            (None, PoolSize::Fixed(count)) => (count, "spares as set"),
            (None, PoolSize::Auto) if inputs.active == 0 => (0, "scaled to zero, spares too"),
            (None, PoolSize::Auto) if for_burst >= for_claims => (
                for_burst,
                "spares for a burst that no new replica could meet in time",
            ),
            (None, PoolSize::Auto) => (for_claims, "spares to outlast the start of the next ones"),
        };
        let count = wanted.min(self.most(inputs));
        let rule = match count {
            count if count == wanted => rule,
            count if count == by_memory(inputs) => {
                "memory allows no more spares; bursts will be shed"
            }
            _ => "the maximum allows no more spares; bursts will be shed",
        };
        let mut because = Because::new(rule)
            .rate("burst", burst)
            .time("service", inputs.capacity.service)
            .count("concurrency", inputs.capacity.concurrency)
            .count("active", inputs.active)
            .rate("claims", inputs.claims)
            .time("time to warm", inputs.time_to_warm)
            .count("for the burst", for_burst)
            .count("for claims", for_claims)
            .count("max replicas", self.max_replicas);
        if let Some((each, free)) = inputs.memory {
            because = because.bytes("each needs", each).bytes("free", free);
        }
        Spares {
            count,
            short_by: wanted - count,
            because,
        }
    }

    /// As many as the maximum and the memory allow.
    fn most(&self, inputs: &PoolInputs) -> usize {
        let by_max = self.max_replicas.saturating_sub(inputs.active);
        by_max.min(by_memory(inputs))
    }
}

fn by_memory(inputs: &PoolInputs) -> usize {
    match inputs.memory {
        Some((each, free)) if each > 0 => usize::try_from(free / each).unwrap_or(usize::MAX),
        _ => usize::MAX,
    }
}

fn ceil(x: f64) -> usize {
    (x - 1e-9).ceil().max(0.0) as usize
}

/// One spare, as far as the choice among them needs it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spare {
    /// When it last ran: proof, keep-warm or traffic.
    pub last_run: Moment,
    pub degraded: bool,
}

/// Which spare takes over when a request finds every permit taken: the one that ran last, since
/// caches forget; a degraded one only if there is no other. None: the pool is empty.
///
/// Called by that very request, never by a tick: until the next half second a burst has already
/// queued. Refill starts at the same moment.
#[must_use]
pub fn promote(spares: &[Spare]) -> Option<usize> {
    let rank = |spare: &Spare| (!spare.degraded, spare.last_run);
    // The first of equals, so that the choice does not depend on anything else.
    (0..spares.len()).rev().max_by_key(|&at| rank(&spares[at]))
}

/// How long starts have taken of late.
#[derive(Debug, Clone, Default)]
pub struct StartTimes {
    recent: Vec<Duration>,
    next: usize,
}

impl StartTimes {
    const REMEMBERED: usize = 32;

    pub fn learn(&mut self, took: Duration) {
        if self.recent.len() < Self::REMEMBERED {
            self.recent.push(took);
        } else {
            self.recent[self.next] = took;
            self.next = (self.next + 1) % Self::REMEMBERED;
        }
    }

    /// 90 of 100 were faster. None: nothing has started yet.
    #[must_use]
    pub fn p90(&self) -> Option<Duration> {
        let mut sorted = self.recent.clone();
        sorted.sort_unstable();
        let at = (sorted.len() * 9).div_ceil(10).saturating_sub(1);
        sorted.get(at).copied()
    }

    /// What a start that has taken so long will still take: the median of those that took longer.
    /// One that is slower than all of them is nearly over, for all that is known. None: nothing has
    /// started yet.
    #[must_use]
    pub fn left(&self, elapsed: Duration) -> Option<Duration> {
        let longest = self.recent.iter().max()?;
        let mut longer: Vec<_> = self.recent.iter().filter(|took| **took > elapsed).collect();
        longer.sort_unstable();
        let left = longer
            .get((longer.len().max(1) - 1) / 2)
            .map(|took| **took - elapsed);
        Some(left.unwrap_or(*longest / 20))
    }
}

/// Spares claimed a second, over the last minutes.
#[derive(Debug, Clone, Default)]
pub struct Claims {
    rate: f64,
    at: Moment,
}

impl Claims {
    const WINDOW: f64 = 300.0;

    pub fn claimed(&mut self, now: Moment) {
        self.rate = self.rate(now) + 1.0 / Self::WINDOW;
        self.at = now;
    }

    #[must_use]
    pub fn rate(&self, now: Moment) -> f64 {
        self.rate * (-now.since(self.at).as_secs_f64() / Self::WINDOW).exp()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: PoolPolicy = PoolPolicy {
        size: PoolSize::Auto,
        burst: None,
        max_replicas: 6,
    };

    fn inputs() -> PoolInputs {
        PoolInputs {
            burst: 180.0,
            capacity: Capacity {
                concurrency: 4,
                service: Duration::from_millis(85),
                measured: None,
            },
            active: 1,
            claims: 0.0,
            time_to_warm: Duration::from_secs(71),
            memory: None,
            scheduled: None,
        }
    }

    fn at(secs: u64) -> Moment {
        Moment::after_start(Duration::from_secs(secs))
    }

    #[test]
    fn the_size_follows_burst_claims_schedule_and_memory() {
        assert_eq!(POLICY.spares(&inputs()).count, 4);
        let claimed = PoolInputs {
            claims: 0.06,
            ..inputs()
        };
        assert_eq!(POLICY.spares(&claimed).count, 5);
        let scheduled = PoolInputs {
            scheduled: Some(2),
            ..inputs()
        };
        assert_eq!(POLICY.spares(&scheduled).count, 2);
        let fixed = PoolPolicy {
            size: PoolSize::Fixed(3),
            ..POLICY
        };
        assert_eq!(fixed.spares(&inputs()).count, 3);
        let tight = PoolInputs {
            memory: Some((16_000, 40_000)),
            ..inputs()
        };
        let spares = POLICY.spares(&tight);
        assert_eq!((spares.count, spares.short_by), (2, 2));
        assert!(spares.because.rule.starts_with("memory"));
    }

    #[test]
    fn spares_are_not_given_back_at_the_first_calm() {
        let mut pool = Pool::new(POLICY);
        let patience = Duration::from_secs(142);
        assert_eq!(pool.decide(&inputs(), patience, at(0)).count, 4);
        let calm = PoolInputs {
            burst: 30.0,
            ..inputs()
        };
        assert_eq!(pool.decide(&calm, patience, at(1)).count, 4);
        assert_eq!(pool.decide(&calm, patience, at(142)).count, 4);
        assert_eq!(pool.decide(&calm, patience, at(143)).count, 0);
    }

    #[test]
    fn the_spare_that_ran_last_goes_first_and_a_degraded_one_last() {
        let spare = |secs, degraded| Spare {
            last_run: at(secs),
            degraded,
        };
        assert_eq!(promote(&[]), None);
        assert_eq!(
            promote(&[spare(1, false), spare(9, true), spare(5, false)]),
            Some(2)
        );
        assert_eq!(promote(&[spare(5, false), spare(5, false)]), Some(0));
        assert_eq!(promote(&[spare(9, true)]), Some(0));
    }

    #[test]
    fn start_times_are_remembered_to_the_ninetieth() {
        let mut times = StartTimes::default();
        assert_eq!(times.p90(), None);
        (1..=10).for_each(|s| times.learn(Duration::from_secs(s)));
        assert_eq!(times.p90(), Some(Duration::from_secs(9)));
        (0..100).for_each(|_| times.learn(Duration::from_secs(3)));
        assert_eq!(times.p90(), Some(Duration::from_secs(3)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn never_above_the_maximum_or_the_memory(
            burst in 0f64..5_000.0, active in 0usize..10, claims in 0f64..2.0,
            free in 0u64..100, each in 0u64..20,
        ) {
            let inputs = PoolInputs { burst, active, claims, memory: Some((each, free)), ..inputs() };
            let spares = Pool::new(POLICY).decide(&inputs, Duration::ZERO, at(0));
            prop_assert!(active + spares.count <= POLICY.max_replicas.max(active));
            prop_assert!(each == 0 || spares.count as u64 * each <= free);
        }
    }
}
