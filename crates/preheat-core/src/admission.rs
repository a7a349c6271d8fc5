//! Who may come in, who waits, and who is told at once to come back later.

use std::time::Duration;

/// What is known when a request knocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Requests being worked on or waiting.
    pub inside: usize,
    /// Requests that may be worked on at once.
    pub concurrency: usize,
    /// Requests that may wait on top.
    pub queue: usize,
    /// How long a newcomer would wait before its own work begins.
    pub expected_wait: Duration,
    /// How long the newcomer is willing to take.
    pub budget: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admit {
    Run,
    Wait {
        expected: Duration,
    },
    Shed {
        why: ShedReason,
        retry_after: Duration,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ShedReason {
    /// As many as may wait are waiting.
    QueueFull,
    /// It would be answered too late to be of use.
    TooLate,
}

impl ShedReason {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            ShedReason::QueueFull => "queue_full",
            ShedReason::TooLate => "too_late",
        }
    }
}

/// Nobody is sent away for less: clients round this header to seconds.
const SHORTEST_RETRY: Duration = Duration::from_millis(50);

impl Load {
    #[must_use]
    pub fn admit(&self) -> Admit {
        let shed = |why| Admit::Shed {
            why,
            retry_after: self.expected_wait.max(SHORTEST_RETRY),
        };
        if self.inside >= self.concurrency.saturating_add(self.queue) {
            shed(ShedReason::QueueFull)
        } else if self.expected_wait > self.budget {
            shed(ShedReason::TooLate)
        } else if self.inside < self.concurrency {
            Admit::Run
        } else {
            Admit::Wait {
                expected: self.expected_wait,
            }
        }
    }
}

/// What a token costs, learnt from the batches that ran.
///
/// An exponentially weighted mean: new batches count for a tenth, so that one slow batch does not
/// turn people away and a lasting change shows within tens of batches.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct TokenCost {
    nanos: Option<f64>,
}

impl TokenCost {
    const WEIGHT: f64 = 0.1;

    pub fn learn(&mut self, tokens: usize, took: Duration) {
        if tokens == 0 {
            return;
        }
        let sample = took.as_secs_f64() * 1e9 / tokens as f64;
        self.nanos = Some(
            self.nanos
                .map_or(sample, |mean| mean + Self::WEIGHT * (sample - mean)),
        );
    }

    /// How long so many tokens take on so many instances. Zero as long as nothing ran.
    #[must_use]
    pub fn expect(&self, tokens: usize, instances: usize) -> Duration {
        let nanos = self.nanos.unwrap_or(0.0) * tokens as f64 / instances.max(1) as f64;
        Duration::from_secs_f64((nanos / 1e9).clamp(0.0, 86_400.0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LOAD: Load = Load {
        inside: 0,
        concurrency: 2,
        queue: 3,
        expected_wait: Duration::from_millis(80),
        budget: Duration::from_secs(1),
    };

    #[test]
    fn run_then_wait_then_shed() {
        let admit = |inside| Load { inside, ..LOAD }.admit();
        let wait = Admit::Wait {
            expected: LOAD.expected_wait,
        };
        let shed = Admit::Shed {
            why: ShedReason::QueueFull,
            retry_after: LOAD.expected_wait,
        };
        assert_eq!(
            (0..6).map(admit).collect::<Vec<_>>(),
            [Admit::Run, Admit::Run, wait, wait, wait, shed]
        );
    }

    #[test]
    fn what_would_come_too_late_is_refused_at_once() {
        let late = Load {
            budget: Duration::from_millis(10),
            ..LOAD
        };
        assert!(matches!(
            late.admit(),
            Admit::Shed {
                why: ShedReason::TooLate,
                ..
            }
        ));
    }

    #[test]
    fn cost_is_learnt_from_what_ran() {
        let mut cost = TokenCost::default();
        assert_eq!(cost.expect(1000, 1), Duration::ZERO);
        cost.learn(100, Duration::from_millis(10));
        assert_eq!(cost.expect(1000, 2), Duration::from_millis(50));
        (0..200).for_each(|_| cost.learn(100, Duration::from_millis(20)));
        let after = cost.expect(1000, 1).as_secs_f64();
        assert!((after - 0.2).abs() < 1e-6, "{after}");
    }

    proptest! {
        #[test]
        fn never_more_inside_than_allowed(inside in 0usize..50, concurrency in 0usize..20, queue in 0usize..20) {
            let admitted = !matches!(
                Load { inside, concurrency, queue, ..LOAD }.admit(), Admit::Shed { .. }
            );
            prop_assert_eq!(admitted, inside < concurrency + queue);
        }
    }
}
