//! The replicas that serve one service, and the requests that wait for one of them.
//!
//! Who is in rotation is the fleet loop's to say; which of them gets a request is decided here, on
//! the request's own task: `core::balance` picks, a permit is taken, and it lives as long as the
//! body of the answer. Whoever finds every permit taken wakes the fleet loop at that moment, and
//! waits in `core::hold` until a permit is handed over. The lock is held for decisions only, never
//! over a wait.

mod permit;
mod seen;
mod state;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use preheat_core::balance::{BalancePolicy, Consequence, Credentials, Crowd, Ended, Endpoint};
use preheat_core::demand::Demand;
use preheat_core::hold::{Forecast, Hold, HoldPolicy, Ticket};
use preheat_core::{ReplicaId, Slo};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::data::Upstream;
use crate::refusal::Refusal;
use crate::traffic::{Summary, Traffic};
pub use permit::{Failure, Granted, Permit};
pub use seen::{Fact, Observed, Seen};
use state::{Asked, ServiceTime, Serving, State};

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
            latency: ServiceTime::default(),
            traffic: Traffic::default(),
            failures: [0; Failure::ALL.len()],
            switches: 0,
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
        let mut state = self.lock();
        let serving = self.serving(newcomer);
        state.serving.retain(|other| other.id != serving.id);
        state.serving.push(serving);
        state.hopeless = None;
        self.hand_over(&mut state);
    }

    /// Puts these into rotation in place of all others, at one moment: no request meets both or
    /// neither. What the others work on is not touched. Traffic is counted anew.
    pub fn switch(self: &Arc<Self>, to: Vec<Newcomer>) {
        let mut state = self.lock();
        state.serving = to.into_iter().map(|one| self.serving(one)).collect();
        state.switches += 1;
        state.hopeless = None;
        state.traffic.mark();
        self.hand_over(&mut state);
    }

    /// Under the lock, beneath which permits come and go: one that comes back may still work on requests.
    fn serving(&self, (id, who, upstream): Newcomer) -> Serving {
        let now = self.clock.now();
        let endpoint = Endpoint::new(who, &self.policy, now);
        Serving {
            id,
            endpoint: endpoint.working_on(upstream.in_flight().count()),
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
    pub fn foresee(self: &Arc<Self>, forecast: Forecast) {
        let now = self.clock.now();
        let mut state = self.lock();
        state.forecast = forecast;
        (state.foreseen, state.passed) = (now, now);
        // Places become free without a request that ends: when a pause after failures is over, or for
        // a request that had asked for somebody else.
        self.hand_over(&mut state);
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
            service: state.service.mean(),
            latency: state.latency.mean(),
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

    /// It would not take a request, which is the request's fault as long as others fare better.
    pub fn declined(&self, permit: &Permit) {
        let now = self.clock.now();
        let mut state = self.lock();
        if permit.switches == state.switches {
            state.traffic.declined(now);
        }
    }

    /// How often replicas have failed requests, and how.
    pub fn failures(&self) -> impl Iterator<Item = (Failure, u64)> + use<> {
        let failures = self.lock().failures;
        Failure::ALL.into_iter().zip(failures)
    }

    /// Tells the fleet loop of a replica that cannot be reached, and sends nobody there meanwhile.
    pub fn unreachable(&self, id: &ReplicaId) {
        let mut state = self.lock();
        let Some(at) = state.serving.iter().position(|serving| serving.id == *id) else {
            return;
        };
        let Serving { id, answered, .. } = state.serving.remove(at);
        state.note(Fact::Unreachable { id, answered });
        drop(state);
        self.wake.notify_one();
    }

    fn end(self: &Arc<Self>, permit: &mut Permit) {
        let now = self.clock.now();
        // For how long its place was taken, which a stream does long after its head.
        let held = permit.began.elapsed();
        let mut state = self.lock();
        permit.in_flight = None;
        let (id, ended) = (&permit.id, permit.ended);
        state.count(permit, now);
        let crowd = Crowd::of(&state.serving, now);
        let Some(serving) = state.serving.iter_mut().find(|s| s.id == *id) else {
            return;
        };
        let consequence = serving.endpoint.end(ended, crowd, &self.policy, now);
        if let Ended::Answered(took) = ended {
            serving.answered += 1;
            serving.last_run = now;
            state.service.learn(held);
            state.latency.learn(took);
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
