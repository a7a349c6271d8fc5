//! What is wanted: how many replicas, how many spares, and what those who wait may expect.

use std::time::Duration;

use jiff::Timestamp;
use preheat_api::config::Upkeep;
use preheat_core::fleet::Role;
use preheat_core::hold::{Forecast, later_starts};
use preheat_core::pool::{PoolInputs, PoolSize, Spare, Spares, promote};
use preheat_core::scaling::{Desired, Seen};
use preheat_core::{Because, Capacity, Moment};

use super::replica::Replica;
use super::{Fleet, STARTING, Wanted};
use crate::rotation::Observed;

/// What a start is taken to need as long as none has been seen.
pub(super) const UNKNOWN_START: Duration = Duration::from_secs(5);

/// What a request is taken to need as long as none has been seen.
const UNKNOWN_SERVICE: Duration = Duration::from_millis(50);

impl Fleet {
    /// A request found every permit taken: the best spare goes into rotation now, and not at the
    /// next look.
    /// False when there is none.
    pub(super) fn claim(&mut self, since: Moment, now: Moment) -> bool {
        let warm: Vec<usize> = self.warm(Role::Spare, now);
        let spares: Vec<Spare> = warm
            .iter()
            .map(|&at| Spare {
                last_run: self.last_run(&self.replicas[at]),
                degraded: self.replicas[at].is_degraded(),
            })
            .collect();
        let active = self.warm(Role::Active, now).len();
        let Some(best) = promote(&spares).map(|at| warm[at]) else {
            return false;
        };
        // The first of all is no burst.
        if active > 0 {
            self.scaler.promoted_to(active + 1);
            self.claims.claimed(now);
        }
        let id = self.replicas[best].id.clone();
        self.promote(&id);
        let took = self.clock.now().since(since);
        self.metrics.promoted(&self.service.name, took);
        let because = Because::new("a request found every permit taken")
            .count("active", active)
            .count("spares", spares.len())
            .time("since then", took);
        self.note("promote", Some(&id), &because, now);
        true
    }

    pub(super) fn decide(&mut self, observed: Observed, now: Moment) -> Wanted {
        let capacity = self.capacity(&observed);
        self.rate = observed.rate.wanted;
        let cold_start = self.cold_start();
        let seen = Seen {
            rate: observed.rate,
            capacity,
            cold_start,
            present: observed.held + observed.in_flight,
            last_arrival: observed.last_arrival,
            starting: self.ours().filter(|r| r.is_coming(now)).count(),
        };
        let desired = self.scaler.decide(&seen, now);
        let desired = self.asked(desired, now);
        let inputs = PoolInputs {
            burst: observed.peak,
            capacity,
            active: desired.count,
            claims: self.claims.rate(now),
            time_to_warm: cold_start,
            memory: self.memory(),
            scheduled: self.schedule.spares(Timestamp::now(), cold_start),
        };
        let patience = self.settings.scale.down_after.max(cold_start * 2);
        let spares = self.pool.decide(&inputs, patience, now);
        let mut spares = self.asked_spares(spares, inputs.scheduled, now);
        if desired.count == 0 {
            // Nobody is there, and nobody is waited for: zero is zero.
            spares.count = 0;
        }
        Wanted {
            desired,
            spares,
            observed,
            capacity,
        }
    }

    /// What the load asks for, unless it is not asked: then it is told at most.
    fn asked(&mut self, desired: Desired, now: Moment) -> Desired {
        let mode = self.settings.scaling;
        if mode == Upkeep::On {
            return desired;
        }
        if mode == Upkeep::Advise && self.advised.0 != Some(desired.count) {
            let because = desired.because.clone().count("advised", desired.count);
            self.note("advise_want", None, &because, now);
            self.advised.0 = Some(desired.count);
        }
        let count = self.settings.scale.min.max(1);
        Desired {
            count,
            because: Because::new("the load does not decide: fleet.scaling")
                .count("min", count)
                .count("the load would want", desired.count),
        }
    }

    /// A number that is set, or that the schedule says, is nobody's advice.
    fn asked_spares(&mut self, spares: Spares, scheduled: Option<usize>, now: Moment) -> Spares {
        let mode = self.settings.scaling;
        let computed = self.settings.spares == PoolSize::Auto && scheduled.is_none();
        if mode == Upkeep::On || !computed {
            return spares;
        }
        if mode == Upkeep::Advise && self.advised.1 != Some(spares.count) {
            let because = spares.because.clone().count("advised", spares.count);
            self.note("advise_spares", None, &because, now);
            self.advised.1 = Some(spares.count);
        }
        Spares { count: 0, ..spares }
    }

    pub(super) fn note_change(&mut self, wanted: &Wanted, now: Moment) {
        let Wanted {
            desired, spares, ..
        } = wanted;
        let seen = (desired.count, spares.count, spares.because.rule);
        let changed = match self.last {
            None => true,
            Some((count, spare, rule)) => {
                (count, spare) != (desired.count, spares.count)
                    || (spares.short_by > 0 && rule != spares.because.rule)
            }
        };
        if !changed {
            return;
        }
        if self.last.is_none_or(|(count, ..)| count != desired.count) {
            let because = desired.because.clone().count("wanted", desired.count);
            self.note("want", None, &because, now);
        }
        if self.last.is_none_or(|(_, spare, _)| spare != spares.count) {
            let because = spares.because.clone().count("wanted", spares.count);
            self.note("spares", None, &because, now);
        }
        self.last = Some(seen);
    }

    /// Tells the queue what will become of those who wait.
    pub(super) fn foresee(&self, wanted: &Wanted, now: Moment) {
        let each = wanted.capacity.rate();
        let serving = self.service.rotation.len();
        let starting = self.ours().filter(|r| r.is_coming(now));
        let starting: Vec<_> = starting.map(|r| r.remaining(&self.starts, now)).collect();
        let each_start = self.starts.left(Duration::ZERO).unwrap_or(UNKNOWN_START);
        let at_hand = self.warm(Role::Spare, now).len();
        let pause = self.backoff.no_start_before();
        let pause = pause.map_or(Duration::ZERO, |at| at.since(now));
        let there = serving + at_hand + starting.len();
        // What comes now is provided for within a second or two: those who are sent away meanwhile
        // are told of it.
        let arrivals = wanted.observed.latest;
        let scale = &self.settings.scale;
        let carried = (each * scale.utilisation).max(f64::MIN_POSITIVE);
        let soon = ((arrivals / carried).ceil() as usize).min(scale.max);
        let wanted_soon = match self.settings.scaling {
            Upkeep::On => wanted.desired.count.max(soon),
            Upkeep::Advise | Upkeep::Off => wanted.desired.count,
        };
        // From zero the next request is what starts one.
        let least = usize::from(there == 0);
        let missing = wanted_soon.saturating_sub(there).max(least);
        let later = later_starts(&starting, missing, STARTING, pause, each_start);
        let mut coming = vec![Duration::ZERO; at_hand];
        coming.extend(starting);
        coming.extend(later);
        self.service.rotation.foresee(Forecast {
            rate: each * serving as f64,
            coming: coming.into_iter().map(|when| (when, each)).collect(),
            arrivals,
            steady: self.under_load(wanted.observed.latency),
            objective: self.settings.slo.threshold,
        });
    }

    pub(super) fn last_run(&self, replica: &Replica) -> Moment {
        let seen = self.service.rotation.look(&replica.id);
        seen.map_or(replica.last_run, |seen| seen.last_run)
    }

    pub(super) fn cold_start(&self) -> Duration {
        self.starts.p90().unwrap_or(UNKNOWN_START)
    }

    pub(super) fn capacity(&self, observed: &Observed) -> Capacity {
        Capacity {
            concurrency: self.settings.concurrency,
            service: self.under_load(observed.service),
            measured: self.ours().find_map(Replica::capacity),
        }
    }

    /// Under load a request takes longer than alone; by that much fewer are carried.
    fn under_load(&self, seen: Option<Duration>) -> Duration {
        let proven = self.ours().find_map(Replica::steady);
        proven.max(seen).unwrap_or(UNKNOWN_SERVICE)
    }

    /// What one more replica needs and what is free for it, where both are known.
    pub(super) fn memory(&self) -> Option<(u64, u64)> {
        let each = self.replicas.iter().filter_map(Replica::peak_bytes).max()?;
        let limit = preheat_runtime::memory::limit()?.bytes;
        let taken: u64 = self
            .replicas
            .iter()
            .map(|r| r.peak_bytes().unwrap_or(each))
            .sum();
        // Spares that are there already count as free: they are what the answer is about.
        let spares = self.ours().filter(|r| r.role == Role::Spare);
        let theirs: u64 = spares.map(|r| r.peak_bytes().unwrap_or(each)).sum();
        let usable = limit / 10 * 8;
        Some((each, usable.saturating_sub(taken.saturating_sub(theirs))))
    }
}
