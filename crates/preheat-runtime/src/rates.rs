//! How many requests a second one key, or one address without a key, may send.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};
use http::HeaderMap;

use crate::edge::Peer;
use crate::keys::Keys;

/// One budget for each caller; none at all without a limit.
pub struct Rates {
    limit: Option<(f64, DefaultKeyedRateLimiter<Caller>)>,
    asked: AtomicU64,
}

/// Who asks, as far as budgets tell callers apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Caller {
    Key(Vec<u8>),
    Address(IpAddr),
    Local,
}

/// A caller has spent its budget.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spent {
    /// Requests a second that are allowed.
    pub rate: f64,
    /// Until the next one is let through.
    pub retry_after: Duration,
}

/// After so many requests, callers with a full budget are forgotten.
const FORGET_EVERY: u64 = 4096;

impl fmt::Debug for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = self.limit.as_ref().map(|(rate, _)| rate);
        f.debug_struct("Rates").field("limit", &limit).finish()
    }
}

impl Rates {
    /// `rate`: requests a second; bursts of one second's worth are let through.
    #[must_use]
    pub fn new(rate: Option<f64>) -> Self {
        let limit = rate.map(|rate| {
            let burst = NonZeroU32::new(rate.ceil().min(1e9) as u32).unwrap_or(NonZeroU32::MIN);
            let period = Duration::from_secs_f64(1.0 / rate).max(Duration::from_nanos(1));
            let quota = Quota::with_period(period).unwrap_or(Quota::per_second(burst));
            (
                rate,
                DefaultKeyedRateLimiter::keyed(quota.allow_burst(burst)),
            )
        });
        Rates {
            limit,
            asked: AtomicU64::new(0),
        }
    }

    /// Takes one request out of its caller's budget.
    ///
    /// # Errors
    /// [`Spent`], with the time until the next request is let through.
    pub fn check(&self, caller: &Caller) -> Result<(), Spent> {
        let Some((rate, limiter)) = &self.limit else {
            return Ok(());
        };
        if self.asked.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            limiter.retain_recent();
        }
        limiter.check_key(caller).map_err(|until| Spent {
            rate: *rate,
            retry_after: until.wait_time_from(DefaultClock::default().now()),
        })
    }
}

/// By its key only where keys are checked: else one would get a new budget by inventing one.
#[must_use]
pub fn caller(keys: &Keys, headers: &HeaderMap, peer: Option<&Peer>) -> Caller {
    if let Some(key) = keys.admitted(headers) {
        return Caller::Key(key.to_vec());
    }
    let address = peer.and_then(|peer| peer.address);
    address.map_or(Caller::Local, |address| Caller::Address(address.ip()))
}
