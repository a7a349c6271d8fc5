//! One replica as its fleet loop knows it.

use std::sync::Arc;
use std::time::Duration;

use preheat_api::replica::Passport;
use preheat_api::report::{ErrorReport, ModelReport};
use preheat_core::balance::{Credentials, Entry};
use preheat_core::fleet::{Role, StartBackoff};
use preheat_core::pool::StartTimes;
use preheat_core::{Moment, PhaseGroup, ReplicaId, Revision};

use super::decide::UNKNOWN_START;
use crate::data::Upstream;
use crate::provision::Process;

/// How long a replica that broke or took no connection is left alone: a dead one is known to be so
/// within milliseconds.
pub const SUSPECT: Duration = Duration::from_millis(100);

/// And at most, where it broke again and again and answered nothing in between.
const LONGEST_SUSPECT: Duration = Duration::from_secs(3);

/// In how long a replica that was taken over is heard of, if it is well.
pub const HEARD: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub struct Replica {
    pub id: ReplicaId,
    pub revision: Revision,
    pub process: Process,
    pub upstream: Option<Arc<Upstream>>,
    pub role: Role,
    /// A rollout wants it out of rotation, and there.
    pub kept: bool,
    /// A gateway before this one started it.
    pub adopted: bool,
    pub started: Moment,
    /// When it came into its phase.
    pub since: Moment,
    /// Its proof, as long as it is not in rotation.
    pub last_run: Moment,
    passport: Option<Passport>,
    fitness: Fitness,
    ready_since: Option<Moment>,
    way_out: WayOut,
    /// It is being re-warmed since this event of its own.
    rewarming: Option<u64>,
    suspect_until: Option<Moment>,
    /// How often in a row it broke before it had answered anybody.
    broken: u32,
    /// It does not answer, as of its last word.
    silent: bool,
    /// It was ended for that, after so long.
    ended_after: Option<Duration>,
    condemned: bool,
    /// Its first users were answered in time.
    pub served: bool,
}

/// Whether what it handed in is good enough to serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fitness {
    Unknown,
    Proven,
    /// It serves without a proof, and that is not allowed.
    Unproven,
    /// Its model is made of other files than theirs who serve beside it.
    Stranger,
}

/// What became of its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// It was never ready.
    Failed,
    /// It was, and neither its first users were served nor did it live for long.
    Brief,
    Settled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WayOut {
    No,
    /// It finishes what it has.
    Leaving,
    /// It was told to end.
    Stopping,
}

impl Replica {
    pub fn new(id: ReplicaId, revision: Revision, process: Process, now: Moment) -> Self {
        Replica {
            id,
            revision,
            process,
            upstream: None,
            role: Role::Spare,
            kept: false,
            adopted: false,
            started: now,
            since: now,
            last_run: now,
            passport: None,
            fitness: Fitness::Unknown,
            ready_since: None,
            way_out: WayOut::No,
            rewarming: None,
            suspect_until: None,
            broken: 0,
            silent: false,
            ended_after: None,
            condemned: false,
            served: false,
        }
    }

    /// Takes note of its passport. True when it is ready for the first time. `files`: the digest of
    /// those that the others of its revision serve.
    pub fn heard(
        &mut self,
        passport: Passport,
        allow_unproven: bool,
        files: Option<&str>,
        now: Moment,
    ) -> bool {
        if self.phase() != passport.report.phase {
            self.since = now;
        }
        self.suspect_until = None;
        self.silent = false;
        let over = self
            .rewarming
            .is_some_and(|since| passport.sequence > since);
        if over && passport.report.phase == "ready" {
            self.rewarming = None;
        }
        self.passport = Some(passport);
        if self.phase() != "ready" {
            return false;
        }
        self.last_run = now;
        let same = |own: &str| files.is_none_or(|files| files == own);
        self.fitness = match self.proof() {
            _ if !self.files().is_none_or(same) => Fitness::Stranger,
            "passed" | "degraded" => Fitness::Proven,
            _ if allow_unproven => Fitness::Proven,
            _ => Fitness::Unproven,
        };
        let first = self.ready_since.is_none() && self.fitness == Fitness::Proven;
        if first {
            self.ready_since = Some(now);
        }
        first
    }

    /// Where it is, as far as its fleet is concerned.
    pub fn group(&self, now: Moment) -> PhaseGroup {
        if self.way_out != WayOut::No {
            return PhaseGroup::Draining;
        }
        let waits = self.silent || self.is_suspect(now);
        match self.phase() {
            "ready" if matches!(self.fitness, Fitness::Unproven | Fitness::Stranger) => {
                PhaseGroup::Failed
            }
            "ready" if waits || self.rewarming.is_some() => PhaseGroup::Warming,
            "ready" => PhaseGroup::Warm,
            "starting" | "fetching" => PhaseGroup::Cold,
            "loading" => PhaseGroup::Loading,
            "warming" | "proving" => PhaseGroup::Warming,
            "failed" => PhaseGroup::Failed,
            _ => PhaseGroup::Draining,
        }
    }

    /// Whether it will serve, as things stand.
    pub fn is_coming(&self, now: Moment) -> bool {
        use PhaseGroup::{Cold, Loading, Warming};
        matches!(self.group(now), Cold | Loading | Warming)
    }

    /// Before it proves itself, which it does at the pace of those that serve.
    pub fn is_preparing(&self) -> bool {
        matches!(
            self.phase(),
            "starting" | "fetching" | "loading" | "warming"
        )
    }

    pub fn is_suspect(&self, now: Moment) -> bool {
        self.suspect_until.is_some_and(|until| now < until)
    }

    pub fn phase(&self) -> &str {
        self.passport
            .as_ref()
            .map_or("starting", |passport| passport.report.phase.as_str())
    }

    pub fn passport(&self) -> Option<&Passport> {
        self.passport.as_ref()
    }

    pub fn proof(&self) -> &str {
        self.model()
            .map_or("pending", |model| model.proof.status.as_str())
    }

    pub fn is_degraded(&self) -> bool {
        self.proof() == "degraded"
    }

    /// Steady latency through its front door.
    pub fn steady(&self) -> Option<Duration> {
        let steady = self.model()?.proof.steady_ms?;
        Duration::try_from_secs_f64(steady / 1e3).ok()
    }

    /// Requests a second that its proof was shown, where a load was part of it.
    pub fn capacity(&self) -> Option<f64> {
        self.model()?.proof.capacity_rps
    }

    /// The digest of the files that its model is made of.
    pub fn files(&self) -> Option<&str> {
        self.model()?.revision.as_deref()
    }

    /// Numbers in an answer, for each row.
    pub fn width(&self) -> Option<usize> {
        self.model()?.engine.as_ref().map(|engine| engine.dim)
    }

    pub fn peak_bytes(&self) -> Option<u64> {
        let peak = self.model()?.memory.peak_bytes;
        (peak > 0).then_some(peak)
    }

    pub fn ready_since(&self) -> Option<Moment> {
        self.ready_since
    }

    pub fn start(&self, now: Moment) -> Start {
        match self.ready_since {
            None => Start::Failed,
            Some(at) if self.served || now.since(at) >= StartBackoff::SETTLED => Start::Settled,
            Some(_) => Start::Brief,
        }
    }

    /// How long it still needs: as starts of its kind have needed, or as it says where there was none.
    pub fn remaining(&self, starts: &StartTimes, now: Moment) -> Duration {
        if self.adopted && self.passport.is_none() {
            // It lives; what is missing is its word.
            return HEARD;
        }
        let told = self.passport.as_ref().and_then(|p| p.report.eta_ms);
        // As of its last change of phase.
        let told = told.map(|eta| Duration::from_millis(eta).saturating_sub(now.since(self.since)));
        let elapsed = now.since(self.started);
        let unknown = || UNKNOWN_START.saturating_sub(elapsed);
        starts.left(elapsed).or(told).unwrap_or_else(unknown)
    }

    /// What it needs to go into rotation; none without a proof.
    pub fn credentials(&mut self, concurrency: usize) -> Option<(Credentials, Arc<Upstream>)> {
        if self.fitness != Fitness::Proven {
            return None;
        }
        let steady = self.steady().unwrap_or(Duration::from_millis(1));
        let process = &self.process;
        let made = || {
            let (http, grpc) = (process.http.clone(), process.grpc.clone());
            Arc::new(Upstream::new(http, grpc, process.tasks().child()))
        };
        let upstream = Arc::clone(self.upstream.get_or_insert_with(made));
        let credentials = Credentials {
            steady,
            concurrency,
            degraded: self.is_degraded(),
            // A proof holds overlapping requests; who has none is let in by a crack.
            entry: match self.proof() {
                "passed" => Entry::Tried,
                _ => Entry::Newcomer,
            },
        };
        Some((credentials, upstream))
    }

    pub fn in_flight(&self) -> usize {
        self.upstream
            .as_ref()
            .map_or(0, |upstream| upstream.in_flight().count())
    }

    /// Why it does not serve.
    pub fn failure(&self) -> ErrorReport {
        if self.fitness == Fitness::Unproven {
            return ErrorReport {
                stage: "proving".into(),
                cause: "the replica skipped its warm-up and has no proof".into(),
                remedy: "do without warmup.skip, or allow it with fleet.allow_unproven".into(),
                exit_code: 14,
                retry: true,
            };
        }
        if self.fitness == Fitness::Stranger {
            return ErrorReport {
                stage: "fetching".into(),
                cause: "the model's files have changed since those who serve have read them".into(),
                remedy:
                    "put the old ones back; bring the new ones in from a place of their own, with \
                         `preheat rollout --to`, or restart the gateway"
                        .into(),
                exit_code: 11,
                retry: true,
            };
        }
        let told = self.model().and_then(|model| model.error.clone());
        told.unwrap_or_else(|| ErrorReport {
            stage: self.phase().to_owned(),
            cause: "the replica failed without a word".into(),
            remedy: "look at its last lines in the gateway's log".into(),
            exit_code: 1,
            retry: true,
        })
    }

    /// Its start has failed. False when that was known.
    pub fn condemn(&mut self) -> bool {
        !std::mem::replace(&mut self.condemned, true)
    }

    pub fn rewarm(&mut self) {
        self.role = Role::Spare;
        self.rewarming = Some(self.passport.as_ref().map_or(0, |p| p.sequence));
        self.process.rewarm();
    }

    /// It broke or took no connection: it is heard of soon, or it is gone. One that lives and breaks each
    /// request is left alone for longer each time.
    pub fn suspect(&mut self, answered: u64, now: Moment) {
        self.role = Role::Spare;
        self.broken = if answered > 0 { 0 } else { self.broken + 1 };
        let pause = SUSPECT.saturating_mul(1 << self.broken.min(8));
        self.suspect_until = Some(now + pause.min(LONGEST_SUSPECT));
    }

    /// It was asked and does not answer. False when that was known.
    pub fn hush(&mut self) -> bool {
        !std::mem::replace(&mut self.silent, true)
    }

    /// Ends one that hangs.
    pub fn end_for_silence(&mut self, after: Duration) {
        self.ended_after.get_or_insert(after);
        self.process.kill();
    }

    /// How its process ended that was not told to: fits after "the replica".
    pub fn how_ended(&self, status: &str) -> String {
        match self.ended_after {
            Some(after) => format!("did not answer for {} s and was ended", after.as_secs()),
            None => format!("ended by itself ({status})"),
        }
    }

    /// It gets nothing new and finishes what it has.
    pub fn leave(&mut self, now: Moment) {
        self.way_out = self.way_out.max(WayOut::Leaving);
        self.since = now;
    }

    /// Tells it to end. False when it has been told.
    pub fn stop(&mut self) -> bool {
        let news = self.way_out != WayOut::Stopping;
        self.way_out = WayOut::Stopping;
        self.process.leave();
        news
    }

    pub fn is_stopping(&self) -> bool {
        self.way_out == WayOut::Stopping
    }

    fn model(&self) -> Option<&ModelReport> {
        self.passport.as_ref()?.report.models.first()
    }
}

impl WayOut {
    fn max(self, other: WayOut) -> WayOut {
        if self == WayOut::Stopping {
            self
        } else {
            other
        }
    }
}
