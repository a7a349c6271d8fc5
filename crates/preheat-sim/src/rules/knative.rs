//! Knative's pod autoscaler: concurrency over two windows, the short one for panic.
//!
//! Defaults as published: stable window 60 s, panic window a tenth of it, panic at twice what the
//! ready pods are meant for, 70 per cent of the container's concurrency as the target, a look every
//! two seconds, up by a factor of 1 000 and down by half at most. Requests that wait in the
//! activator count as concurrency.

use super::{Observed, Rule, Window};

const TARGET: f64 = 0.7;
const STABLE: usize = 60;
const PANIC: usize = 6;
const PANIC_AT: f64 = 2.0;
const UP_BY: f64 = 1000.0;

pub(crate) struct Knative {
    target: f64,
    concurrency: Window,
    /// When panic was last called for.
    panic: Option<f64>,
    wanted: usize,
    look: bool,
}

impl Knative {
    pub(crate) fn new(container_concurrency: usize, replicas: usize) -> Self {
        Knative {
            target: TARGET * container_concurrency as f64,
            concurrency: Window::of(STABLE),
            panic: None,
            wanted: replicas,
            look: false,
        }
    }
}

impl Rule for Knative {
    fn wanted(&mut self, seen: &Observed) -> usize {
        self.concurrency.push(seen.requests as f64);
        self.look = !self.look;
        if !self.look {
            return self.wanted;
        }
        let ready = seen.ready.max(1) as f64;
        let pods = |mean: f64| {
            let most = (UP_BY * ready).ceil();
            let least = (ready / 2.0).floor();
            (mean / self.target).ceil().min(most).max(least)
        };
        let stable = pods(self.concurrency.mean());
        let panicking = pods(self.concurrency.mean_of_last(PANIC));
        if panicking / ready >= PANIC_AT {
            self.panic = Some(seen.now);
        }
        let over = |since: f64| seen.now - since > STABLE as f64;
        if self.panic.is_some_and(over) {
            self.panic = None;
        }
        self.wanted = match self.panic {
            // In panic nothing goes down.
            Some(_) => self.wanted.max(panicking as usize),
            None => stable as usize,
        };
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
    fn a_queue_is_read_as_demand() {
        let mut rule = Knative::new(4, 1);
        for second in 0..60 {
            assert_eq!(rule.wanted(&seen(f64::from(second), 2)), 1);
        }
        // A queue that grows by 130 a second, as behind a cold start.
        let wanted: Vec<_> = (0..70)
            .map(|s| rule.wanted(&seen(60.0 + f64::from(s), 130 * s as usize)))
            .collect();
        assert_eq!(wanted[20], 813, "after twenty seconds");
        assert_eq!(
            wanted.last(),
            Some(&1_000),
            "no more than a thousand for each that is ready"
        );
        // And for a whole window after that it does not go down.
        let after = rule.wanted(&seen(131.0, 0));
        assert_eq!(after, 1_000);
    }
}
