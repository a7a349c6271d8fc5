//! The replicas that serve one service, and the requests that wait for one of them.
//!
//! Who is in rotation is the fleet loop's to say; which of them gets a request is decided here, on
//! the request's own task: `core::balance` picks, a permit is taken, and it lives as long as the
//! body of the answer. Whoever finds every permit taken wakes the fleet loop at that moment, and
//! waits in `core::hold` until a permit is handed over. The lock is held for decisions only, never
//! over a wait.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use preheat_core::balance::{
    BalancePolicy, Consequence, Credentials, Crowd, Ended, Endpoint, pick,
};
use preheat_core::demand::{Demand, Rate};
use preheat_core::hold::{Forecast, Hold, HoldPolicy, RefusalReason, Ticket};
use preheat_core::{Moment, ReplicaId, Slo};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::clock::Clock;
use crate::data::Upstream;
use crate::refusal::Refusal;
use crate::traffic::{Summary, Traffic};

/// Facts for the fleet loop that are not yet read; a loop that hangs must not fill the memory.
const FACTS: usize = 256;

/// While requests are sent away, the loop looks at least so often.
const FRESH: Duration = Duration::from_millis(50);

/// One service's rotation. Share it in an [`Arc`].
#[derive(Debug)]
pub struct Rotation {
    state: Mutex<State>,
    policy: BalancePolicy,
    longest: Duration,
    clock: Clock,
    /// Something happened that the fleet loop wants to know at once.
    pub wake: Notify,
}

#[derive(Debug)]
struct State {
    serving: Vec<Serving>,
    hold: Hold<oneshot::Sender<Permit>>,
    forecast: Forecast,
    /// When the loop foresaw it, and of when it is now.
    foreseen: Moment,
    passed: Moment,
    /// Why waiting is in vain, if it is.
    hopeless: Option<Refusal>,
    demand: Demand,
    dice: fastrand::Rng,
    facts: VecDeque<Fact>,
    service: ServiceTime,
    traffic: Traffic,
    /// When a request first found every permit taken, until the loop has heard of it.
    starved: Option<Moment>,
}

/// One replica in rotation.
#[derive(Debug)]
struct Serving {
    id: ReplicaId,
    endpoint: Endpoint,
    upstream: Arc<Upstream>,
    answered: u64,
    last_run: Moment,
}

impl AsRef<Endpoint> for Serving {
    fn as_ref(&self) -> &Endpoint {
        &self.endpoint
    }
}

/// What requests found out about replicas.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// It missed the objective in its probation.
    BackToWarming {
        id: ReplicaId,
        seen: u32,
        missed: u32,
    },
    Passed {
        id: ReplicaId,
    },
    Ejected {
        id: ReplicaId,
        until: Moment,
    },
    /// It takes no connections.
    Unreachable {
        id: ReplicaId,
    },
}

/// What the fleet loop reads at each turn.
#[derive(Debug)]
pub struct Observed {
    pub rate: Rate,
    /// Arrivals a second in the last moments.
    pub latest: f64,
    pub peak: f64,
    pub last_arrival: Option<Moment>,
    pub held: usize,
    pub held_bytes: u64,
    pub in_flight: usize,
    pub facts: Vec<Fact>,
    pub starved: Option<Moment>,
    /// What an answer takes of late, under the load of late.
    pub service: Option<Duration>,
}

/// One replica in rotation, for those who look.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    pub in_flight: usize,
    pub answered: u64,
    pub last_run: Moment,
    pub latency: Duration,
    pub ejected: bool,
}

/// The right to send one request to one replica; given back when dropped.
#[derive(Debug)]
pub struct Permit {
    rotation: Option<Arc<Rotation>>,
    id: ReplicaId,
    upstream: Arc<Upstream>,
    began: Instant,
    ended: Ended,
    _in_flight: preheat_runtime::Permit,
}

/// A replica on its way into rotation, with what its proof says.
pub type Newcomer = (ReplicaId, Credentials, Arc<Upstream>);

/// What a request brings when it asks for a permit.
#[derive(Debug, Clone)]
pub struct Asking {
    pub bytes: u64,
    /// When its answer is of no use any more.
    pub deadline: Instant,
    /// The replica that just failed it.
    pub except: Option<ReplicaId>,
    /// It has been counted as an arrival before.
    pub again: bool,
}

/// A permit, and how long it was waited for.
#[derive(Debug)]
pub struct Granted {
    pub permit: Permit,
    pub held: Option<Duration>,
}

impl Rotation {
    #[must_use]
    pub fn new(policy: BalancePolicy, hold: HoldPolicy, lead: Duration, clock: Clock) -> Self {
        let now = clock.now();
        let state = State {
            serving: Vec::new(),
            hold: Hold::new(hold),
            // Until the loop has looked for the first time: a replica will come.
            forecast: Forecast {
                rate: 0.0,
                coming: vec![(lead, 1.0 / policy.slo.threshold.as_secs_f64().max(1e-3))],
                arrivals: 0.0,
                steady: Duration::ZERO,
                objective: policy.slo.threshold,
            },
            foreseen: now,
            passed: now,
            hopeless: None,
            demand: Demand::new(lead, now),
            dice: fastrand::Rng::new(),
            facts: VecDeque::new(),
            service: ServiceTime::default(),
            traffic: Traffic::default(),
            starved: None,
        };
        Rotation {
            state: Mutex::new(state),
            policy,
            longest: hold.longest,
            clock,
            wake: Notify::new(),
        }
    }

    /// A permit for one request: at once, after a wait, or not at all.
    ///
    /// # Errors
    /// The refusal says when to come back.
    pub async fn acquire(self: &Arc<Self>, asking: Asking) -> Result<Granted, Refusal> {
        let since = Instant::now();
        let (ticket, handed) = match self.ask(&asking)? {
            Asked::Granted(permit) => return Ok(Granted { permit, held: None }),
            Asked::Held(ticket, handed) => (ticket, handed),
        };
        let mut place = Place {
            rotation: self,
            ticket: Some(ticket),
        };
        let until = asking.deadline.min(since + self.longest);
        let handed = tokio::time::timeout_at(until, handed).await;
        place.ticket = None;
        match handed {
            Ok(Ok(mut permit)) => {
                permit.began = Instant::now();
                let held = Some(since.elapsed());
                Ok(Granted { permit, held })
            }
            // Those who wait in vain are dropped by the loop.
            Ok(Err(_)) => Err(self.hopeless()),
            Err(_) => {
                self.lock().hold.cancel(ticket);
                Err(self.too_late(since.elapsed()))
            }
        }
    }

    fn ask(self: &Arc<Self>, asking: &Asking) -> Result<Asked, Refusal> {
        let now = self.clock.now();
        let mut state = self.lock();
        if !asking.again {
            state.demand.arrived(now);
        }
        // Nobody overtakes those who wait.
        if state.hold.is_empty()
            && let Some(at) = state.pick(asking.except.as_ref(), &self.policy, now)
        {
            return Ok(Asked::Granted(state.permit(self, at)));
        }
        let first = state.starved.is_none();
        state.starved.get_or_insert(now);
        let offered = state.offer(asking, now);
        // Whoever is sent away is told by what the loop foresees: it must not be old.
        let old = now.since(state.foreseen) >= FRESH;
        drop(state);
        if first || old || offered.is_ok() {
            self.wake.notify_one();
        }
        offered
    }

    /// Puts a replica into rotation. It hands in what its proof says.
    pub fn admit(self: &Arc<Self>, newcomer: Newcomer) {
        let serving = self.serving(newcomer);
        let mut state = self.lock();
        state.serving.retain(|other| other.id != serving.id);
        state.serving.push(serving);
        state.hopeless = None;
        self.hand_over(&mut state);
    }

    /// Puts these into rotation in place of all others, at one moment: no request meets both or
    /// neither. What the others work on is not touched. Traffic is counted anew.
    pub fn switch(self: &Arc<Self>, to: Vec<Newcomer>) {
        let serving: Vec<_> = to.into_iter().map(|one| self.serving(one)).collect();
        let mut state = self.lock();
        state.serving = serving;
        state.hopeless = None;
        state.traffic.mark();
        self.hand_over(&mut state);
    }

    fn serving(&self, (id, who, upstream): Newcomer) -> Serving {
        let now = self.clock.now();
        Serving {
            id,
            endpoint: Endpoint::new(who, &self.policy, now),
            upstream,
            answered: 0,
            last_run: now,
        }
    }

    /// Traffic is counted anew.
    pub fn mark(&self) {
        self.lock().traffic.mark();
    }

    pub fn since_mark(&self) -> Summary {
        self.lock().traffic.since_mark()
    }

    /// What users were promised.
    #[must_use]
    pub fn slo(&self) -> Slo {
        self.policy.slo
    }

    /// Traffic of the last half minute to minute.
    pub fn of_late(&self) -> Summary {
        let now = self.clock.now();
        self.lock().traffic.of_late(now)
    }

    /// Takes a replica out of rotation. What it works on is not touched.
    pub fn withdraw(&self, id: &ReplicaId) {
        self.lock().serving.retain(|serving| serving.id != *id);
    }

    /// A first replica is known to come so soon; until the loop foresees more.
    pub fn expect_in(&self, lead: Duration) {
        for (when, _) in &mut self.lock().forecast.coming {
            *when = lead;
        }
    }

    /// What the fleet loop foresees; those who ask from now on are judged by it.
    pub fn foresee(&self, forecast: Forecast) {
        let now = self.clock.now();
        let mut state = self.lock();
        state.forecast = forecast;
        (state.foreseen, state.passed) = (now, now);
    }

    /// Nothing that is waited for will come: everybody who waits is told now, and so is whoever
    /// comes until a replica is admitted.
    pub fn give_up(&self, why: Refusal) {
        let mut state = self.lock();
        state.hopeless = Some(why);
        // Dropping what would have handed them a permit tells them.
        drop(state.hold.fail_all());
    }

    /// There is hope again: a start is under way.
    pub fn hope(&self) {
        self.lock().hopeless = None;
    }

    /// What happened since the last look.
    pub fn observe(&self) -> Observed {
        let now = self.clock.now();
        let mut state = self.lock();
        Observed {
            rate: state.demand.rate(now),
            latest: state.demand.latest(now),
            peak: state.demand.peak(),
            last_arrival: state.demand.last_arrival(),
            held: state.hold.len(),
            held_bytes: state.hold.bytes(),
            in_flight: state.serving.iter().map(|s| s.endpoint.in_flight()).sum(),
            facts: state.facts.drain(..).collect(),
            starved: state.starved.take(),
            service: state.service.0.map(Duration::from_secs_f64),
        }
    }

    /// Requests that wait, and the bytes of their bodies.
    pub fn held(&self) -> (usize, u64) {
        let state = self.lock();
        (state.hold.len(), state.hold.bytes())
    }

    /// One replica, if it is in rotation.
    pub fn look(&self, id: &ReplicaId) -> Option<Seen> {
        let now = self.clock.now();
        let state = self.lock();
        let serving = state.serving.iter().find(|serving| serving.id == *id)?;
        // The cost of one request on an idle replica is its latency.
        let cost = serving.endpoint.cost(&self.policy, now);
        let latency = cost / (serving.endpoint.in_flight() + 1) as f64;
        Some(Seen {
            in_flight: serving.endpoint.in_flight(),
            answered: serving.answered,
            last_run: serving.last_run,
            latency: Duration::from_secs_f64(latency.clamp(0.0, 3600.0)),
            ejected: serving.endpoint.is_ejected(now),
        })
    }

    /// How many replicas are in rotation.
    pub fn len(&self) -> usize {
        self.lock().serving.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tells the fleet loop of a replica that cannot be reached, and sends nobody there meanwhile.
    pub fn unreachable(&self, id: &ReplicaId) {
        let mut state = self.lock();
        let before = state.serving.len();
        state.serving.retain(|serving| serving.id != *id);
        if state.serving.len() < before {
            state.note(Fact::Unreachable { id: id.clone() });
            drop(state);
            self.wake.notify_one();
        }
    }

    fn end(self: &Arc<Self>, id: &ReplicaId, ended: Ended) {
        let now = self.clock.now();
        let mut state = self.lock();
        let crowd = Crowd::of(&state.serving, now);
        let Some(serving) = state.serving.iter_mut().find(|s| s.id == *id) else {
            return;
        };
        let consequence = serving.endpoint.end(ended, crowd, &self.policy, now);
        match ended {
            Ended::Answered(took) => {
                serving.answered += 1;
                serving.last_run = now;
                state.service.learn(took);
                state.traffic.answered(took, now);
            }
            Ended::Failed => state.traffic.failed(now),
            Ended::Void => {}
        }
        let id = id.clone();
        let fact = match consequence {
            Consequence::None => None,
            Consequence::BackToWarming { seen, missed } => {
                state.serving.retain(|s| s.id != id);
                Some(Fact::BackToWarming { id, seen, missed })
            }
            Consequence::Passed => Some(Fact::Passed { id }),
            Consequence::Ejected { until } => Some(Fact::Ejected { id, until }),
        };
        let wakes = fact.is_some();
        if let Some(fact) = fact {
            state.note(fact);
        }
        self.hand_over(&mut state);
        drop(state);
        if wakes {
            self.wake.notify_one();
        }
    }

    /// Gives free permits to those who wait, one by one.
    fn hand_over(self: &Arc<Self>, state: &mut State) {
        let now = self.clock.now();
        while !state.hold.is_empty() {
            let Some(at) = state.pick(None, &self.policy, now) else {
                return;
            };
            let Some(held) = state.hold.release(now) else {
                return;
            };
            let permit = state.permit(self, at);
            if let Err(mut permit) = held.what.send(permit) {
                // Its client has left: the permit goes to the next, without the lock's own way.
                permit.rotation = None;
                let crowd = Crowd::of(&state.serving, now);
                let endpoint = &mut state.serving[at].endpoint;
                let _ = endpoint.end(Ended::Void, crowd, &self.policy, now);
            }
        }
    }

    fn hopeless(&self) -> Refusal {
        let state = self.lock();
        state.hopeless.clone().unwrap_or(Refusal::Draining)
    }

    fn too_late(&self, waited: Duration) -> Refusal {
        let now = self.clock.now();
        let mut state = self.lock();
        state.pass(now);
        if state.forecast.is_warm() {
            return Refusal::Deadline { limit: waited };
        }
        let left = state.forecast.retry_after(state.hold.len(), Duration::ZERO);
        Refusal::NothingWarm {
            code: "not_ready",
            detail: format!("none came within {} ms", waited.as_millis()),
            retry_after: left,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Asked {
    Granted(Permit),
    Held(Ticket, oneshot::Receiver<Permit>),
}

impl State {
    /// What was foreseen is nearer by now.
    fn pass(&mut self, now: Moment) {
        self.forecast.pass(now.since(self.passed));
        self.passed = now;
    }

    fn pick(
        &mut self,
        except: Option<&ReplicaId>,
        policy: &BalancePolicy,
        now: Moment,
    ) -> Option<usize> {
        let except = except.and_then(|id| self.serving.iter().position(|s| s.id == *id));
        let dice = [self.dice.u64(..), self.dice.u64(..)];
        pick(&self.serving, except, dice, policy, now)
    }

    /// Takes a permit of a replica that was picked because it has one.
    fn permit(&mut self, rotation: &Arc<Rotation>, at: usize) -> Permit {
        let serving = &mut self.serving[at];
        let taken = serving.endpoint.begin();
        debug_assert!(taken, "a replica was picked that has no free permit");
        Permit {
            _in_flight: serving.upstream.in_flight().enter(),
            rotation: Some(Arc::clone(rotation)),
            id: serving.id.clone(),
            upstream: Arc::clone(&serving.upstream),
            began: Instant::now(),
            ended: Ended::Void,
        }
    }

    fn offer(&mut self, asking: &Asking, now: Moment) -> Result<Asked, Refusal> {
        if let Some(why) = &self.hopeless {
            return Err(why.clone());
        }
        let patience = asking.deadline.saturating_duration_since(Instant::now());
        let (hand, handed) = oneshot::channel();
        self.pass(now);
        let offered = self
            .hold
            .offer(hand, asking.bytes, patience, &self.forecast, now);
        match offered {
            Ok(ticket) => Ok(Asked::Held(ticket, handed)),
            Err((_, refusal)) if refusal.nothing_warm => Err(Refusal::NothingWarm {
                code: refusal.why.name(),
                detail: sentence(refusal.why).into(),
                retry_after: refusal.retry_after,
            }),
            Err((_, refusal)) => Err(Refusal::Full {
                code: refusal.why.name(),
                retry_after: refusal.retry_after,
            }),
        }
    }

    fn note(&mut self, fact: Fact) {
        if self.facts.len() < FACTS {
            self.facts.push_back(fact);
        }
    }
}

/// Seconds that an answer takes: a mean that forgets, and that one outlier cannot move far.
#[derive(Debug, Clone, Copy, Default)]
struct ServiceTime(Option<f64>);

impl ServiceTime {
    const WEIGHT: f64 = 0.02;
    const OUTLIER: f64 = 4.0;

    fn learn(&mut self, took: Duration) {
        let sample = took.as_secs_f64();
        let mean = self.0.unwrap_or(sample);
        self.0 = Some(mean + Self::WEIGHT * (sample.min(mean * Self::OUTLIER) - mean));
    }
}

fn sentence(why: RefusalReason) -> &'static str {
    match why {
        RefusalReason::QueueFull => "as many requests as may wait are waiting",
        RefusalReason::BytesFull => "those who wait hold as many bytes as may be held",
        RefusalReason::TooLate => "one would come too late for this request",
    }
}

/// A place in the queue, left when its request is dropped: the client has gone.
struct Place<'a> {
    rotation: &'a Rotation,
    ticket: Option<Ticket>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.rotation.lock().hold.cancel(ticket);
        }
    }
}

impl Permit {
    #[must_use]
    pub fn replica(&self) -> &ReplicaId {
        &self.id
    }

    #[must_use]
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// The head of an answer has come; what is left is its body.
    pub fn answered(&mut self) {
        self.ended = Ended::Answered(self.began.elapsed());
    }

    /// The replica failed it.
    pub fn failed(&mut self) {
        self.ended = Ended::Failed;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(rotation) = self.rotation.take() {
            rotation.end(&self.id, self.ended);
        }
    }
}
