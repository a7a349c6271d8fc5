//! The rate since the last change that chance does not explain.
//!
//! A mean over a fixed time is either late after a step or full of chance. This one goes back as far
//! as the arrivals look alike, some seconds at most: a generalised likelihood ratio over where the
//! rate of a Poisson process may have changed.

use std::collections::VecDeque;
use std::time::Duration;

/// Buckets remembered.
const REMEMBERED: usize = 64;

/// Gain in log-likelihood from which on a change is believed. By chance one look in a thousand finds
/// that much, over all places where a change could be.
const BELIEVED: f64 = 9.0;

/// Arrivals of one moment say nothing: a change is at least so old when it is seen.
const SHORTEST: f64 = 0.05;

/// Means are over at least so long when nothing has changed.
const LEAST: f64 = 0.3;

/// Counts of buckets of equal length, newest last.
#[derive(Debug, Clone, Default)]
pub(super) struct Recent(VecDeque<u64>);

/// Arrivals of a stretch of time, and its seconds.
#[derive(Debug, Clone, Copy, Default)]
struct Stretch {
    count: u64,
    seconds: f64,
}

impl Recent {
    pub(super) fn close(&mut self, count: u64) {
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(count);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Arrivals a second as of now, where `count` have come in the bucket that `open` has begun.
    pub(super) fn rate(&self, bucket: Duration, count: u64, open: Duration) -> f64 {
        let bucket = bucket.as_secs_f64();
        let now = Stretch {
            count,
            seconds: open.as_secs_f64(),
        };
        let closed = self.0.iter().rev().map(|&count| Stretch {
            count,
            seconds: bucket,
        });
        // Totals back to each place where the rate may have changed, the nearest first.
        let mut back: Vec<Stretch> = Vec::with_capacity(REMEMBERED + 1);
        for stretch in std::iter::once(now).chain(closed) {
            let before = back.last().copied().unwrap_or_default();
            back.push(before.and(stretch));
        }
        while let Some(changed) = change(&back) {
            back.truncate(changed + 1);
        }
        let alike = back.last().copied().unwrap_or_default();
        let least = if back.len() <= self.0.len() {
            SHORTEST
        } else {
            LEAST
        };
        alike.count as f64 / alike.seconds.max(least)
    }
}

/// Where the stretch that goes back furthest is best cut in two, if two rates explain it that much
/// better than one.
fn change(back: &[Stretch]) -> Option<usize> {
    let (whole, places) = back.split_last()?;
    let gain =
        |late: &Stretch| late.likelihood() + whole.less(*late).likelihood() - whole.likelihood();
    let old = places
        .iter()
        .enumerate()
        .filter(|(_, late)| late.seconds >= SHORTEST);
    let (at, best) = old
        .map(|(at, late)| (at, gain(late)))
        .max_by(|a, b| a.1.total_cmp(&b.1))?;
    (best > BELIEVED).then_some(at)
}

impl Stretch {
    fn and(self, other: Stretch) -> Stretch {
        Stretch {
            count: self.count + other.count,
            seconds: self.seconds + other.seconds,
        }
    }

    fn less(self, part: Stretch) -> Stretch {
        Stretch {
            count: self.count - part.count,
            seconds: self.seconds - part.seconds,
        }
    }

    /// Of its own mean as the rate, up to what any rate has in common.
    fn likelihood(self) -> f64 {
        if self.count == 0 || self.seconds <= 0.0 {
            return 0.0;
        }
        self.count as f64 * (self.count as f64 / self.seconds).ln()
    }
}
