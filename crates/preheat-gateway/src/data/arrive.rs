//! A request's body arrives before a replica's permit is taken for it: a client on a slow line takes its
//! own time, and no place from others.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http_body_util::BodyExt as _;
use preheat_runtime::replay::{BodyFault, Replay};
use tokio::time::{Instant, timeout_at};

use super::Arriving;
use super::route::Front;
use crate::refusal::Refusal;
use crate::service::Service;

/// Bodies that have come in part, of all requests together.
#[derive(Debug, Default)]
pub struct Arrivals {
    requests: AtomicU64,
    bytes: AtomicU64,
}

/// How many requests may wait for their bodies, and with how many bytes of them.
#[derive(Debug, Clone, Copy)]
pub struct ArrivalLimits {
    pub requests: u64,
    pub bytes: u64,
}

/// What one request has of them.
struct Share<'a> {
    of: &'a Arrivals,
    bytes: u64,
}

impl<'a> Share<'a> {
    /// One more request, and how many there are of all.
    fn of(of: &'a Arrivals) -> (Self, u64) {
        let requests = of.requests.fetch_add(1, Ordering::Relaxed) + 1;
        (Share { of, bytes: 0 }, requests)
    }

    /// Takes note of more; how many there are of all.
    fn grow(&mut self, more: usize) -> u64 {
        let more = more as u64;
        self.bytes += more;
        self.of.bytes.fetch_add(more, Ordering::Relaxed) + more
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.of.requests.fetch_sub(1, Ordering::Relaxed);
        self.of.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Waits until the body is there, which it keeps. Where that would take too much memory, as in a flood,
/// and where a server may want to answer a stream while it comes, the body goes on as it arrives.
///
/// # Errors
/// When it does not arrive, or in time. `service`: none as long as the body has to say which.
pub async fn arrive(
    front: &Front,
    service: Option<&Arc<Service>>,
    body: &Replay<Arriving>,
    since: Instant,
) -> Result<(), Refusal> {
    let awaited = body.length().is_some() || front.is_own(service);
    if body.has_arrived() || !awaited {
        return Ok(());
    }
    let (limit, most) = (front.patience(service), front.limits.arriving);
    let (mut share, requests) = Share::of(&front.arrivals);
    if requests > most.requests {
        return Ok(());
    }
    let mut reader = body.reader();
    while !body.has_arrived() {
        let frame = timeout_at(since + limit, reader.frame()).await;
        let frame = frame.map_err(|_| Refusal::Body(BodyFault::TooSlow { after: limit }))?;
        let Some(frame) = frame.transpose().map_err(Refusal::Body)? else {
            break;
        };
        let more = frame.data_ref().map_or(0, |data| data.len());
        if share.grow(more) > most.bytes {
            break;
        }
    }
    Ok(())
}
