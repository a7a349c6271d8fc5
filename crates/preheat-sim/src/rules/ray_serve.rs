//! Ray Serve's default autoscaling: ongoing requests, looked back on.
//!
//! Defaults as published: two ongoing requests wanted for each replica, a mean over 30 s, pushed every
//! 10 s; more replicas once that was wanted for 30 s on end, fewer after 600 s. What waits at the
//! handle is ongoing too.

use super::{Observed, Rule, Window};

const TARGET: f64 = 2.0;
const LOOK_BACK: usize = 30;
const PUSH: f64 = 10.0;
const UP_DELAY: f64 = 30.0;
const DOWN_DELAY: f64 = 600.0;

pub(crate) struct RayServe {
    ongoing: Window,
    pushed: f64,
    next_push: f64,
    wanted: usize,
    /// Since when more, or fewer, have been called for without a break.
    up_since: Option<f64>,
    down_since: Option<f64>,
}

impl RayServe {
    /// So many replicas are there when it begins.
    pub(crate) fn from(replicas: usize) -> Self {
        RayServe {
            ongoing: Window::of(LOOK_BACK),
            pushed: 0.0,
            next_push: 0.0,
            wanted: replicas,
            up_since: None,
            down_since: None,
        }
    }
}

impl Rule for RayServe {
    fn wanted(&mut self, seen: &Observed) -> usize {
        self.ongoing.push(seen.requests as f64);
        if seen.now >= self.next_push {
            self.pushed = self.ongoing.mean();
            self.next_push = seen.now + PUSH;
        }
        let called_for = (self.pushed / TARGET).ceil() as usize;
        let since = |held: Option<f64>, still: bool| still.then(|| held.unwrap_or(seen.now));
        self.up_since = since(self.up_since, called_for > self.wanted);
        self.down_since = since(self.down_since, called_for < self.wanted);
        let due = |since: Option<f64>, delay: f64| since.is_some_and(|s| seen.now - s >= delay);
        if due(self.up_since, UP_DELAY) || due(self.down_since, DOWN_DELAY) {
            self.wanted = called_for;
            (self.up_since, self.down_since) = (None, None);
        }
        self.wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(now: f64, requests: usize) -> Observed {
        Observed {
            now,
            ready: 1,
            starting: 0,
            requests,
            busy: 1.0,
        }
    }

    #[test]
    fn up_after_half_a_minute_down_after_ten() {
        let mut rule = RayServe::from(1);
        (0..60).for_each(|s| {
            rule.wanted(&seen(f64::from(s), 2));
        });
        let up: Vec<_> = (60..140)
            .map(|s| rule.wanted(&seen(f64::from(s), 20)))
            .collect();
        let when = up.iter().position(|w| *w > 1).unwrap();
        assert!((29..50).contains(&when), "{when}");
        assert_eq!(up.last(), Some(&10));
        let down: Vec<_> = (140..900)
            .map(|s| rule.wanted(&seen(f64::from(s), 2)))
            .collect();
        let when = down.iter().position(|w| *w < 10).unwrap();
        assert!((595..640).contains(&when), "{when}");
    }
}
