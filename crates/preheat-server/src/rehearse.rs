//! Between the proof and its first user, a replica goes on rehearsing.
//!
//! A replica that is proven and then left alone cools within milliseconds: others on the machine push
//! its weights and its code out of the caches. So the smallest case comes through the front door
//! again and again, each time on a fresh connection, until the first user does. A replica that is
//! awaited is asked within milliseconds, others much later: so each rest is twice as long as the last.

use std::iter;
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
        let rehearsals = rehearse(takes, || service.has_visitor(), ask).await;
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
    is_visited: impl Fn() -> bool,
    ask: impl Fn() -> A,
) -> usize {
    let mut rehearsals = 0;
    // The proof has just ended with the very same: a rest comes first.
    for rest in rests(takes) {
        sleep(rest).await;
        if is_visited() || !ask().await {
            break;
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
    use std::future::ready;

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
    async fn the_first_user_ends_them_and_so_does_a_refusal() {
        let takes = Duration::from_millis(1);
        let asked = Cell::new(0);
        let ask = || {
            asked.set(asked.get() + 1);
            ready(asked.get() != 10)
        };
        assert_eq!(rehearse(takes, || false, ask).await, 4);
        assert_eq!(rehearse(takes, || asked.get() == 6, ask).await, 2);
        assert_eq!(rehearse(takes, || asked.get() == 6, ask).await, 0);
        assert_eq!(rehearse(takes, || false, ask).await, 3, "the tenth fails");
    }
}
