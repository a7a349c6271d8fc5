//! The fleet loop of one service: the only writer of its wanted count and of its replicas' roles.
//!
//! It sleeps until something happens: an event of a replica, a request that found every permit
//! taken, a wish of an operator, or half a second. Each time it looks at everything, lets
//! `preheat_core` decide, does what was decided, and says what it did and why. It runs as one task;
//! nothing in it waits for anything but the next event.

mod replica;
mod status;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use preheat_api::report::ErrorReport;
use preheat_api::service::ScaleRequest;
use preheat_core::fleet::{
    Action, ActionKind, FleetView, ReplicaView, Role, StartBackoff, Wish, plan,
};
use preheat_core::hold::Forecast;
use preheat_core::pool::{
    Claims, Pool, PoolInputs, PoolPolicy, PoolSize, Spare, Spares, StartTimes, promote,
};
use preheat_core::scaling::{Desired, ScalePolicy, Scaler, Seen};
use preheat_core::{Because, Capacity, Moment, PhaseGroup, ReplicaId, Revision, Slo};
use preheat_runtime::{Shutdown, Tasks, Urgency};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::clock::Clock;
use crate::decisions::Decisions;
use crate::metrics::Metrics;
use crate::provision::{Event, Process, What};
use crate::refusal::Refusal;
use crate::rotation::{Fact, Observed};
use crate::service::{Command, Service};
use replica::{Replica, SUSPECT};

/// Between two looks when nothing happens.
const PERIOD: Duration = Duration::from_millis(500);

/// What a start is taken to need as long as none has been seen.
const UNKNOWN_START: Duration = Duration::from_secs(5);

/// What a request is taken to need as long as none has been seen.
const UNKNOWN_SERVICE: Duration = Duration::from_millis(50);

/// A replica that dies sooner after its proof has not really started.
const SETTLED: Duration = Duration::from_secs(10);

/// How long the kernel may take to end a process.
const KILLED: Duration = Duration::from_secs(5);

/// Starts at once.
const STARTING: usize = 2;

/// How a replica comes to be.
pub trait Provision: Send + std::fmt::Debug {
    /// Starts one; the rest comes as events.
    ///
    /// # Errors
    /// When it cannot even be begun.
    fn start(&self, id: &ReplicaId) -> io::Result<Process>;
}

#[derive(Debug, Clone, Copy)]
pub struct FleetSettings {
    pub scale: ScalePolicy,
    pub spares: PoolSize,
    /// Requests that one replica works on at once.
    pub concurrency: usize,
    pub allow_unproven: bool,
    pub slo: Slo,
    /// How long a replica may take to finish what it has.
    pub drain_limit: Duration,
    /// And then to end.
    pub stop_limit: Duration,
}

#[derive(Debug)]
pub struct Fleet {
    service: Arc<Service>,
    settings: FleetSettings,
    provision: Box<dyn Provision>,
    decisions: Arc<Decisions>,
    metrics: Arc<Metrics>,
    clock: Clock,
    replicas: Vec<Replica>,
    revision: Revision,
    scaler: Scaler,
    pool: Pool,
    starts: StartTimes,
    claims: Claims,
    backoff: StartBackoff,
    started: u64,
    error: Option<ErrorReport>,
    /// What was decided last, so that only news are noted.
    last: Option<(usize, usize, &'static str)>,
}

/// What a turn has decided.
struct Wanted {
    desired: Desired,
    spares: Spares,
    observed: Observed,
    capacity: Capacity,
}

impl Fleet {
    #[must_use]
    pub fn new(
        service: Arc<Service>,
        settings: FleetSettings,
        provision: Box<dyn Provision>,
        decisions: Arc<Decisions>,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Self {
        Fleet {
            service,
            scaler: Scaler::new(settings.scale),
            pool: Pool::new(PoolPolicy {
                size: settings.spares,
                burst: None,
                max_replicas: settings.scale.max,
            }),
            settings,
            provision,
            decisions,
            metrics,
            clock,
            replicas: Vec::new(),
            revision: Revision::new("configured"),
            starts: StartTimes::default(),
            claims: Claims::default(),
            backoff: StartBackoff::default(),
            started: 0,
            error: None,
            last: None,
        }
    }

    /// Until the tasks are told to stop; then every replica is ended.
    pub async fn run(
        mut self,
        mut events: mpsc::Receiver<Event>,
        mut commands: mpsc::Receiver<Command>,
        tasks: Tasks,
        shutdown: Shutdown,
    ) {
        let token = tasks.token().clone();
        let service = Arc::clone(&self.service);
        loop {
            self.turn();
            tokio::select! {
                biased;
                () = token.cancelled() => break,
                () = service.rotation.wake.notified() => {}
                Some(event) = events.recv() => {
                    self.on_event(event);
                    while let Ok(event) = events.try_recv() {
                        self.on_event(event);
                    }
                }
                Some(command) = commands.recv() => self.on_command(command),
                () = sleep(self.pause()) => {}
            }
        }
        self.end(&mut events, &shutdown).await;
    }

    /// Until the next look if nothing happens.
    fn pause(&self) -> Duration {
        let now = self.clock.now();
        match self.replicas.iter().any(|replica| replica.is_suspect(now)) {
            true => SUSPECT,
            false => PERIOD,
        }
    }

    /// One look at everything.
    fn turn(&mut self) {
        let now = self.clock.now();
        let observed = self.service.rotation.observe();
        for fact in &observed.facts {
            self.on_fact(fact, now);
        }
        if let Some(since) = observed.starved {
            // As many as it takes for everybody who waits now.
            while self.claim(since, now) && self.service.rotation.held().0 > 0 {}
        }
        let wanted = self.decide(observed, now);
        self.note_change(&wanted, now);
        for action in plan(&self.view(now), &self.wish(&wanted), now) {
            self.perform(action, now);
        }
        self.foresee(&wanted, now);
        let status = self.status(&wanted, now);
        self.service.publish(status);
    }

    fn on_event(&mut self, event: Event) {
        let now = self.clock.now();
        match event.what {
            What::Passport(passport) => {
                let Some(replica) = self.replicas.iter_mut().find(|r| r.id == event.id) else {
                    return;
                };
                if replica.heard(*passport, self.settings.allow_unproven, now) {
                    let took = now.since(replica.started);
                    self.starts.learn(took);
                    self.error = None;
                    let because = Because::new("it handed in its proof").time("after", took);
                    self.note("ready", Some(&event.id), &because, now);
                }
                self.withdraw_unfit(&event.id, now);
            }
            What::Exited { status, last } => self.on_exit(&event.id, &status, &last, now),
        }
    }

    /// A replica in rotation that is not ready any more gets no further request.
    fn withdraw_unfit(&mut self, id: &ReplicaId, now: Moment) {
        let Some(replica) = self.replicas.iter_mut().find(|r| r.id == *id) else {
            return;
        };
        let group = replica.group(now);
        if group != PhaseGroup::Warm && replica.role == Role::Active {
            replica.role = Role::Spare;
            self.service.rotation.withdraw(id);
        }
        if group == PhaseGroup::Failed && replica.condemn() {
            let error = replica.failure();
            self.start_failed(id.clone(), error, now);
        }
    }

    fn on_exit(&mut self, id: &ReplicaId, status: &str, last: &[String], now: Moment) {
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
        let because = Because::new("it ended by itself").text("status", status);
        self.note("lost", Some(id), &because, now);
        let lines = last.join("\n");
        tracing::error!(event = "replica_lost", replica = %id, status, last = lines, "a replica ended by itself");
        match replica.ready_since() {
            Some(ready) if now.since(ready) >= SETTLED => {}
            Some(_) => self.backoff.failed(now),
            None => {
                let error = ErrorReport {
                    stage: replica.phase().to_owned(),
                    cause: format!("the replica ended ({status}) before it was ready"),
                    remedy: "look at its last lines in the gateway's log".into(),
                    exit_code: 1,
                    retry: true,
                };
                self.start_failed(id.clone(), error, now);
            }
        }
    }

    /// Those who wait for this start alone are told at once that it failed.
    fn start_failed(&mut self, id: ReplicaId, error: ErrorReport, now: Moment) {
        self.backoff.failed(now);
        let mut because = Because::new("its start failed")
            .text("stage", error.stage.clone())
            .text("cause", error.cause.clone());
        if self.backoff.is_loop() {
            because = because.text("note", "it fails again and again: a person should look");
        }
        self.note("failed", Some(&id), &because, now);
        let hope = |r: &Replica| r.id != id && r.is_coming(now);
        if self.service.rotation.is_empty() && !self.replicas.iter().any(hope) {
            self.service.rotation.give_up(Refusal::StartFailed {
                cause: error.cause.clone(),
                remedy: error.remedy.clone(),
            });
        }
        self.error = Some(error);
    }

    fn on_fact(&mut self, fact: &Fact, now: Moment) {
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
            Fact::Unreachable { id } => (
                id,
                "suspect",
                Because::new("a connection to it broke or could not be made"),
            ),
        };
        if let Some(replica) = self.replicas.iter_mut().find(|r| r.id == *id) {
            match fact {
                Fact::BackToWarming { .. } => replica.rewarm(),
                Fact::Unreachable { .. } => replica.suspect(now),
                Fact::Passed { .. } | Fact::Ejected { .. } => {}
            }
        }
        self.note(action, Some(id), &because, now);
    }

    /// A request found every permit taken: the best spare goes into rotation now, and not at the
    /// next look.
    /// False when there is none.
    fn claim(&mut self, since: Moment, now: Moment) -> bool {
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

    fn decide(&mut self, observed: Observed, now: Moment) -> Wanted {
        let capacity = self.capacity(&observed);
        let cold_start = self.cold_start();
        let seen = Seen {
            rate: observed.rate,
            capacity,
            cold_start,
            present: observed.held + observed.in_flight,
            last_arrival: observed.last_arrival,
            starting: self.replicas.iter().filter(|r| r.is_coming(now)).count(),
        };
        let desired = self.scaler.decide(&seen, now);
        let inputs = PoolInputs {
            burst: observed.peak,
            capacity,
            active: desired.count,
            claims: self.claims.rate(now),
            time_to_warm: cold_start,
            memory: self.memory(),
            scheduled: None,
        };
        let patience = self.settings.scale.down_after.max(cold_start * 2);
        let mut spares = self.pool.decide(&inputs, patience, now);
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

    fn note_change(&mut self, wanted: &Wanted, now: Moment) {
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
    fn foresee(&self, wanted: &Wanted, now: Moment) {
        let each = wanted.capacity.rate();
        let serving = self.service.rotation.len();
        let mut coming: Vec<(Duration, f64)> = self
            .replicas
            .iter()
            .filter(|r| r.is_coming(now))
            .map(|r| (r.remaining(self.cold_start(), now), each))
            .collect();
        let at_hand = self.warm(Role::Spare, now).len();
        coming.extend((0..at_hand).map(|_| (Duration::ZERO, each)));
        if serving == 0 && coming.is_empty() {
            // The next request is what starts one.
            let pause = self
                .backoff
                .no_start_before()
                .map_or(Duration::ZERO, |at| at.since(now));
            coming.push((pause + self.cold_start(), each));
        }
        self.service.rotation.foresee(Forecast {
            rate: each * serving as f64,
            coming,
            arrivals: wanted.observed.rate.wanted,
            steady: wanted.capacity.service,
            objective: self.settings.slo.threshold,
        });
    }

    fn view(&self, now: Moment) -> FleetView {
        let replicas = self.replicas.iter().map(|replica| ReplicaView {
            id: replica.id.clone(),
            revision: self.revision.clone(),
            phase: replica.group(now),
            since: replica.since,
            role: replica.role,
            in_flight: replica.in_flight(),
            last_run: self.last_run(replica),
            degraded: replica.is_degraded(),
            pinned: false,
        });
        FleetView {
            replicas: replicas.collect(),
            revision: self.revision.clone(),
            no_start_before: self.backoff.no_start_before(),
        }
    }

    fn wish(&self, wanted: &Wanted) -> Wish {
        Wish {
            active: wanted.desired.count,
            spares: wanted.spares.count,
            max: self.settings.scale.max,
            starting_at_once: STARTING,
            drain_limit: self.settings.drain_limit,
        }
    }

    fn perform(&mut self, action: Action, now: Moment) {
        let id = match &action.what {
            ActionKind::Start => {
                self.start(&action.because, now);
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

    fn start(&mut self, because: &Because, now: Moment) {
        self.started += 1;
        let id = ReplicaId::new(format!("r{}", self.started));
        match self.provision.start(&id) {
            Ok(process) => {
                self.service.rotation.hope();
                self.note("start", Some(&id), because, now);
                self.replicas.push(Replica::new(id, process, now));
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
                self.start_failed(id, error, now);
            }
        }
    }

    /// The only way into rotation: with the credentials of a proof.
    fn promote(&mut self, id: &ReplicaId) {
        let concurrency = self.settings.concurrency;
        let Some(replica) = self.replicas.iter_mut().find(|r| r.id == *id) else {
            return;
        };
        let Some((credentials, upstream)) = replica.credentials(concurrency) else {
            return;
        };
        replica.role = Role::Active;
        self.service
            .rotation
            .admit(id.clone(), credentials, upstream);
    }

    fn on_command(&mut self, command: Command) {
        let Command::Scale(wish, answer) = command;
        // Nobody waiting for the answer is no reason not to do it.
        let _ = answer.send(self.rescale(&wish));
    }

    fn rescale(&mut self, wish: &ScaleRequest) -> Result<(), String> {
        let scale = &mut self.settings.scale;
        let (min, max) = (wish.min.unwrap_or(scale.min), wish.max.unwrap_or(scale.max));
        if max == 0 || min > max {
            return Err(format!(
                "min {min} and max {max} do not go together: give a max of at least 1 and of at least min"
            ));
        }
        (scale.min, scale.max) = (min, max);
        if let Some(spares) = wish.spares {
            self.settings.spares = PoolSize::Fixed(spares);
        }
        self.scaler.set_policy(self.settings.scale);
        self.pool.set_policy(PoolPolicy {
            size: self.settings.spares,
            burst: None,
            max_replicas: max,
        });
        let because = Because::new("asked for")
            .count("min", min)
            .count("max", max);
        self.note("scale", None, &because, self.clock.now());
        Ok(())
    }

    /// Every replica is told to leave, and those that do not are ended.
    async fn end(&mut self, events: &mut mpsc::Receiver<Event>, shutdown: &Shutdown) {
        for replica in &mut self.replicas {
            self.service.rotation.withdraw(&replica.id);
            replica.stop();
        }
        self.service.rotation.give_up(Refusal::Draining);
        let limit = self.settings.stop_limit + Duration::from_secs(5);
        tokio::select! {
            left = timeout(limit, gone(&mut self.replicas, events)) => {
                if left.is_ok() {
                    return;
                }
            }
            () = shutdown.reached(Urgency::Stop) => {}
        }
        for replica in &self.replicas {
            replica.process.kill();
        }
        if timeout(KILLED, gone(&mut self.replicas, events))
            .await
            .is_err()
        {
            let left = self.replicas.len();
            tracing::error!(
                event = "replicas_left",
                left,
                "some replicas could not be ended"
            );
        }
    }

    fn warm(&self, role: Role, now: Moment) -> Vec<usize> {
        let is = |r: &Replica| r.role == role && r.group(now) == PhaseGroup::Warm;
        (0..self.replicas.len())
            .filter(|&at| is(&self.replicas[at]))
            .collect()
    }

    fn last_run(&self, replica: &Replica) -> Moment {
        let seen = self.service.rotation.look(&replica.id);
        seen.map_or(replica.last_run, |seen| seen.last_run)
    }

    fn cold_start(&self) -> Duration {
        self.starts.p90().unwrap_or(UNKNOWN_START)
    }

    fn capacity(&self, observed: &Observed) -> Capacity {
        let proven = self.replicas.iter().find_map(Replica::steady);
        // Under load a request takes longer than alone; by that much fewer are carried.
        let service = proven.max(observed.service).unwrap_or(UNKNOWN_SERVICE);
        Capacity {
            concurrency: self.settings.concurrency,
            service,
            measured: None,
        }
    }

    /// What one more replica needs and what is free for it, where both are known.
    fn memory(&self) -> Option<(u64, u64)> {
        let each = self.replicas.iter().filter_map(Replica::peak_bytes).max()?;
        let limit = preheat_runtime::memory::limit()?.bytes;
        let taken: u64 = self
            .replicas
            .iter()
            .map(|r| r.peak_bytes().unwrap_or(each))
            .sum();
        // Spares that are there already count as free: they are what the answer is about.
        let spares = self.replicas.iter().filter(|r| r.role == Role::Spare);
        let theirs: u64 = spares.map(|r| r.peak_bytes().unwrap_or(each)).sum();
        let usable = limit / 10 * 8;
        Some((each, usable.saturating_sub(taken.saturating_sub(theirs))))
    }

    fn note(&self, action: &str, replica: Option<&ReplicaId>, because: &Because, now: Moment) {
        self.decisions
            .note(&self.service.name, action, replica, because, now);
    }
}

/// Until the last replica has ended.
async fn gone(replicas: &mut Vec<Replica>, events: &mut mpsc::Receiver<Event>) {
    while !replicas.is_empty() {
        let Some(event) = events.recv().await else {
            return;
        };
        if matches!(event.what, What::Exited { .. }) {
            replicas.retain(|replica| replica.id != event.id);
        }
    }
}
