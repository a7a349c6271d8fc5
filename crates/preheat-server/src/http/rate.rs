//! How many requests a second one key, or one address without a key, may send.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};
use preheat_runtime::{Peer, keys};

use super::errors::Fault;
use super::layers::Context;
use crate::replica::Replica;
use crate::serve_error::ServeError;

/// One budget for each caller; none at all without a limit.
pub struct Rates {
    limit: Option<(f64, DefaultKeyedRateLimiter<Caller>)>,
    asked: AtomicU64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Caller {
    Key(Vec<u8>),
    Address(IpAddr),
    Local,
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

    fn check(&self, caller: &Caller) -> Result<(), ServeError> {
        let Some((rate, limiter)) = &self.limit else {
            return Ok(());
        };
        if self.asked.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            limiter.retain_recent();
        }
        limiter.check_key(caller).map_err(|until| {
            let retry_after = until.wait_time_from(DefaultClock::default().now());
            ServeError::Rate {
                rate: *rate,
                retry_after,
            }
        })
    }
}

/// Refuses callers that have spent their budget.
///
/// # Errors
/// [`ServeError::Rate`] with the time until the next request is let through.
pub fn check(
    replica: &Replica,
    headers: &HeaderMap,
    peer: Option<&Peer>,
) -> Result<(), ServeError> {
    replica.rates.check(&caller(replica, headers, peer))
}

pub async fn limit(State(replica): State<Arc<Replica>>, request: Request, next: Next) -> Response {
    let context = request.extensions().get::<Context>();
    if context.is_some_and(|c| c.arrival.synthetic) {
        return next.run(request).await;
    }
    let peer = request.extensions().get::<Peer>();
    match check(&replica, request.headers(), peer) {
        Err(error) => Fault::from(error).into_response(),
        Ok(()) => next.run(request).await,
    }
}

/// By key only where keys are checked: else a caller would get a new budget by inventing one.
fn caller(replica: &Replica, headers: &HeaderMap, peer: Option<&Peer>) -> Caller {
    let keyed = replica.settings.api_keys.required();
    if let Some(key) = keys::offered(headers).filter(|_| keyed) {
        return Caller::Key(key.to_vec());
    }
    let address = peer.and_then(|peer| peer.address);
    address.map_or(Caller::Local, |address| Caller::Address(address.ip()))
}
