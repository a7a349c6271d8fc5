//! Between the proof and its first user, a replica goes on rehearsing.
//!
//! A replica that is proven and then left alone cools within milliseconds: others on the machine push
//! its weights and its code out of the caches. So the smallest case comes through the front door
//! again and again, each time on a fresh connection, until the first user does. A replica that is
//! awaited is asked within milliseconds, others much later: so each rest is twice as long as the last.

use std::iter;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use preheat_core::warmup::Path;
use tokio::time::sleep;

use crate::door::Doors;
use crate::sample::Sample;
use crate::service::Service;

/// The first rest, in rehearsals.
const REST: u32 = 2;

/// However little one takes.
const SHORTEST: Duration = Duration::from_millis(1);

/// Whoever comes after a longer rest finds a replica that has gone to rest: that is what it costs to cost
/// nothing, and to leave the machine to others. A case whose first rest would be longer is not rehearsed:
/// a user who met one would lose more than caches forget.
const LONGEST: Duration = Duration::from_millis(20);

/// Starts the rehearsals of a sample that takes so long.
pub fn until_first_user(doors: &Doors, sample: Sample, takes: Duration, service: &Arc<Service>) {
    let (own, service) = (doors.clone(), Arc::clone(service));
    doors.tasks.spawn("rehearsal", async move {
        let (own, sample) = (&own, &sample);
        let ask = || async move { own.first(Path::Http, sample).await.is_ok() };
        let rehearsals = rehearse(takes, service.first_user(), ask).await;
        tracing::debug!(
            event = "rehearsed",
            rehearsals,
            ?takes,
            "rehearsals are over"
        );
    });
}

/// How many there were.
async fn rehearse<A: Future<Output = bool>>(
    takes: Duration,
    first_user: impl Future<Output = ()>,
    ask: impl Fn() -> A,
) -> usize {
    let mut first_user = pin!(first_user);
    let mut rehearsals = 0;
    // The proof has just ended with the very same: a rest comes first. The user ends it and what
    // follows it at once: both would take a CPU from the user's request.
    for rest in rests(takes) {
        let rehearsal = async {
            sleep(rest).await;
            ask().await
        };
        tokio::select! {
            biased;
            () = &mut first_user => break,
            is_answered = rehearsal => if !is_answered { break },
        }
        rehearsals += 1;
    }
    rehearsals
}

fn rests(takes: Duration) -> impl Iterator<Item = Duration> {
    let first = takes.saturating_mul(REST).max(SHORTEST);
    let doubled = iter::successors(Some(first), |rest| Some(rest.saturating_mul(2)));
    doubled.take_while(|rest| *rest <= LONGEST)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::{pending, ready};

    use tokio::time::{Instant, sleep_until};

    use super::*;

    #[test]
    fn rests_double_and_end() {
        let millis = |takes: u64| {
            let rests = rests(Duration::from_millis(takes));
            rests.map(|rest| rest.as_millis()).collect::<Vec<_>>()
        };
        assert_eq!(millis(0), [1, 2, 4, 8, 16]);
        assert_eq!(millis(1), [2, 4, 8, 16]);
        assert_eq!(millis(5), [10, 20]);
        assert_eq!(millis(11), []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_ends_them() {
        let takes = Duration::from_millis(1);
        let asked = Cell::new(0);
        let ask = || {
            asked.set(asked.get() + 1);
            ready(asked.get() != 6)
        };
        assert_eq!(rehearse(takes, pending(), ask).await, 4);
        assert_eq!(rehearse(takes, pending(), ask).await, 1, "the sixth fails");
    }

    /// After rests of two, four and eight, and rehearsals of one each.
    #[tokio::test(start_paused = true)]
    async fn the_first_user_ends_them_at_once() {
        let millis = Duration::from_millis;
        for (comes, ended) in [(1, 0), (2, 0), (5, 1), (7, 1), (8, 2), (50, 4)] {
            let began = Instant::now();
            let ask = || async {
                sleep(millis(1)).await;
                true
            };
            // In between two milliseconds, as the timer knows nothing finer.
            let user = sleep_until(began + millis(comes) + Duration::from_micros(1));
            assert_eq!(rehearse(millis(1), user, ask).await, ended, "{comes} ms");
            let took = began.elapsed();
            assert!(took <= millis(comes + 2), "{comes} ms: {took:?}");
        }
    }
}
