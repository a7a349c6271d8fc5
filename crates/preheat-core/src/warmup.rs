//! When a case has been run often enough, and what came of it.

use std::time::Duration;

/// Rounds of each case where nobody says otherwise.
pub const USUAL_ROUNDS: usize = 3;

/// How often a case is run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RoundPolicy {
    pub min: usize,
    pub max: usize,
    /// Allowed spread of the last rounds, as a share of their median.
    pub tolerance: f64,
    /// Allowed spread in time: below this, a ratio says more about the machine than about warmth.
    pub slack: Duration,
}

impl RoundPolicy {
    /// For an engine whose shapes have no state the second run is as good as any later one; who asks for
    /// more than the usual number has a reason.
    #[must_use]
    pub fn for_engine(self, shape_state: bool) -> Self {
        if shape_state || self.min > USUAL_ROUNDS {
            self
        } else {
            RoundPolicy {
                min: self.min.min(2),
                ..self
            }
        }
    }

    /// What to do after the rounds so far. Settled: the last rounds, three where there are as many,
    /// lie within the tolerance.
    #[must_use]
    pub fn next(&self, rounds: &[Duration]) -> Rounds {
        if rounds.len() < self.min.max(1) {
            return Rounds::Again;
        }
        if self.settled(rounds) {
            Rounds::Settled
        } else if rounds.len() >= self.max.max(self.min) {
            Rounds::Unsettled
        } else {
            Rounds::Again
        }
    }

    fn settled(&self, rounds: &[Duration]) -> bool {
        // The first round pays for being first and says nothing about having settled; but where there
        // are two, the second may not be the slower one.
        let last = match rounds {
            [first, second] if second > first => rounds,
            [_, later @ ..] if !later.is_empty() => &later[later.len().saturating_sub(3)..],
            _ => rounds,
        };
        spread(last).is_none_or(|spread| {
            spread <= self.slack || spread <= median(last).mul_f64(self.tolerance.max(0.0))
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounds {
    Again,
    Settled,
    /// The rounds allowed are used up and latency still moves.
    Unsettled,
}

/// The way a case went in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Path {
    /// Straight onto one engine instance.
    Engine,
    Http,
    Grpc,
}

impl Path {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Path::Engine => "engine",
            Path::Http => "http",
            Path::Grpc => "grpc",
        }
    }
}

/// One case on one path: every round and what was returned.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseReport {
    pub name: String,
    /// What it stands for: a shape class, or the size of a request to somebody else's server.
    pub shape: String,
    pub path: Path,
    /// Which engine instance; none when the path chose one itself.
    pub instance: Option<usize>,
    pub rounds: Vec<Duration>,
    pub settled: bool,
    pub output: OutputFacts,
}

impl CaseReport {
    #[must_use]
    pub fn first(&self) -> Duration {
        self.rounds.first().copied().unwrap_or_default()
    }

    /// Median of the rounds after the first.
    #[must_use]
    pub fn steady(&self) -> Duration {
        match self.rounds.as_slice() {
            [] => Duration::ZERO,
            [only] => *only,
            [_, later @ ..] => median(later),
        }
    }

    /// The case run again: what came first stays its first run.
    #[must_use]
    pub fn again(mut self, earlier: &CaseReport) -> Self {
        match (self.rounds.as_mut_slice(), earlier.rounds.first()) {
            // A single run is steady already.
            ([_], Some(first)) => self.rounds.insert(0, *first),
            ([own, ..], Some(first)) => *own = *first,
            _ => {}
        }
        self
    }

    /// First ÷ steady; 1 when nothing was measured.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        ratio(self.first(), self.steady())
    }

    /// What the first user would have paid on top. Zero when that is the truth.
    #[must_use]
    pub fn saved(&self) -> Duration {
        self.first().saturating_sub(self.steady())
    }
}

/// What a case's output was found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputFacts {
    pub rows: usize,
    pub dim: usize,
    pub finite: bool,
    /// Everything that was expected of it holds.
    pub ok: bool,
}

/// Everything that warm-up did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WarmupReport {
    pub cases: Vec<CaseReport>,
    pub notes: Vec<String>,
}

impl WarmupReport {
    /// What the first users would have paid on top: each case once, on its costliest first run.
    #[must_use]
    pub fn saved(&self) -> Duration {
        let mut by_case: Vec<(&str, Duration)> = Vec::new();
        for report in &self.cases {
            match by_case.iter_mut().find(|(name, _)| *name == report.name) {
                Some((_, saved)) => *saved = (*saved).max(report.saved()),
                None => by_case.push((&report.name, report.saved())),
            }
        }
        by_case.into_iter().map(|(_, saved)| saved).sum()
    }
}

/// The middle value, the lower one of two. Zero of nothing.
#[must_use]
pub fn median(values: &[Duration]) -> Duration {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted
        .get(sorted.len().saturating_sub(1) / 2)
        .copied()
        .unwrap_or_default()
}

/// `a ÷ b`, and 1 when `b` is zero.
#[must_use]
pub fn ratio(a: Duration, b: Duration) -> f64 {
    if b.is_zero() {
        1.0
    } else {
        a.as_secs_f64() / b.as_secs_f64()
    }
}

fn spread(values: &[Duration]) -> Option<Duration> {
    Some(values.iter().max()?.saturating_sub(*values.iter().min()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: RoundPolicy = RoundPolicy {
        min: 3,
        max: 6,
        tolerance: 0.15,
        slack: Duration::from_micros(50),
    };

    fn ms(values: &[u64]) -> Vec<Duration> {
        values.iter().map(|&v| Duration::from_millis(v)).collect()
    }

    #[test]
    fn only_the_first_run_of_all_was_the_first() {
        let of = |rounds: &[u64]| CaseReport {
            name: "a".into(),
            shape: "1x16".into(),
            path: Path::Http,
            instance: None,
            rounds: ms(rounds),
            settled: true,
            output: OutputFacts {
                rows: 1,
                dim: 2,
                finite: true,
                ok: true,
            },
        };
        let cold = of(&[90, 10, 12]);
        for (again, want) in [
            (&[11, 10, 10][..], &[90, 10, 10][..]),
            (&[11], &[90, 11]),
            (&[], &[]),
        ] {
            let case = of(again).again(&cold);
            assert_eq!(case.rounds, ms(want));
            // What is steady is what was measured last.
            assert_eq!(case.steady(), of(again).steady());
        }
        assert_eq!(of(&[11]).again(&of(&[])).rounds, ms(&[11]));
    }

    #[test]
    fn rounds_go_on_until_the_last_ones_agree() {
        for (rounds, want) in [
            (&[90][..], Rounds::Again),
            (&[90, 10], Rounds::Again),
            (&[90, 10, 10], Rounds::Settled),
            (&[90, 30, 10], Rounds::Again),
            (&[90, 30, 10, 10, 11], Rounds::Settled),
            (&[90, 30, 10, 30, 10, 30], Rounds::Unsettled),
        ] {
            assert_eq!(POLICY.next(&ms(rounds)), want, "{rounds:?}");
        }
    }

    #[test]
    fn an_engine_without_shape_state_needs_two() {
        let policy = POLICY.for_engine(false);
        assert_eq!(policy.next(&ms(&[12])), Rounds::Again);
        assert_eq!(policy.next(&ms(&[12, 10])), Rounds::Settled);
        // One that became slower has not settled, whatever its engine says of itself.
        assert_eq!(policy.next(&ms(&[12, 60])), Rounds::Again);
        assert_eq!(policy.next(&ms(&[12, 60, 12])), Rounds::Again);
        assert_eq!(policy.next(&ms(&[12, 60, 12, 12, 12])), Rounds::Settled);
    }

    #[test]
    fn more_rounds_than_usual_are_run_on_every_engine() {
        let asked = RoundPolicy { min: 5, ..POLICY };
        let policy = asked.for_engine(false);
        assert_eq!(policy.next(&ms(&[12, 10, 10, 10])), Rounds::Again);
        assert_eq!(policy.next(&ms(&[12, 10, 10, 10, 10])), Rounds::Settled);
    }

    #[test]
    fn noise_below_the_slack_is_not_held_against_a_case() {
        let micros = |v: &[u64]| {
            v.iter()
                .map(|&v| Duration::from_micros(v))
                .collect::<Vec<_>>()
        };
        assert_eq!(POLICY.next(&micros(&[100, 60, 90, 70])), Rounds::Settled);
    }

    proptest! {
        #[test]
        fn rounds_always_end(values in prop::collection::vec(0u64..1000, 0..40)) {
            let rounds = ms(&values);
            let end = (0..=rounds.len()).find(|&n| POLICY.next(&rounds[..n]) != Rounds::Again);
            prop_assert!(rounds.len() < POLICY.max || end.is_some_and(|n| n <= POLICY.max));
            prop_assert!(end.is_none_or(|n| n >= POLICY.min));
        }
    }
}
