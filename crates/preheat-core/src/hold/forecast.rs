//! How long a request would wait, from what serves now and what is on its way.

use std::time::Duration;

/// What is known about the near future of one service.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// Requests a second that the replicas in rotation finish.
    pub rate: f64,
    /// Capacity on its way: in how long, and how many requests a second it adds. Any order.
    pub coming: Vec<(Duration, f64)>,
    /// Requests a second that arrive.
    pub arrivals: f64,
    /// Steady p95 of a request that does not wait.
    pub steady: Duration,
    /// Time that one request takes: nobody is done sooner.
    pub objective: Duration,
}

/// Longest prediction: beyond this, nothing is known.
pub const FAR: Duration = Duration::from_secs(3_600);

impl Forecast {
    #[must_use]
    pub fn is_warm(&self) -> bool {
        self.rate > 0.0
    }

    /// A moment passes: what comes is nearer.
    pub fn pass(&mut self, moment: Duration) {
        for (when, _) in &mut self.coming {
            *when = when.saturating_sub(moment);
        }
    }

    /// How long somebody with so many before them waits until their own work begins. None: nothing
    /// that is known to come would ever get to them.
    #[must_use]
    pub fn wait(&self, ahead: usize) -> Option<Duration> {
        let mut left = ahead as f64 + 1.0;
        let mut rate = self.rate.max(0.0);
        let mut since = 0.0;
        for (when, added) in self.steps() {
            let span = when - since;
            if rate * span >= left {
                break;
            }
            left -= rate * span;
            since = when;
            rate += added;
        }
        // What can begin at once does: a free place is not waited for.
        if rate <= 0.0 {
            return None;
        }
        let seconds = since + left / rate - if since > 0.0 { 0.0 } else { 1.0 / rate };
        Some(Duration::from_secs_f64(
            seconds.clamp(0.0, FAR.as_secs_f64()),
        ))
    }

    /// When it is worth coming back, for somebody who would wait longer than `budget` now.
    ///
    /// While more arrive than is finished, the queue stays as long as budgets let it be, and every
    /// return is in vain that cannot wait until there is new capacity.
    #[must_use]
    pub fn retry_after(&self, ahead: usize, budget: Duration) -> Duration {
        let wait = self.wait(ahead).unwrap_or(FAR);
        let relief = self.relief().unwrap_or_default();
        wait.max(relief).saturating_sub(budget).clamp(SOONEST, FAR)
    }

    /// When as much is finished as arrives; none if that is so now, or never will be.
    fn relief(&self) -> Option<Duration> {
        let mut rate = self.rate.max(0.0);
        if rate >= self.arrivals {
            return None;
        }
        let mut last = None;
        for (when, added) in self.steps() {
            rate += added;
            last = Some(Duration::from_secs_f64(when));
            if rate >= self.arrivals {
                break;
            }
        }
        last
    }

    fn steps(&self) -> Vec<(f64, f64)> {
        let sound = |(_, added): &&(Duration, f64)| added.is_finite() && *added > 0.0;
        let mut steps: Vec<_> = self
            .coming
            .iter()
            .filter(sound)
            .map(|(when, added)| (when.min(&FAR).as_secs_f64(), *added))
            .collect();
        steps.sort_by(|a, b| a.0.total_cmp(&b.0));
        steps
    }
}

/// When `missing` more replicas will be there that cannot be started yet: so many start `at_once`,
/// each takes `each`, none begins before `pause` is over. `starting`: what those under way still need.
#[must_use]
pub fn later_starts(
    starting: &[Duration],
    missing: usize,
    at_once: usize,
    pause: Duration,
    each: Duration,
) -> Vec<Duration> {
    let mut free: Vec<Duration> = starting.to_vec();
    free.resize(free.len().max(at_once.max(1)), Duration::ZERO);
    free.sort();
    // More than may start at once: the last ones to end leave no place behind.
    let surplus = free.len() - at_once.max(1);
    free.drain(..surplus);
    let mut there = Vec::with_capacity(missing);
    for _ in 0..missing {
        free.sort();
        let Some(place) = free.first_mut() else { break };
        *place = (*place).max(pause).saturating_add(each);
        there.push(*place);
    }
    there
}

/// Nobody is sent away for less.
const SOONEST: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Forecast = Forecast {
        rate: 0.0,
        coming: Vec::new(),
        arrivals: 0.0,
        steady: Duration::from_millis(100),
        objective: Duration::from_millis(200),
    };

    fn secs(secs: f64) -> Duration {
        Duration::from_secs_f64(secs)
    }

    #[test]
    fn waiting_is_for_what_serves_and_what_comes() {
        let serving = Forecast { rate: 50.0, ..NONE };
        assert_eq!(serving.wait(0), Some(secs(0.0)));
        assert_eq!(serving.wait(25), Some(secs(0.5)));
        assert_eq!(NONE.wait(0), None);
        let cold = Forecast {
            coming: vec![(secs(70.0), 50.0), (secs(10.0), 10.0)],
            ..NONE
        };
        assert_eq!(cold.wait(0), Some(secs(10.1)));
        assert_eq!(cold.wait(599), Some(secs(70.0)));
        assert_eq!(cold.wait(659), Some(secs(71.0)));
    }

    #[test]
    fn who_cannot_start_yet_comes_in_waves() {
        let later = |starting: &[f64], missing, pause| {
            let starting: Vec<_> = starting.iter().copied().map(secs).collect();
            let later = later_starts(&starting, missing, 2, secs(pause), secs(10.0));
            later.iter().map(Duration::as_secs_f64).collect::<Vec<_>>()
        };
        assert_eq!(later(&[3.0, 4.0], 3, 0.0), [13.0, 14.0, 23.0]);
        assert_eq!(later(&[], 3, 5.0), [15.0, 15.0, 25.0]);
        assert_eq!(later(&[3.0], 1, 0.0), [10.0]);
        assert_eq!(later(&[1.0, 2.0, 3.0], 1, 0.0), [12.0]);
        assert!(later(&[1.0], 0, 0.0).is_empty());
    }

    #[test]
    fn coming_back_before_relief_is_in_vain() {
        let busy = Forecast {
            rate: 50.0,
            coming: vec![(secs(30.0), 150.0)],
            arrivals: 180.0,
            ..NONE
        };
        assert_eq!(busy.retry_after(10, secs(0.1)), secs(29.9));
        let mut later = busy.clone();
        later.pass(secs(29.0));
        assert_eq!(later.retry_after(10, secs(0.1)), secs(0.9));
        let burst_over = Forecast {
            arrivals: 10.0,
            ..busy
        };
        assert_eq!(burst_over.retry_after(100, secs(0.1)), secs(1.9));
        assert_eq!(NONE.retry_after(0, secs(1.0)), FAR - secs(1.0));
    }
}
