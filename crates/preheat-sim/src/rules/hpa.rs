//! Kubernetes' horizontal autoscaler on CPU.
//!
//! As published: a look every 15 s, *current × utilisation ÷ target* rounded up, nothing within ten
//! per cent of the target, pods that are not ready counted as idle on the way up, at most double or
//! four more in one step, down only to the highest wish of the last 300 s. The target is 70 per cent.

use super::{Observed, Rule, Window};

const TARGET: f64 = 0.7;
const TOLERANCE: f64 = 0.1;
const PERIOD: f64 = 15.0;
const STABILISATION: usize = 300;
/// Metrics are means over this long.
const RESOLUTION: usize = 15;

pub(crate) struct Hpa {
    busy: Window,
    wishes: Window,
    next: f64,
    wanted: usize,
}

impl Hpa {
    /// So many replicas are there when it begins.
    pub(crate) fn from(replicas: usize) -> Self {
        Hpa {
            busy: Window::of(RESOLUTION),
            wishes: Window::of(STABILISATION),
            next: PERIOD,
            wanted: replicas,
        }
    }
}

impl Rule for Hpa {
    fn wanted(&mut self, seen: &Observed) -> usize {
        self.busy.push(seen.busy);
        if seen.now >= self.next {
            self.next = seen.now + PERIOD;
            let wish = self.wish(seen);
            self.wishes.push(wish as f64);
            self.wanted = wish.max(self.wishes.highest() as usize);
        } else if let Some(last) = self.wishes.samples.back().copied() {
            self.wishes.push(last);
        }
        self.wanted
    }
}

impl Hpa {
    fn wish(&self, seen: &Observed) -> usize {
        let pods = (seen.ready + seen.starting).max(1);
        let utilisation = self.busy.mean();
        let ratio = utilisation / TARGET;
        if (ratio - 1.0).abs() <= TOLERANCE {
            return pods;
        }
        // On the way up, pods that start are taken for idle ones; on the way down they are left out.
        let counted = if ratio > 1.0 { pods } else { seen.ready.max(1) };
        let mean = utilisation * seen.ready as f64 / counted as f64 / TARGET;
        if (ratio > 1.0) != (mean > 1.0) || (mean - 1.0).abs() <= TOLERANCE {
            return pods;
        }
        let wish = (mean * counted as f64).ceil() as usize;
        wish.min((pods * 2).max(pods + 4))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(now: f64, ready: usize, starting: usize, busy: f64) -> Observed {
        Observed {
            now,
            ready,
            starting,
            requests: 0,
            busy,
        }
    }

    fn look(rule: &mut Hpa, from: u32, to: u32, ready: usize, starting: usize, busy: f64) -> usize {
        (from..to).fold(0, |_, s| {
            rule.wanted(&seen(f64::from(s), ready, starting, busy))
        })
    }

    #[test]
    fn a_full_pod_asks_for_one_more_and_waits_for_it() {
        let mut rule = Hpa::from(1);
        assert_eq!(look(&mut rule, 0, 31, 1, 0, 1.0), 2);
        assert_eq!(
            look(&mut rule, 31, 90, 1, 1, 1.0),
            2,
            "the one that starts counts as idle"
        );
        assert_eq!(look(&mut rule, 90, 121, 2, 0, 1.0), 3);
        assert_eq!(look(&mut rule, 121, 300, 3, 0, 0.2), 3, "stabilised");
        assert_eq!(look(&mut rule, 300, 500, 3, 0, 0.2), 1);
    }
}
