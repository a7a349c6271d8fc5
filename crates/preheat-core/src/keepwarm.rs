//! Keeping a warm replica warm while nobody comes.
//!
//! Caches forget, memory is swapped out, clocks go down. An idle replica runs its hot shapes now and
//! then; if that has become slower than its proof, it is warmed again before a user finds out.

use std::time::Duration;

use crate::decision::Because;
use crate::moment::Moment;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KeepWarmPolicy {
    /// Idle for this long: run a synthetic pass.
    pub idle: Duration,
    /// Never more often than this.
    pub every: Duration,
    /// A pass may be this many times slower than the proof.
    pub tolerance: f64,
    /// And in any case this much slower: noise is no regression.
    pub slack: Duration,
}

impl Default for KeepWarmPolicy {
    fn default() -> Self {
        KeepWarmPolicy {
            idle: Duration::from_secs(60),
            every: Duration::from_secs(30),
            tolerance: 1.5,
            slack: Duration::from_millis(2),
        }
    }
}

/// What keep-warm remembers of one replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepWarm {
    last_request: Moment,
    last_pass: Moment,
}

/// What came of a pass.
#[derive(Debug, Clone, PartialEq)]
pub enum PassOutcome {
    StillWarm,
    /// Slower than its proof: run the plan again and prove anew.
    Rewarm(Because),
}

impl KeepWarm {
    /// A replica whose proof has just been accepted: it has run a moment ago.
    #[must_use]
    pub const fn proven(now: Moment) -> Self {
        KeepWarm {
            last_request: now,
            last_pass: now,
        }
    }

    pub fn served(&mut self, now: Moment) {
        self.last_request = self.last_request.max(now);
    }

    /// When it last ran anything.
    #[must_use]
    pub fn last_run(&self) -> Moment {
        self.last_request.max(self.last_pass)
    }

    /// When the next pass is due if no request comes before. At or after that moment: run one.
    #[must_use]
    pub fn due(&self, policy: &KeepWarmPolicy) -> Moment {
        (self.last_request + policy.idle).max(self.last_pass + policy.every)
    }

    /// A pass over the hot shapes has run: `steady` is what the proof measured for them.
    pub fn passed(
        &mut self,
        took: Duration,
        steady: Duration,
        policy: &KeepWarmPolicy,
        now: Moment,
    ) -> PassOutcome {
        self.last_pass = now;
        let allowed = steady
            .mul_f64(policy.tolerance.max(1.0))
            .max(steady + policy.slack);
        if took <= allowed {
            return PassOutcome::StillWarm;
        }
        let because = Because::new("slower than its proof after being idle")
            .time("took", took)
            .time("proof", steady)
            .time("allowed", allowed)
            .time("idle", now.since(self.last_request));
        PassOutcome::Rewarm(because)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: KeepWarmPolicy = KeepWarmPolicy {
        idle: Duration::from_secs(60),
        every: Duration::from_secs(30),
        tolerance: 1.5,
        slack: Duration::from_millis(2),
    };

    fn at(secs: u64) -> Moment {
        Moment::after_start(Duration::from_secs(secs))
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn only_the_idle_are_kept_warm_and_not_too_often() {
        let mut kept = KeepWarm::proven(at(0));
        assert_eq!(kept.due(&POLICY), at(60));
        kept.served(at(50));
        assert_eq!(kept.due(&POLICY), at(110));
        kept.passed(ms(10), ms(10), &POLICY, at(110));
        assert_eq!(kept.due(&POLICY), at(140), "still idle: every 30 s");
        kept.served(at(139));
        assert_eq!((kept.due(&POLICY), kept.last_run()), (at(199), at(139)));
    }

    #[test]
    fn slower_than_the_proof_is_warmed_again_and_noise_is_not() {
        let mut kept = KeepWarm::proven(at(0));
        for (took, steady, warm) in [(14, 10, true), (16, 10, false), (3, 1, true), (4, 1, false)] {
            let outcome = kept.passed(ms(took), ms(steady), &POLICY, at(60));
            assert_eq!(outcome == PassOutcome::StillWarm, warm, "{took} {steady}");
        }
    }
}
