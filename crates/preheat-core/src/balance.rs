//! Which replica a request goes to.
//!
//! Power of two choices over *peak latency × (in flight + 1)*. Only replicas that handed in a proof
//! become an [`Endpoint`], and a newcomer is let in by a crack: to a latency-aware balancer an
//! untried replica looks like the cheapest one, and would get everybody's first requests.

mod endpoint;
mod latency;

use std::time::Duration;

pub use endpoint::{Consequence, Credentials, Ended, Endpoint, Entry};
pub use latency::PeakEwma;

use crate::moment::Moment;
use crate::slo::Slo;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BalancePolicy {
    /// How fast a latency peak is forgotten.
    pub decay: Duration,
    /// A newcomer's first requests; 0 switches probation off.
    pub probation_requests: u32,
    /// How many of them may be in flight at once.
    pub probation_in_flight: usize,
    /// What a newcomer is judged by.
    pub slo: Slo,
    pub failures_to_eject: u32,
    pub first_ejection: Duration,
    pub longest_ejection: Duration,
}

impl BalancePolicy {
    #[must_use]
    pub const fn under(slo: Slo) -> Self {
        BalancePolicy {
            decay: Duration::from_secs(10),
            probation_requests: 20,
            probation_in_flight: 2,
            slo,
            failures_to_eject: 3,
            first_ejection: Duration::from_secs(1),
            longest_ejection: Duration::from_secs(30),
        }
    }
}

/// How many are in rotation, and how many of them are out for failures at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crowd {
    pub in_rotation: usize,
    pub ejected: usize,
}

impl Crowd {
    pub fn of<E: AsRef<Endpoint>>(endpoints: &[E], now: Moment) -> Self {
        let ejected = endpoints.iter().filter(|e| e.as_ref().is_ejected(now));
        Crowd {
            in_rotation: endpoints.len(),
            ejected: ejected.count(),
        }
    }

    /// Those who would serve if one of the serving left.
    const fn others(self) -> usize {
        self.in_rotation
            .saturating_sub(self.ejected)
            .saturating_sub(1)
    }

    /// Never the last one, never over half.
    const fn spares_one_more(self) -> bool {
        self.others() > 0 && (self.ejected + 1) * 2 <= self.in_rotation
    }
}

/// Chooses a replica with a free permit; none if every permit is taken, which is the moment to
/// promote a spare. The caller then calls [`Endpoint::begin`] on it.
///
/// `dice` are two random numbers. `except` is the replica that a retry comes from. A degraded
/// replica is chosen only when nothing better is free.
pub fn pick<E: AsRef<Endpoint>>(
    endpoints: &[E],
    except: Option<usize>,
    dice: [u64; 2],
    policy: &BalancePolicy,
    now: Moment,
) -> Option<usize> {
    let open = |at: usize| {
        let endpoint = endpoints[at].as_ref();
        Some(at) != except && endpoint.free() > 0 && !endpoint.is_ejected(now)
    };
    let good = |at: usize| open(at) && !endpoints[at].as_ref().is_degraded();
    let cheaper = |pair: [usize; 2]| {
        let [a, b] = pair.map(|at| endpoints[at].as_ref().cost(policy, now));
        if b < a { pair[1] } else { pair[0] }
    };
    two(endpoints.len(), dice, good)
        .or_else(|| two(endpoints.len(), dice, open))
        .map(cheaper)
}

/// Two places that `fit`, each equally likely; the same twice if only one does.
fn two(count: usize, dice: [u64; 2], fit: impl Fn(usize) -> bool) -> Option<[usize; 2]> {
    if count == 0 {
        return None;
    }
    // Usually most are free, and the first throw hits: no need to look at a thousand replicas.
    let first = roll(dice[0], count);
    let second = (first + 1 + roll(dice[1], count.saturating_sub(1).max(1))) % count;
    if fit(first) && fit(second) {
        return Some([first, second]);
    }
    let fitting = (0..count).filter(|&at| fit(at)).count();
    if fitting == 0 {
        return None;
    }
    // The low halves of the dice: the high ones are spent.
    let first = roll(dice[0] << 32, fitting);
    let step = 1 + roll(dice[1] << 32, fitting.saturating_sub(1).max(1));
    let second = (first + step) % fitting;
    let nth = |n: usize| (0..count).filter(|&at| fit(at)).nth(n);
    Some([nth(first)?, nth(second)?])
}

/// A number below `count` out of the high bits of a random one.
fn roll(die: u64, count: usize) -> usize {
    // The product of two 64-bit numbers, shifted, is below the second one.
    ((u128::from(die) * count as u128) >> 64) as usize
}

#[cfg(test)]
mod tests;
