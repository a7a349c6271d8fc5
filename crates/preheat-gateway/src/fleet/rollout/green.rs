//! Whether green may have users: its proofs, its size, its load as a set, and how its users fare.

use std::time::Duration;

use preheat_api::replica::{LoadReport, LoadRequest};
use preheat_core::rollout::{RolloutEvent, RolloutStage, SetLoad};
use preheat_core::{Moment, Revision};

use super::changeover::{Changeover, seen};
use crate::fleet::Fleet;
use crate::fleet::replica::Replica;
use crate::provision::AdminError;

/// A p95 of fewer answers is no figure to compare with.
const ENOUGH: u64 = 20;

/// Requests that a load sends at least, so that its p95 is one.
const LEAST: f64 = 20.0;

/// What came of a load on a set.
#[derive(Debug)]
pub struct Loaded {
    number: u64,
    requests: u64,
    errors: u64,
    error: Option<String>,
    p95: Duration,
}

impl Fleet {
    /// The load on green is over.
    pub(in crate::fleet) fn on_loaded(&mut self, loaded: Loaded, now: Moment) {
        let live = self.service.rotation.since_mark();
        let Some(change) = self.changeover.as_mut() else {
            return;
        };
        if loaded.number != change.loads || change.rollout.stage != RolloutStage::Loading {
            return;
        }
        change.blue_p95 = match live.requests >= ENOUGH {
            true => live.p95,
            false => Duration::ZERO,
        };
        change.blue_declined = live.declined_of(ENOUGH);
        let load = SetLoad {
            requests: loaded.requests,
            errors: loaded.errors,
            p95: loaded.p95,
            blue_p95: change.blue_p95,
        };
        change.seen = Some(seen(load.requests, load.errors, load.p95, load.blue_p95));
        if let Some(error) = loaded.error {
            tracing::warn!(event = "green_erred", error, "green failed under load");
        }
        self.tell(RolloutEvent::Loaded(load), now);
    }

    pub(super) fn prove_green(&mut self, now: Moment) {
        let Some(change) = self.changeover.as_ref() else {
            return;
        };
        let (green, size) = (change.green.revision.clone(), change.rollout.size);
        if let Some(cause) = self
            .other_shape(change)
            .or_else(|| self.too_big(change, now))
        {
            self.tell(RolloutEvent::GreenFailed(cause), now);
            return;
        }
        self.keep_set(now);
        match self.proven(&green, now) {
            proven if proven >= size => self.tell(RolloutEvent::GreenProven(proven), now),
            _ => self.tell(RolloutEvent::Tick, now),
        }
    }

    /// Users of blue would not know what to do with answers of another size.
    fn other_shape(&self, change: &Changeover) -> Option<String> {
        let width = |revision: &Revision| {
            let of = |r: &&Replica| r.revision == *revision;
            self.replicas.iter().filter(of).find_map(Replica::width)
        };
        let blue = width(&change.blue.revision)?;
        let green = width(&change.green.revision)?;
        let differs = blue != green && !change.allow_other_shape;
        differs.then(|| {
            format!(
                "its answers have {green} numbers, blue's have {blue}; if that is meant, allow it \
                 with --allow-other-shape"
            )
        })
    }

    /// Whether those of green that are still to come fit beside everybody who is there.
    fn too_big(&self, change: &Changeover, now: Moment) -> Option<String> {
        let of = |revision: &Revision| {
            let of = |r: &&Replica| r.revision == *revision;
            self.replicas
                .iter()
                .filter(of)
                .filter_map(Replica::peak_bytes)
                .max()
        };
        let each = of(&change.green.revision).or_else(|| of(&change.blue.revision))?;
        let limit = preheat_runtime::memory::limit()?.bytes / 10 * 8;
        let taken: u64 = self.replicas.iter().filter_map(Replica::peak_bytes).sum();
        let measured = self.proven(&change.green.revision, now);
        let missing = change.rollout.size.saturating_sub(measured) as u64;
        let free = limit.saturating_sub(taken);
        (each.saturating_mul(missing) > free).then(|| {
            let [each, free] = [each, free].map(|bytes| bytes / 1_000_000);
            format!("{missing} more replicas of {each} MB do not fit into {free} MB that are free")
        })
    }

    /// Planned requests to each replica of green, together at the rate of blue's users.
    pub(super) fn load_green(&mut self, time: Duration, now: Moment) {
        let (rate, concurrency) = (self.rate, self.settings.concurrency);
        let Some(change) = self.changeover.as_mut() else {
            return;
        };
        change.loads += 1;
        let (number, green) = (change.loads, change.green.revision.clone());
        let set = |r: &&Replica| r.kept && r.revision == green && r.is_warm(now);
        let set: Vec<_> = self.replicas.iter().filter(set).collect();
        let least = LEAST / time.as_secs_f64().max(0.1);
        let wish = LoadRequest {
            rate: rate.max(least) / set.len().max(1) as f64,
            concurrency,
            seconds: time.as_secs_f64(),
        };
        let Some(first) = set.first() else {
            return;
        };
        // Blue's figures are to be of the same time.
        self.service.rotation.mark();
        let asking: Vec<_> = set.iter().map(|r| r.process.load(wish)).collect();
        let tell = self.loaded.clone();
        first.process.tasks().spawn("load on green", async move {
            let reports = futures_util::future::join_all(asking).await;
            // A loop that has ended does not care.
            let _ = tell.send(whole(number, reports)).await;
        });
    }

    pub(super) fn watch_green(&mut self, now: Moment) {
        let live = self.service.rotation.since_mark();
        let Some(change) = self.changeover.as_mut() else {
            return;
        };
        let traffic = live.beside(change.blue_p95, change.blue_declined);
        change.seen = Some(seen(live.requests, live.errors, live.p95, change.blue_p95));
        self.tell(RolloutEvent::Watched(traffic), now);
    }
}

/// The reports of all replicas as one. Who did not answer has failed.
fn whole(number: u64, reports: Vec<Result<LoadReport, AdminError>>) -> Loaded {
    let mut loaded = Loaded {
        number,
        requests: 0,
        errors: 0,
        error: None,
        p95: Duration::ZERO,
    };
    let mut latencies = Vec::new();
    for report in reports {
        match report {
            Ok(report) => {
                loaded.requests += report.requests;
                loaded.errors += report.errors;
                loaded.error = loaded.error.or(report.error);
                latencies.extend(report.latencies_ms);
            }
            Err(error) => {
                loaded.requests += 1;
                loaded.errors += 1;
                loaded.error.get_or_insert(error.to_string());
            }
        }
    }
    latencies.sort_by(f64::total_cmp);
    let p95 = latencies.get(latencies.len() * 95 / 100).copied();
    loaded.p95 = Duration::try_from_secs_f64(p95.unwrap_or(0.0) / 1e3).unwrap_or(Duration::MAX);
    loaded
}
