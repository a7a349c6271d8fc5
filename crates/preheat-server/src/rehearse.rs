//! Between the proof and its first user, a replica goes on rehearsing.
//!
//! A replica that is proven and then left alone cools within milliseconds: others on the machine push
//! its weights and its code out of the caches. So the smallest case comes through the front door
//! again and again, each time on a fresh connection, until the first user does; for a short while at
//! most, and with rests in between, so that a user seldom meets a rehearsal.

use std::sync::Arc;
use std::time::Duration;

use preheat_core::warmup::Path;
use tokio::time::{Instant, sleep};

use crate::door::Doors;
use crate::sample::Sample;
use crate::service::Service;

/// Whoever comes later finds a replica that rests: that is what it costs to cost nothing.
const LONGEST: Duration = Duration::from_secs(1);

/// A rest, in rehearsals: three times out of four a user meets none.
const REST: u32 = 3;

/// Where a rehearsal takes longer, a user who meets one would lose more than caches forget.
const SLOWEST: Duration = Duration::from_millis(5);

/// Starts the rehearsals, where one takes little enough time.
pub fn until_first_user(doors: &Doors, sample: Sample, takes: Duration, service: &Arc<Service>) {
    if takes > SLOWEST {
        return;
    }
    let (own, service) = (doors.clone(), Arc::clone(service));
    doors.tasks.spawn("rehearsal", async move {
        let end = Instant::now() + LONGEST;
        let mut rehearsals = 0;
        while Instant::now() < end {
            // The proof has just ended with the very same.
            sleep(takes * REST).await;
            if service.has_visitor() || own.first(Path::Http, &sample).await.is_err() {
                break;
            }
            rehearsals += 1;
        }
        tracing::debug!(
            event = "rehearsed",
            rehearsals,
            ?takes,
            "rests until the first user"
        );
    });
}
