//! What becomes known about replicas: from themselves, from their processes, from requests.

use std::time::Duration;

use preheat_api::report::ErrorReport;
use preheat_core::fleet::Role;
use preheat_core::{Because, Moment, PhaseGroup, ReplicaId};

use super::Fleet;
use super::replica::{Replica, Start};
use crate::provision::{AdminError, Event, What};
use crate::refusal::Refusal;
use crate::rotation::Fact;

/// A replica that was ready and says nothing for so long hangs.
const HUNG: Duration = Duration::from_secs(20);

/// And one that starts.
const HUNG_AT_START: Duration = Duration::from_secs(60);

/// And one that never said a word, since its start or since it was taken over: a replica binds its
/// sockets before any slow work.
const NEVER_HEARD: Duration = Duration::from_secs(30);

impl Fleet {
    pub(super) fn on_event(&mut self, event: Event) {
        let now = self.clock.now();
        match event.what {
            What::Passport(passport) => {
                let files = self.files_beside(&event.id, now);
                let Some(replica) = self.replicas.iter_mut().find(|r| r.id == event.id) else {
                    return;
                };
                let (adopted, unproven) = (replica.adopted, self.settings.allow_unproven);
                if replica.heard(*passport, unproven, files.as_deref(), now) {
                    let took = now.since(replica.started);
                    self.error = None;
                    let because = Because::new("it handed in its proof").time("after", took);
                    if !adopted {
                        self.starts.learn(took);
                    }
                    self.note("ready", Some(&event.id), &because, now);
                }
                self.withdraw_unfit(&event.id, now);
            }
            What::Decided(decision) => {
                self.decisions
                    .relay(&self.service.name, &event.id, &decision, now);
            }
            What::Silent { time, error } => self.on_silence(&event.id, time, &error, now),
            What::Exited { status, last } => self.on_exit(&event.id, &status, &last, now),
        }
    }

    /// What the others of its revision that serve are made of. Users are not to get one answer from one replica and
    /// another from the next because somebody has written over the files.
    fn files_beside(&self, id: &ReplicaId, now: Moment) -> Option<String> {
        let replica = self.replicas.iter().find(|r| r.id == *id)?;
        let serves = |r: &Replica| r.group(now) == PhaseGroup::Warm;
        let beside = |r: &&Replica| r.id != *id && r.revision == replica.revision && serves(r);
        let files = self.replicas.iter().filter(beside).find_map(Replica::files);
        files.map(str::to_owned)
    }

    /// Its process lives and does not answer, or has not yet. It gets nothing new, and is ended if
    /// that goes on; those who wait for it are then answered by others.
    fn on_silence(&mut self, id: &ReplicaId, time: Duration, error: &AdminError, now: Moment) {
        let Some(replica) = self.replicas.iter_mut().find(|r| r.id == *id) else {
            return;
        };
        let limit = match (replica.ready_since(), replica.passport()) {
            (Some(_), _) => HUNG,
            // It may have been left no CPU by those who serve.
            (None, Some(_)) => HUNG_AT_START,
            (None, None) => NEVER_HEARD,
        };
        let (action, what) = match replica.passport() {
            Some(_) => ("silent", "its process lives and does not answer"),
            // Many do nothing else for seconds where the machine is busy.
            None if time < limit / 2 => return,
            None => ("unheard", "its process lives and has not said a word yet"),
        };
        if replica.hush() {
            let because = Because::new(what)
                .text("asked", error.to_string())
                .time("for", time)
                .time("ended after", limit);
            self.note(action, Some(id), &because, now);
        } else if time >= limit && !replica.is_stopping() {
            // Asked twice at least: one long silence may have been this gateway's own.
            replica.end_for_silence(time);
        }
        self.withdraw_unfit(id, now);
    }

    /// A replica in rotation that is not ready any more gets no further request.
    pub(super) fn withdraw_unfit(&mut self, id: &ReplicaId, now: Moment) {
        let Some(replica) = self.replicas.iter_mut().find(|r| r.id == *id) else {
            return;
        };
        let group = replica.group(now);
        if group != PhaseGroup::Warm && replica.role == Role::Active {
            replica.role = Role::Spare;
            self.service.rotation.withdraw(id);
        }
        if group == PhaseGroup::Failed && replica.condemn() {
            let (error, revision) = (replica.failure(), replica.revision.clone());
            let start = replica.start(now);
            if start != Start::Failed {
                let because = Because::new("it no longer serves")
                    .text("stage", error.stage.clone())
                    .text("cause", error.cause.clone());
                self.note("lost", Some(id), &because, now);
            }
            if !self.rollout_lost(&revision, &error.cause, now) {
                self.gone(id, start, error, now);
            }
        }
    }

    /// One that serves no more: those who wait are told so only where the next would fare alike.
    fn gone(&mut self, id: &ReplicaId, start: Start, error: ErrorReport, now: Moment) {
        match start {
            Start::Settled => {}
            Start::Brief => self.backoff.failed(now),
            Start::Failed => self.start_failed(id.clone(), error, now),
        }
    }

    pub(super) fn on_exit(&mut self, id: &ReplicaId, status: &str, last: &[String], now: Moment) {
        self.service.rotation.withdraw(id);
        let Some(at) = self.replicas.iter().position(|r| r.id == *id) else {
            return;
        };
        let replica = self.replicas.remove(at);
        if let Some(upstream) = &replica.upstream {
            upstream.close();
        }
        if replica.is_stopping() {
            let because = Because::new("it has left").text("status", status);
            self.note("stopped", Some(id), &because, now);
            return;
        }
        let how = replica.how_ended(status);
        let because = Because::new("it is gone").text("how", how.clone());
        self.note("lost", Some(id), &because, now);
        let lines = last.join("\n");
        tracing::error!(event = "replica_lost", replica = %id, how, last = lines, "a replica was lost");
        let said = last.last().map_or("", String::as_str);
        let cause = format!("a replica {how} while {}: {said}", replica.phase());
        if self.rollout_lost(&replica.revision, &cause, now) {
            return;
        }
        let error = ErrorReport {
            stage: replica.phase().to_owned(),
            cause: format!("the replica {how} before it was ready"),
            remedy: "look at its last lines in the gateway's log".into(),
            exit_code: 1,
            retry: true,
        };
        self.gone(id, replica.start(now), error, now);
    }

    /// Those who wait for this start alone are told at once that it failed.
    pub(super) fn start_failed(&mut self, id: ReplicaId, error: ErrorReport, now: Moment) {
        self.backoff.failed(now);
        let mut because = Because::new("its start failed")
            .text("stage", error.stage.clone())
            .text("cause", error.cause.clone());
        if self.backoff.is_loop() {
            because = because.text("note", "it fails again and again: a person should look");
        }
        self.note("failed", Some(&id), &because, now);
        let hope = |r: &Replica| r.id != id && r.is_coming(now);
        if self.service.rotation.is_empty() && !self.ours().any(hope) {
            let pause = self.backoff.no_start_before();
            let pause = pause.map_or(Duration::ZERO, |at| at.since(now));
            self.service.rotation.give_up(Refusal::StartFailed {
                cause: error.cause.clone(),
                remedy: error.remedy.clone(),
                // The next start, if that one succeeds.
                retry_after: pause + self.cold_start(),
            });
        }
        self.error = Some(error);
    }

    pub(super) fn on_fact(&mut self, fact: &Fact, now: Moment) {
        let (id, action, because) = match fact {
            Fact::BackToWarming { id, seen, missed } => {
                let because = Because::new("it missed the objective among its first requests")
                    .count("seen", *seen as usize)
                    .count("missed", *missed as usize);
                (id, "rewarm", because)
            }
            Fact::Passed { id } => (
                id,
                "passed",
                Because::new("its first requests were in time"),
            ),
            Fact::Ejected { id, until } => {
                let because =
                    Because::new("it failed several times in a row").time("for", until.since(now));
                (id, "eject", because)
            }
            Fact::Unreachable { id, .. } => (
                id,
                "suspect",
                Because::new("a connection to it broke or could not be made"),
            ),
        };
        if let Some(replica) = self.replicas.iter_mut().find(|r| r.id == *id) {
            match fact {
                Fact::BackToWarming { .. } => replica.rewarm(),
                Fact::Unreachable { answered, .. } => replica.suspect(*answered, now),
                Fact::Passed { .. } => {
                    replica.served = true;
                    if let Some(ready) = replica.ready_since() {
                        self.backoff.serves(ready);
                    }
                }
                Fact::Ejected { .. } => {}
            }
        }
        self.note(action, Some(id), &because, now);
    }
}
