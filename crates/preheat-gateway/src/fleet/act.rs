//! What was decided is done.

use preheat_api::report::ErrorReport;
use preheat_core::fleet::{Action, ActionKind, FleetView, ReplicaView, Role, Wish};
use preheat_core::{Because, Moment, ReplicaId};

use super::replica::Replica;
use super::{Fleet, Pace, STARTING, Wanted};
use crate::blueprint::Blueprint;

impl Fleet {
    pub(super) fn view(&self, now: Moment) -> FleetView {
        let replicas = self.replicas.iter().map(|replica| ReplicaView {
            id: replica.id.clone(),
            revision: replica.revision.clone(),
            phase: replica.group(now),
            since: replica.since,
            role: replica.role,
            in_flight: replica.in_flight(),
            last_run: self.last_run(replica),
            degraded: replica.is_degraded(),
            pinned: self.is_pinned(replica),
        });
        FleetView {
            replicas: replicas.collect(),
            revision: self.blueprint.revision.clone(),
            no_start_before: self.backoff.no_start_before(),
        }
    }

    pub(super) fn wish(&self, wanted: &Wanted) -> Wish {
        let pinned = self.replicas.iter().filter(|r| self.is_pinned(r));
        Wish {
            active: wanted.desired.count,
            spares: wanted.spares.count,
            // A rollout's come on top: what serves must not lose a place to them.
            max: self.settings.scale.max + pinned.count(),
            starting_at_once: STARTING,
            drain_limit: self.settings.drain_limit,
        }
    }

    pub(super) fn perform(&mut self, action: Action, now: Moment) {
        let id = match &action.what {
            ActionKind::Start => {
                self.start(&self.blueprint.clone(), false, &action.because, now);
                return;
            }
            ActionKind::Promote(id)
            | ActionKind::Demote(id)
            | ActionKind::Drain(id)
            | ActionKind::Stop(id) => id.clone(),
        };
        let Some(replica) = self.replicas.iter_mut().find(|r| r.id == id) else {
            return;
        };
        let news = match &action.what {
            ActionKind::Promote(_) => {
                self.promote(&id);
                true
            }
            ActionKind::Demote(_) => {
                replica.role = Role::Spare;
                self.service.rotation.withdraw(&id);
                true
            }
            ActionKind::Drain(_) => {
                replica.leave(now);
                self.service.rotation.withdraw(&id);
                true
            }
            ActionKind::Stop(_) => {
                self.service.rotation.withdraw(&id);
                replica.stop()
            }
            ActionKind::Start => false,
        };
        if news {
            self.note(action.what.name(), Some(&id), &action.because, now);
        }
    }

    /// `kept`: for a rollout, out of rotation.
    pub(super) fn start(&mut self, of: &Blueprint, kept: bool, because: &Because, now: Moment) {
        self.started += 1;
        let id = ReplicaId::new(format!("r{}", self.started));
        match self.provision.start(&id, of, self.pace()) {
            Ok(process) => {
                if !kept {
                    self.service.rotation.hope();
                }
                self.note("start", Some(&id), because, now);
                let mut replica = Replica::new(id, of.revision.clone(), process, now);
                replica.kept = kept;
                self.replicas.push(replica);
            }
            Err(error) => {
                let error = ErrorReport {
                    stage: "starting".into(),
                    cause: format!("no process can be started: {error}"),
                    remedy: "raise the limits on processes and open files, or free some disk"
                        .into(),
                    exit_code: 1,
                    retry: true,
                };
                if !self.rollout_lost(&of.revision, &error.cause, now) {
                    self.start_failed(id, error, now);
                }
            }
        }
    }

    /// Behind, as long as somebody serves and starts go well: one that failed may have been too slow.
    fn pace(&self) -> Pace {
        match self.service.rotation.is_empty() || self.backoff.no_start_before().is_some() {
            true => Pace::Full,
            false => Pace::Behind,
        }
    }

    /// Nobody serves any more: whoever is on the way is waited for.
    pub(super) fn hurry(&mut self) {
        if !self.service.rotation.is_empty() {
            return;
        }
        let serving = &self.blueprint.revision;
        let ours = self
            .replicas
            .iter_mut()
            .filter(|replica| replica.revision == *serving && replica.is_preparing());
        ours.for_each(|replica| replica.process.hurry());
    }

    /// The only way into rotation: with the credentials of a proof.
    pub(super) fn promote(&mut self, id: &ReplicaId) {
        let concurrency = self.settings.concurrency;
        let serving = self.blueprint.revision.clone();
        let ours = |r: &&mut Replica| r.id == *id && r.revision == serving;
        let Some(replica) = self.replicas.iter_mut().find(ours) else {
            return;
        };
        let Some((credentials, upstream)) = replica.credentials(concurrency) else {
            return;
        };
        replica.role = Role::Active;
        self.service
            .rotation
            .admit((id.clone(), credentials, upstream));
    }
}
