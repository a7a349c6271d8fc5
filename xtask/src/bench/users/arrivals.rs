//! When requests come.

use std::time::Duration;

use fastrand::Rng;

/// At random: so many a second in the mean, none at or after the end (a Poisson process).
pub(in crate::bench) fn at_random(dice: &mut Rng, rate: f64, end: Duration) -> Vec<Duration> {
    let (mut at, mut all) = (0.0, Vec::new());
    loop {
        at -= (1.0 - dice.f64()).ln() / rate;
        if at >= end.as_secs_f64() {
            return all;
        }
        all.push(Duration::from_secs_f64(at));
    }
}
