//! The machines of the simulation: replicas that start, work, crash and stop, and the clock.
//!
//! Knows nothing of who should get a request or how many replicas there should be; that is a
//! [`Front`](crate::front::Front)'s. Counts what must hold whoever decides: permits, the maximum,
//! requests that came and went.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};
use std::time::Duration;

use preheat_core::{Moment, PhaseGroup};

use crate::ledger::Ledger;
use crate::random::Random;
use crate::record::{End, Recorder};
use crate::scenario::{Gate, Scenario};
use crate::traffic::nanos;

/// A request on its way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Request {
    pub(crate) number: u64,
    /// Nanoseconds.
    pub(crate) arrived: u64,
    pub(crate) retried: bool,
    /// Which of the watched newcomer's requests it is.
    pub(crate) nth: Option<u32>,
}

/// A replica, by its place: never used again for another.
pub(crate) type Id = usize;

#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) phase: PhaseGroup,
    pub(crate) since: u64,
    pub(crate) began: u64,
    pub(crate) last_run: u64,
    instances: Vec<Instance>,
    pub(crate) running: usize,
    /// Sent here without a permit: they wait here.
    queue: VecDeque<Request>,
    stage: usize,
    /// It was ready before and is being warmed again.
    pub(crate) again: bool,
    gone: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Instance {
    /// Shapes that have run here, as bits.
    seen: u64,
    running: Option<(Request, u64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    /// A stage of a start is over.
    Stage(Id),
    Finish(Id, usize),
    Crash(Id),
    /// The front asked to be called.
    Call(u64),
    Tick,
    Sample,
}

/// What the front is told.
#[derive(Debug, PartialEq)]
pub(crate) enum News {
    /// A replica is ready by its gate.
    Ready(Id),
    StartFailed(Id),
    /// A request was answered after so many nanoseconds on its replica; a permit is free.
    Answered(Id, Request, u64),
    /// A replica is gone, and these were with it.
    Crashed(Id, Vec<Request>),
    Called(u64),
    Tick,
    /// A point of the series ends.
    Sample,
}

pub(crate) struct Cluster<'a> {
    pub(crate) scenario: &'a Scenario,
    gate: Gate,
    pub(crate) now: u64,
    pub(crate) replicas: Vec<Replica>,
    pub(crate) ledger: Ledger,
    pub(crate) recorder: Recorder,
    events: BinaryHeap<Reverse<(u64, u64, Happening)>>,
    sequence: u64,
    costs: Random,
    fates: Random,
    living: BTreeSet<Id>,
    tick: u64,
    sample: u64,
    covered: u64,
    /// The first replica that becomes ready while traffic flows, and how many requests it got.
    newcomer: Option<(Id, u32)>,
}

impl<'a> Cluster<'a> {
    pub(crate) fn new(scenario: &'a Scenario, gate: Gate, tick: Duration, seed: u64) -> Self {
        let ledger = Ledger::new(scenario);
        let mut cluster = Cluster {
            scenario,
            gate,
            now: 0,
            replicas: Vec::new(),
            sample: ledger.width(),
            ledger,
            recorder: Recorder::default(),
            events: BinaryHeap::new(),
            sequence: 0,
            costs: Random::stream(seed, 2),
            fates: Random::stream(seed, 3),
            living: BTreeSet::new(),
            tick: nanos(tick),
            covered: scenario.replica.covered(),
            newcomer: None,
        };
        cluster.at(cluster.tick, Happening::Tick);
        cluster.at(cluster.sample, Happening::Sample);
        cluster
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment::after_start(Duration::from_nanos(self.now))
    }

    /// When something happens next.
    pub(crate) fn next(&self) -> Option<u64> {
        self.events.peek().map(|Reverse((at, ..))| *at)
    }

    /// Lets the next thing happen. None: nothing that a front need know.
    pub(crate) fn step(&mut self) -> Option<News> {
        let Reverse((at, _, happening)) = self.events.pop()?;
        self.now = at;
        match happening {
            Happening::Stage(id) => self.stage_over(id),
            Happening::Finish(id, instance) => self.finish(id, instance),
            Happening::Crash(id) => self.crash(id),
            Happening::Call(what) => Some(News::Called(what)),
            Happening::Tick => {
                self.at(self.now + self.tick, Happening::Tick);
                Some(News::Tick)
            }
            Happening::Sample => {
                self.at(self.now + self.sample, Happening::Sample);
                Some(News::Sample)
            }
        }
    }

    /// Asks to be told [`News::Called`].
    pub(crate) fn call_in(&mut self, after: Duration, what: u64) {
        self.at(self.now + nanos(after), Happening::Call(what));
    }

    /// A new replica begins to start.
    pub(crate) fn start(&mut self) -> Id {
        let id = self.add(PhaseGroup::Cold);
        self.next_stage(id);
        id
    }

    /// A replica that was ready before the simulation began.
    pub(crate) fn ready_already(&mut self) -> Id {
        let id = self.add(PhaseGroup::Warm);
        for instance in &mut self.replicas[id].instances {
            instance.seen = u64::MAX;
        }
        self.fate(id);
        id
    }

    /// Runs a request now. The permit was the front's to check.
    pub(crate) fn run(&mut self, id: Id, mut request: Request) {
        if self.replicas[id].phase != PhaseGroup::Warm {
            self.ledger
                .violation("a request was sent to a replica that is not ready");
        }
        self.watch(id, &mut request);
        self.begin(id, request);
    }

    fn begin(&mut self, id: Id, request: Request) {
        let model = &self.scenario.replica;
        let mut costs = self.costs.of(request.number);
        let shape = costs.next() % model.cold.shapes.clamp(1, 64) as u64;
        let mut took = model.service.draw(&mut costs);
        let replica = &mut self.replicas[id];
        let Some(free) = replica.instances.iter().position(|i| i.running.is_none()) else {
            self.ledger.violation("a replica got more than its permits");
            return;
        };
        let instance = &mut replica.instances[free];
        if instance.seen & (1 << shape) == 0 {
            instance.seen |= 1 << shape;
            took += nanos(model.cold.first_run);
            self.ledger.met_cold(self.now);
            self.recorder.ran_cold(id, self.now + took);
        }
        instance.running = Some((request, self.now));
        replica.running += 1;
        replica.last_run = self.now;
        self.at(self.now + took, Happening::Finish(id, free));
    }

    /// Sends a request without a permit: it waits at the replica if it must.
    pub(crate) fn send(&mut self, id: Id, mut request: Request) {
        self.watch(id, &mut request);
        if self.replicas[id].running < self.scenario.replica.concurrency {
            self.run(id, request);
        } else {
            self.replicas[id].queue.push_back(request);
        }
    }

    /// Out of rotation: it warms again, and is ready once more after that.
    pub(crate) fn rewarm(&mut self, id: Id) {
        let model = &self.scenario.replica;
        self.replicas[id].stage = model.stages.len();
        self.replicas[id].again = true;
        self.enter(id, PhaseGroup::Warming);
        self.at(self.now + nanos(model.warm_time()), Happening::Stage(id));
    }

    /// Requests at this replica, waiting or running.
    pub(crate) fn load(&self, id: Id) -> usize {
        self.replicas[id].running + self.replicas[id].queue.len()
    }

    /// It finishes what it has and goes.
    pub(crate) fn drain(&mut self, id: Id) {
        self.enter(id, PhaseGroup::Draining);
        self.leave_if_done(id);
    }

    /// It goes now. Nothing runs there.
    pub(crate) fn stop(&mut self, id: Id) {
        if self.replicas[id].running > 0 {
            self.ledger
                .violation("a replica was stopped with requests on it");
        }
        self.leave(id);
    }

    /// Stops so many of those that are on their way, the newest first; says how many there were.
    pub(crate) fn stop_starting(&mut self, most: usize) -> usize {
        let newest = self.living.iter().copied().rev();
        let ids: Vec<_> = newest
            .filter(|id| self.is_starting(*id))
            .take(most)
            .collect();
        ids.iter().for_each(|id| self.leave(*id));
        ids.len()
    }

    /// Those that take a place, oldest first.
    pub(crate) fn living(&self) -> impl Iterator<Item = Id> {
        self.living.iter().copied()
    }

    /// How long until each of those on their way is ready, if all goes well.
    pub(crate) fn etas(&self) -> impl Iterator<Item = Duration> {
        let whole = nanos(self.scenario.replica.start_time(self.gate));
        let coming = self.living().filter(|id| self.is_starting(*id));
        coming.map(move |id| {
            let replica = &self.replicas[id];
            let ready = if replica.again {
                replica.since + nanos(self.scenario.replica.warm_time())
            } else {
                replica.began + whole
            };
            Duration::from_nanos(ready.saturating_sub(self.now))
        })
    }

    fn is_starting(&self, id: Id) -> bool {
        use PhaseGroup::{Cold, Loading, Warming};
        matches!(self.replicas[id].phase, Cold | Loading | Warming)
    }

    /// Replicas that take a place, whatever their phase.
    pub(crate) fn alive(&self) -> usize {
        self.living.len()
    }

    pub(crate) fn starting(&self) -> usize {
        self.living().filter(|id| self.is_starting(*id)).count()
    }

    /// Counts those who are still there as if they had gone now.
    pub(crate) fn close(&mut self) {
        for id in std::mem::take(&mut self.living) {
            self.leave(id);
        }
    }

    fn at(&mut self, at: u64, happening: Happening) {
        self.sequence += 1;
        self.events.push(Reverse((at, self.sequence, happening)));
    }

    fn add(&mut self, phase: PhaseGroup) -> Id {
        let concurrency = self.scenario.replica.concurrency.max(1);
        self.replicas.push(Replica {
            phase,
            since: self.now,
            began: self.now,
            last_run: self.now,
            instances: vec![Instance::default(); concurrency],
            running: 0,
            queue: VecDeque::new(),
            stage: 0,
            again: false,
            gone: false,
        });
        let id = self.replicas.len() - 1;
        self.recorder.entered(id, Some(phase), self.now);
        self.living.insert(id);
        if self.living.len() > self.scenario.fleet.max {
            self.ledger
                .violation("there were more replicas than the maximum");
        }
        id
    }

    fn enter(&mut self, id: Id, phase: PhaseGroup) {
        let replica = &mut self.replicas[id];
        replica.phase = phase;
        replica.since = self.now;
        self.recorder.entered(id, Some(phase), self.now);
    }

    /// A request came, before anybody decides about it.
    pub(crate) fn arrived(&mut self, request: Request) {
        self.ledger.arrived(self.now);
        self.recorder.arrived(request);
    }

    pub(crate) fn refused(&mut self, request: Request) {
        self.ledger.refused(request);
        self.recorder.ended(request, End::Refused, self.now);
    }

    pub(crate) fn failed(&mut self, request: Request) {
        self.ledger.failed(request);
        self.recorder.ended(request, End::Failed, self.now);
    }

    fn stage_over(&mut self, id: Id) -> Option<News> {
        if self.replicas[id].gone {
            return None;
        }
        if self.replicas[id].again && self.replicas[id].running > 0 {
            // What it was sent before it went back is finished first.
            self.at(self.now + 10_000_000, Happening::Stage(id));
            return None;
        }
        self.replicas[id].stage += 1;
        if self.next_stage(id) {
            return None;
        }
        let again = self.replicas[id].again;
        if !again && self.fates.of(id as u64).unit() < self.scenario.failures.starts {
            self.leave(id);
            return Some(News::StartFailed(id));
        }
        if self.gate == Gate::Warmed || again {
            for instance in &mut self.replicas[id].instances {
                instance.seen |= self.covered;
            }
        }
        self.enter(id, PhaseGroup::Warm);
        self.replicas[id].last_run = self.now;
        if !again {
            self.fate(id);
        }
        self.newcomer = self.newcomer.or(Some((id, 0)));
        Some(News::Ready(id))
    }

    fn watch(&mut self, id: Id, request: &mut Request) {
        if let Some((newcomer, count)) = &mut self.newcomer
            && *newcomer == id
            && request.nth.is_none()
        {
            request.nth = Some(*count);
            *count += 1;
        }
    }

    /// Begins the replica's next stage; false if there is none.
    fn next_stage(&mut self, id: Id) -> bool {
        let model = &self.scenario.replica;
        let at = self.replicas[id].stage;
        let warm = (self.gate == Gate::Warmed).then(|| model.warm_time());
        let (takes, group) = match model.stages.get(at) {
            Some(stage) => (stage.takes, stage.group),
            None if at == model.stages.len() => match warm {
                Some(takes) => (takes, PhaseGroup::Warming),
                None => return false,
            },
            None => return false,
        };
        self.enter(id, group);
        self.at(self.now + nanos(takes), Happening::Stage(id));
        true
    }

    fn fate(&mut self, id: Id) {
        let rate = self.scenario.failures.crashes_per_hour / 3600.0;
        if rate > 0.0 {
            let mut fate = self.fates.of(id as u64 ^ (1 << 40));
            let after = (fate.gap(rate) * 1e9) as u64;
            self.at(self.now + after, Happening::Crash(id));
        }
    }

    fn finish(&mut self, id: Id, instance: usize) -> Option<News> {
        // A crash has taken it along.
        let (request, began) = self.replicas[id].instances[instance].running.take()?;
        self.replicas[id].running -= 1;
        self.replicas[id].last_run = self.now;
        self.ledger.answered(request, self.now);
        self.recorder.ended(request, End::Answered, self.now);
        if let Some(next) = self.replicas[id].queue.pop_front() {
            self.begin(id, next);
        }
        self.leave_if_done(id);
        Some(News::Answered(id, request, self.now - began))
    }

    fn crash(&mut self, id: Id) -> Option<News> {
        let replica = &mut self.replicas[id];
        if replica.gone {
            return None;
        }
        let running = replica
            .instances
            .iter_mut()
            .filter_map(|i| i.running.take());
        let mut victims: Vec<_> = running.map(|(request, _)| request).collect();
        victims.extend(replica.queue.drain(..));
        replica.running = 0;
        self.ledger.crashed();
        self.leave(id);
        Some(News::Crashed(id, victims))
    }

    fn leave_if_done(&mut self, id: Id) {
        let replica = &self.replicas[id];
        if replica.phase == PhaseGroup::Draining && replica.running == 0 && !replica.gone {
            self.leave(id);
        }
    }

    fn leave(&mut self, id: Id) {
        let replica = &mut self.replicas[id];
        if !replica.gone {
            replica.gone = true;
            // Nothing looks at it again: a long run must not keep every replica's instances.
            replica.phase = PhaseGroup::Failed;
            self.living.remove(&id);
            self.recorder.entered(id, None, self.now);
            self.ledger.lived(self.now - replica.began);
        }
    }
}
