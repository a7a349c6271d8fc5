//! Live traffic of one service, counted: how many answers, how many failures, how long they took.
//!
//! Latencies are kept as counts of classes that are 2 % wide, so that a million requests take as
//! much memory as ten.

use std::time::Duration;

use preheat_core::Moment;
use preheat_core::rollout::Traffic as Live;

/// Classes for each doubling; from a microsecond to about an hour.
const PER_DOUBLING: f64 = 32.0;
const CLASSES: usize = 32 * 32;

/// What "of late" means: between one and two of these.
const TURN: Duration = Duration::from_secs(30);

/// Requests and how they ended.
#[derive(Debug, Clone)]
pub struct Tally {
    answered: u64,
    failed: u64,
    declined: u64,
    classes: Vec<u32>,
}

impl Default for Tally {
    fn default() -> Self {
        Tally {
            answered: 0,
            failed: 0,
            declined: 0,
            classes: vec![0; CLASSES],
        }
    }
}

impl Tally {
    fn answered(&mut self, took: Duration) {
        self.answered += 1;
        let count = &mut self.classes[class(took)];
        *count = count.saturating_add(1);
    }

    fn add(&mut self, other: &Tally) {
        self.answered += other.answered;
        self.failed += other.failed;
        self.declined += other.declined;
        for (count, more) in self.classes.iter_mut().zip(&other.classes) {
            *count = count.saturating_add(*more);
        }
    }

    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary {
            requests: self.answered + self.failed,
            errors: self.failed,
            declined: self.declined,
            p95: self.percentile(0.95),
        }
    }

    /// The upper edge of the class that holds it; zero without an answer.
    fn percentile(&self, share: f64) -> Duration {
        let rank = (self.answered as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (class, count) in self.classes.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= rank.max(1) {
                let micros = ((class + 1) as f64 / PER_DOUBLING).exp2();
                return Duration::from_secs_f64(micros / 1e6);
            }
        }
        Duration::ZERO
    }
}

fn class(took: Duration) -> usize {
    let micros = (took.as_secs_f64() * 1e6).max(1.0);
    ((micros.log2() * PER_DOUBLING) as usize).min(CLASSES - 1)
}

/// What a tally says.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Summary {
    pub requests: u64,
    pub errors: u64,
    /// Requests that were not taken, which are in neither of those.
    pub declined: u64,
    pub p95: Duration,
}

impl Summary {
    /// For a rollout that watches.
    #[must_use]
    pub fn beside(self, blue_p95: Duration, blue_declined: Option<f64>) -> Live {
        Live {
            requests: self.requests,
            errors: self.errors,
            declined: self.declined,
            blue_declined,
            p95: self.p95,
            blue_p95,
        }
    }

    /// The share of requests that were not taken, of at least so many.
    #[must_use]
    pub fn declined_of(self, least: u64) -> Option<f64> {
        let asked = self.requests + self.declined;
        (asked >= least).then(|| self.declined as f64 / asked as f64)
    }
}

/// One service's traffic: since it was marked, and of late.
#[derive(Debug, Default)]
pub struct Traffic {
    since_mark: Tally,
    late: [Tally; 2],
    turned: Moment,
}

impl Traffic {
    pub fn answered(&mut self, took: Duration, now: Moment) {
        self.since_mark.answered(took);
        self.current(now).answered(took);
    }

    pub fn failed(&mut self, now: Moment) {
        self.since_mark.failed += 1;
        self.current(now).failed += 1;
    }

    pub fn declined(&mut self, now: Moment) {
        self.since_mark.declined += 1;
        self.current(now).declined += 1;
    }

    /// Counting begins anew.
    pub fn mark(&mut self) {
        self.since_mark = Tally::default();
    }

    #[must_use]
    pub fn since_mark(&self) -> Summary {
        self.since_mark.summary()
    }

    /// The last half minute to minute.
    pub fn of_late(&mut self, now: Moment) -> Summary {
        let mut both = self.current(now).clone();
        both.add(&self.late[1]);
        both.summary()
    }

    fn current(&mut self, now: Moment) -> &mut Tally {
        let passed = now.since(self.turned);
        if passed >= TURN {
            let before = std::mem::take(&mut self.late[0]);
            self.late[1] = if passed < TURN * 2 {
                before
            } else {
                Tally::default()
            };
            self.turned = now;
        }
        &mut self.late[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Moment {
        Moment::after_start(Duration::from_secs(secs))
    }

    #[test]
    fn a_percentile_is_right_within_a_class() {
        let mut traffic = Traffic::default();
        for ms in 1..=100 {
            traffic.answered(Duration::from_millis(ms), at(0));
        }
        traffic.failed(at(0));
        traffic.declined(at(0));
        let Summary {
            requests,
            errors,
            declined,
            p95,
        } = traffic.since_mark();
        assert_eq!((requests, errors, declined), (101, 1, 1));
        let off = p95.as_secs_f64() / 0.095;
        assert!((1.0..1.03).contains(&off), "{p95:?}");
        traffic.mark();
        assert_eq!(traffic.since_mark(), Summary::default());
    }

    #[test]
    fn what_was_long_ago_is_not_of_late() {
        let mut traffic = Traffic::default();
        traffic.answered(Duration::from_secs(9), at(0));
        assert_eq!(traffic.of_late(at(29)).requests, 1);
        traffic.answered(Duration::from_millis(1), at(40));
        assert_eq!(traffic.of_late(at(41)).requests, 2);
        assert_eq!(traffic.of_late(at(75)).requests, 1);
        assert_eq!(traffic.of_late(at(200)).requests, 0);
    }

    #[test]
    fn any_time_has_a_class() {
        for took in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
            assert!(class(took) < CLASSES);
        }
    }
}
