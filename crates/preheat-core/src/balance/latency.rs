//! A replica's latency as a balancer should feel it: quick to believe bad news, slow to forget it.

use std::time::Duration;

use crate::moment::Moment;

/// Peak-sensitive exponentially weighted mean, decaying towards the replica's own proven latency.
///
/// The seed is what the replica's proof measured, never a constant: a constant makes every newcomer
/// look cheap or dear by accident. Decaying towards the seed and not towards zero keeps an idle
/// replica from looking faster than it ever was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PeakEwma {
    /// Seconds.
    seed: f64,
    value: f64,
    at: Moment,
}

impl PeakEwma {
    #[must_use]
    pub fn seeded(proven: Duration, now: Moment) -> Self {
        // Zero would make every product with it zero, and all replicas alike.
        let seed = proven.as_secs_f64().max(1e-6);
        PeakEwma {
            seed,
            value: seed,
            at: now,
        }
    }

    /// A warm request took so long. Cold samples never come here.
    pub fn learn(&mut self, took: Duration, now: Moment, decay: Duration) {
        let sample = took.as_secs_f64();
        self.value = if sample > self.value {
            sample
        } else {
            let kept = kept(now.since(self.at), decay);
            self.value * kept + sample * (1.0 - kept)
        };
        self.at = self.at.max(now);
    }

    /// Seconds, as of now.
    #[must_use]
    pub fn seconds(&self, now: Moment, decay: Duration) -> f64 {
        let excess = self.value - self.seed;
        if excess <= 0.0 {
            return self.value;
        }
        self.seed + excess * kept(now.since(self.at), decay)
    }
}

fn kept(age: Duration, decay: Duration) -> f64 {
    (-age.as_secs_f64() / decay.as_secs_f64().max(1e-3)).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECAY: Duration = Duration::from_secs(10);

    fn at(secs: u64) -> Moment {
        Moment::after_start(Duration::from_secs(secs))
    }

    #[test]
    fn bad_news_counts_at_once_and_fades() {
        let mut latency = PeakEwma::seeded(Duration::from_millis(80), at(0));
        latency.learn(Duration::from_secs(2), at(1), DECAY);
        assert!((latency.seconds(at(1), DECAY) - 2.0).abs() < 1e-9);
        let later = latency.seconds(at(11), DECAY);
        assert!((later - (0.08 + 1.92 / std::f64::consts::E)).abs() < 1e-9);
        assert!((latency.seconds(at(1000), DECAY) - 0.08).abs() < 1e-9);
    }

    #[test]
    fn good_news_is_believed_with_time() {
        let mut latency = PeakEwma::seeded(Duration::from_millis(80), at(0));
        for second in 1..200 {
            latency.learn(Duration::from_millis(40), at(second), DECAY);
        }
        assert!((latency.seconds(at(200), DECAY) - 0.04).abs() < 1e-3);
    }
}
