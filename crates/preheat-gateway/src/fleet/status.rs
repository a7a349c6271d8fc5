//! How a service stands, for people and programs.

use preheat_api::service::{ReplicaReport, ServiceReport};
use preheat_core::fleet::Role;
use preheat_core::{Moment, PhaseGroup};

use super::replica::Replica;
use super::{Fleet, Wanted};
use crate::clock::millis;
use crate::service::{IDLE, READY, Status, ready_detail};

impl Fleet {
    pub(super) fn status(&self, wanted: &Wanted, now: Moment) -> Status {
        let serving = self.service.rotation.len();
        let idle = wanted.desired.count == 0 && wanted.observed.held == 0;
        let status = match (serving, idle) {
            (1.., _) => READY,
            (0, true) => IDLE,
            (0, false) => "not_ready",
        };
        let report = ServiceReport {
            name: self.service.name.clone(),
            status: status.into(),
            detail: self.detail(status, serving, now),
            min: self.settings.scale.min,
            max: self.settings.scale.max,
            wanted: wanted.desired.count,
            reason: wanted.desired.because.to_string(),
            spares: wanted.spares.count,
            held: wanted.observed.held,
            held_bytes: wanted.observed.held_bytes,
            rate_rps: wanted.observed.rate.wanted,
            capacity_rps: (!self.replicas.is_empty()).then(|| wanted.capacity.rate()),
            revision: self.blueprint.revision.as_str().into(),
            replicas: self.replicas.iter().map(|r| self.replica(r, now)).collect(),
            rollout: self.rollout_report(now),
            error: self.error.clone(),
        };
        let furthest = self.ours().max_by_key(|r| progress(r, now));
        Status {
            report,
            best: furthest
                .and_then(Replica::passport)
                .map(|p| p.report.clone()),
        }
    }

    fn detail(&self, status: &str, serving: usize, now: Moment) -> String {
        if status == IDLE {
            return "idle: the next request starts a replica".into();
        }
        let of = self.ours().count();
        if status == READY {
            return ready_detail(serving, of);
        }
        if let Some(error) = &self.error {
            return format!("{} failed: {}; {}", error.stage, error.cause, error.remedy);
        }
        let furthest = self.ours().max_by_key(|r| progress(r, now));
        match furthest.and_then(Replica::passport) {
            Some(passport) => format!(
                "no replica serves yet; the first: {}",
                passport.report.detail
            ),
            None => "no replica serves yet".into(),
        }
    }

    fn replica(&self, replica: &Replica, now: Moment) -> ReplicaReport {
        let seen = self.service.rotation.look(&replica.id);
        let passport = replica.passport();
        ReplicaReport {
            id: replica.id.as_str().to_owned(),
            pid: replica.process.pid,
            revision: replica.revision.as_str().into(),
            phase: match replica.group(now) {
                PhaseGroup::Draining => "draining".into(),
                _ => replica.phase().to_owned(),
            },
            detail: passport.map_or_else(String::new, |p| p.report.detail.clone()),
            role: replica.role.name().into(),
            proof: replica.proof().to_owned(),
            serving: seen.is_some() && replica.role == Role::Active,
            in_flight: replica.in_flight(),
            concurrency: self.settings.concurrency,
            answered: seen.map_or(0, |seen| seen.answered),
            uptime_ms: millis(now.since(replica.started)),
            ready_after_ms: replica
                .ready_since()
                .map(|at| millis(at.since(replica.started))),
            latency_ms: seen.map(|seen| millis(seen.latency)),
        }
    }
}

fn progress(replica: &Replica, now: Moment) -> u8 {
    match replica.group(now) {
        PhaseGroup::Failed => 0,
        PhaseGroup::Draining => 1,
        PhaseGroup::Cold => 2,
        PhaseGroup::Loading => 3,
        PhaseGroup::Warming => 4,
        PhaseGroup::Warm => 5,
    }
}
