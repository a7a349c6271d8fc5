//! preheat itself: the very policies of core, given simulated time.

use std::time::Duration;

use preheat_core::balance::{
    BalancePolicy, Consequence, Credentials, Crowd, Ended, Endpoint, Entry, pick,
};
use preheat_core::demand::Demand;
use preheat_core::fleet::{ActionKind, FleetView, ReplicaView, Role, StartBackoff, Wish, plan};
use preheat_core::hold::{FAR, Forecast, Hold, HoldPolicy};
use preheat_core::pool::{Claims, Pool, PoolInputs, PoolPolicy, Spare, StartTimes, promote};
use preheat_core::scaling::{ScalePolicy, Scaler, Seen};
use preheat_core::{Capacity, ReplicaId, Revision};

use super::Front;
use crate::cluster::{Cluster, Id, News, Request};
use crate::ledger::Snapshot;
use crate::random::Random;
use crate::scenario::{Gate, Holding, PreheatOptions, Probation, Promotion, Scenario};

/// How often the fleet loop looks, besides at every event.
const PERIOD: Duration = Duration::from_millis(500);

pub(crate) struct Preheat {
    options: PreheatOptions,
    balance: BalancePolicy,
    capacity: Capacity,
    cold_start: Duration,
    active: Vec<Member>,
    /// Where in `active` a replica is.
    places: Vec<Option<usize>>,
    /// Warm and out of rotation, or just leaving it with requests still on them.
    spares: Vec<Member>,
    /// Spares on their way into rotation.
    promoted: Vec<Member>,
    hold: Hold<Request>,
    demand: Demand,
    scaler: Scaler,
    pool: Pool,
    claims: Claims,
    starts: StartTimes,
    backoff: StartBackoff,
    dice: Random,
    wish: Wish,
    /// Arrivals a second at the last look.
    arrivals: f64,
}

struct Member {
    id: Id,
    endpoint: Endpoint,
}

impl AsRef<Endpoint> for Member {
    fn as_ref(&self) -> &Endpoint {
        &self.endpoint
    }
}

impl Preheat {
    pub(crate) fn new(scenario: &Scenario, options: PreheatOptions, seed: u64) -> Self {
        let (model, fleet) = (&scenario.replica, &scenario.fleet);
        let mut balance = BalancePolicy::under(scenario.slo);
        if options.probation == Probation::Off {
            balance.probation_requests = 0;
        }
        let hold = match options.hold {
            Holding::Predicted => HoldPolicy {
                longest: scenario.patience,
                ..HoldPolicy::default()
            },
            Holding::Endless => HoldPolicy {
                max_count: usize::MAX,
                max_bytes: u64::MAX,
                longest: FAR,
            },
        };
        let cold_start = model.start_time(options.gate);
        let scaler = Scaler::new(ScalePolicy {
            min: fleet.min,
            max: fleet.max,
            utilisation: fleet.utilisation,
            to_zero_after: fleet.linger,
            ..ScalePolicy::default()
        });
        let now = preheat_core::Moment::START;
        Preheat {
            balance,
            capacity: Capacity {
                concurrency: model.concurrency,
                service: model.service.mean(),
                measured: None,
            },
            cold_start,
            active: Vec::new(),
            places: Vec::new(),
            spares: Vec::new(),
            promoted: Vec::new(),
            hold: Hold::new(hold),
            demand: Demand::new(cold_start, now),
            pool: Pool::new(PoolPolicy {
                size: options.spares.unwrap_or(fleet.spares),
                burst: fleet.burst,
                max_replicas: fleet.max,
            }),
            wish: Wish {
                active: 0,
                spares: 0,
                max: fleet.max,
                starting_at_once: fleet.starting_at_once,
                drain_limit: scenario.patience,
            },
            scaler,
            claims: Claims::default(),
            starts: StartTimes::default(),
            backoff: StartBackoff::default(),
            dice: Random::stream(seed, 4),
            options,
            arrivals: 0.0,
        }
    }

    fn place_of(&self, id: Id) -> Option<usize> {
        self.places.get(id).copied().flatten()
    }

    fn put_in(&mut self, member: Member) {
        if self.places.len() <= member.id {
            self.places.resize(member.id + 1, None);
        }
        self.places[member.id] = Some(self.active.len());
        self.active.push(member);
    }

    fn take_out(&mut self, id: Id) -> Option<Member> {
        let at = self.places.get_mut(id)?.take()?;
        let member = self.active.swap_remove(at);
        if let Some(moved) = self.active.get(at) {
            self.places[moved.id] = Some(at);
        }
        Some(member)
    }

    fn place(&mut self, request: Request, cluster: &mut Cluster<'_>) -> bool {
        let dice = [self.dice.next(), self.dice.next()];
        let now = cluster.moment();
        let Some(at) = pick(&self.active, None, dice, &self.balance, now) else {
            return false;
        };
        let member = &mut self.active[at];
        let begun = member.endpoint.begin();
        debug_assert!(begun, "pick found a free permit");
        cluster.run(member.id, request);
        true
    }

    /// Every permit is taken: a spare is called in, and the request waits or is refused.
    fn wait(&mut self, request: Request, cluster: &mut Cluster<'_>) {
        let on_the_way: usize = self.promoted.iter().map(|m| m.endpoint.permits()).sum();
        if self.options.promotion == Promotion::Event && self.hold.len() >= on_the_way {
            self.promote_one(cluster);
        }
        let nobody = self.active.is_empty() && self.promoted.is_empty();
        if nobody && cluster.etas().next().is_none() {
            // From zero the first request is the reason to start, not the next look.
            self.look(1, cluster);
        }
        let forecast = self.forecast(cluster);
        let patience = match self.options.hold {
            Holding::Predicted => cluster.scenario.patience,
            Holding::Endless => FAR,
        };
        let now = cluster.moment();
        if let Err((request, _)) = self.hold.offer(request, 1_000, patience, &forecast, now) {
            cluster.refused(request);
        }
    }

    fn promote_one(&mut self, cluster: &mut Cluster<'_>) {
        let choice: Vec<_> = self.spares.iter().map(|m| as_spare(m, cluster)).collect();
        if let Some(at) = promote(&choice) {
            let member = self.spares.remove(at);
            cluster.call_in(cluster.scenario.fleet.promotion, member.id as u64);
            self.promoted.push(member);
            self.claims.claimed(cluster.moment());
            self.scaler
                .promoted_to(self.active.len() + self.promoted.len());
        }
    }

    fn forecast(&self, cluster: &Cluster<'_>) -> Forecast {
        let each = self.capacity.rate();
        let objective = cluster.scenario.slo.threshold;
        if self.options.hold == Holding::Endless {
            return Forecast {
                rate: f64::MAX,
                coming: Vec::new(),
                arrivals: 0.0,
                steady: Duration::ZERO,
                objective: FAR,
            };
        }
        let promoted = self.promoted.iter();
        let mut coming: Vec<_> = promoted
            .map(|_| (cluster.scenario.fleet.promotion, each))
            .collect();
        coming.extend(cluster.etas().map(|eta| (eta, each)));
        Forecast {
            rate: each * self.active.len() as f64,
            coming,
            arrivals: self.arrivals,
            steady: cluster.scenario.replica.service.p95,
            objective,
        }
    }

    fn pump(&mut self, cluster: &mut Cluster<'_>) {
        while !self.hold.is_empty() {
            let free = self.active.iter().any(|m| m.endpoint.free() > 0);
            if !free {
                return;
            }
            let Some(held) = self.hold.release(cluster.moment()) else {
                return;
            };
            if !self.place(held.what, cluster) {
                cluster
                    .ledger
                    .violation("a held request was released to nobody");
            }
        }
    }

    fn answered(&mut self, id: Id, took: u64, cluster: &mut Cluster<'_>) {
        let now = cluster.moment();
        let crowd = Crowd {
            in_rotation: self.active.len(),
            ejected: 0,
        };
        let ended = Ended::Answered(Duration::from_nanos(took));
        if let Some(at) = self.place_of(id) {
            let endpoint = &mut self.active[at].endpoint;
            let consequence = endpoint.end(ended, crowd, &self.balance, now);
            if matches!(consequence, Consequence::BackToWarming { .. }) {
                self.take_out(id);
                cluster.rewarm(id);
            }
        } else if let Some(member) = self.spares.iter_mut().find(|m| m.id == id) {
            member.endpoint.end(Ended::Void, crowd, &self.balance, now);
        }
    }

    fn ready(&mut self, id: Id, cluster: &mut Cluster<'_>) {
        let replica = &cluster.replicas[id];
        if !replica.again {
            self.starts
                .learn(Duration::from_nanos(cluster.now - replica.began));
            self.backoff.succeeded();
        }
        self.spares.push(self.member(id, cluster));
        self.look(0, cluster);
    }

    fn member(&self, id: Id, cluster: &Cluster<'_>) -> Member {
        let model = &cluster.scenario.replica;
        let entry = match (self.options.probation, self.options.gate) {
            (Probation::Always, _) | (Probation::ByProof, Gate::Loaded) => Entry::Newcomer,
            _ => Entry::Tried,
        };
        let who = Credentials {
            steady: model.service.median,
            concurrency: model.concurrency,
            degraded: false,
            entry,
        };
        Member {
            id,
            endpoint: Endpoint::new(who, &self.balance, cluster.moment()),
        }
    }

    fn crashed(&mut self, id: Id, victims: Vec<Request>, cluster: &mut Cluster<'_>) {
        self.take_out(id);
        self.spares.retain(|m| m.id != id);
        self.promoted.retain(|m| m.id != id);
        for request in victims {
            if request.retried {
                cluster.failed(request);
                continue;
            }
            cluster.ledger.retried(request);
            let again = Request {
                retried: true,
                ..request
            };
            if !self.place(again, cluster) {
                self.wait(again, cluster);
            }
        }
        self.look(0, cluster);
    }

    /// The fleet loop: what is there, what is wanted, what leads from one to the other. So many
    /// requests are knocking and neither held nor placed yet.
    fn look(&mut self, knocking: usize, cluster: &mut Cluster<'_>) {
        let now = cluster.moment();
        let cold_start = self.starts.p90().unwrap_or(self.cold_start);
        let running: usize = self.active.iter().map(|m| m.endpoint.in_flight()).sum();
        let rate = self.demand.rate(now);
        self.arrivals = rate.wanted;
        let seen = Seen {
            rate,
            capacity: self.capacity,
            cold_start,
            present: running + self.hold.len() + knocking,
            last_arrival: self.demand.last_arrival(),
            starting: cluster.starting(),
        };
        self.wish.active = self.scaler.decide(&seen, now).count;
        let inputs = self.pool_inputs(self.wish.active, cold_start, cluster);
        let patience = self.scaler.policy().down_after.max(cold_start * 2);
        self.wish.spares = self.pool.decide(&inputs, patience, now).count;
        for action in plan(&self.view(cluster), &self.wish, now) {
            self.act(&action.what, cluster);
        }
        self.pump(cluster);
    }

    fn pool_inputs(&self, active: usize, cold: Duration, cluster: &Cluster<'_>) -> PoolInputs {
        let memory = cluster.scenario.fleet.spare_memory;
        PoolInputs {
            burst: self.demand.peak(),
            capacity: self.capacity,
            active,
            claims: self.claims.rate(cluster.moment()),
            time_to_warm: cold,
            memory: memory.map(|bytes| (cluster.scenario.replica.memory, bytes)),
            scheduled: None,
        }
    }

    fn view(&self, cluster: &Cluster<'_>) -> FleetView {
        let serving: Vec<_> = self
            .active
            .iter()
            .chain(&self.promoted)
            .map(|m| m.id)
            .collect();
        let view = |id: Id| {
            let replica = &cluster.replicas[id];
            ReplicaView {
                id: name(id),
                revision: Revision::new(""),
                phase: replica.phase,
                since: moment(replica.since),
                role: if serving.contains(&id) {
                    Role::Active
                } else {
                    Role::Spare
                },
                in_flight: replica.running,
                last_run: moment(replica.last_run),
                degraded: false,
                pinned: false,
            }
        };
        FleetView {
            replicas: cluster.living().map(view).collect(),
            revision: Revision::new(""),
            no_start_before: self.backoff.no_start_before(),
        }
    }

    fn act(&mut self, action: &ActionKind, cluster: &mut Cluster<'_>) {
        let id = action.replica().and_then(number);
        match (action, id) {
            (ActionKind::Start, _) => {
                cluster.start();
            }
            (ActionKind::Promote(_), Some(id)) => {
                if let Some(at) = self.spares.iter().position(|m| m.id == id) {
                    cluster.call_in(cluster.scenario.fleet.promotion, id as u64);
                    self.promoted.push(self.spares.remove(at));
                }
            }
            (ActionKind::Demote(_), Some(id)) => {
                let member = self.take_out(id);
                self.spares.extend(member);
            }
            (ActionKind::Drain(_), Some(id)) => {
                self.take_out(id);
                self.spares.retain(|m| m.id != id);
                cluster.drain(id);
            }
            (ActionKind::Stop(_), Some(id)) => cluster.stop(id),
            (_, None) => {}
        }
    }
}

impl Front for Preheat {
    fn period(&self) -> Duration {
        PERIOD
    }

    fn gate(&self) -> Gate {
        self.options.gate
    }

    fn begin(&mut self, cluster: &mut Cluster<'_>) {
        for _ in 0..cluster.scenario.fleet.begin {
            let id = cluster.ready_already();
            let member = self.member(id, cluster);
            self.put_in(member);
        }
        self.scaler.promoted_to(self.active.len());
        // The pool has had time to fill.
        let inputs = self.pool_inputs(self.active.len(), self.cold_start, cluster);
        let spares = self.pool.decide(&inputs, self.cold_start, cluster.moment());
        for _ in 0..spares.count {
            let id = cluster.ready_already();
            let member = self.member(id, cluster);
            self.spares.push(member);
        }
    }

    fn arrive(&mut self, request: Request, cluster: &mut Cluster<'_>) {
        self.demand.arrived(cluster.moment());
        self.pump(cluster);
        if !self.hold.is_empty() || !self.place(request, cluster) {
            self.wait(request, cluster);
        }
    }

    fn hear(&mut self, news: News, cluster: &mut Cluster<'_>) {
        match news {
            News::Answered(id, _, took) => {
                self.answered(id, took, cluster);
                self.pump(cluster);
            }
            News::Called(id) => {
                if let Some(at) = self.promoted.iter().position(|m| m.id as u64 == id) {
                    let member = self.promoted.remove(at);
                    self.put_in(member);
                    self.pump(cluster);
                }
            }
            News::Ready(id) => self.ready(id, cluster),
            News::StartFailed(_) => {
                self.backoff.failed(cluster.moment());
                if self.active.is_empty() && cluster.starting() == 0 {
                    // What they waited for will not come.
                    for held in self.hold.fail_all() {
                        cluster.failed(held.what);
                    }
                }
            }
            News::Crashed(id, victims) => self.crashed(id, victims, cluster),
            News::Tick => {
                for held in self.hold.expired(cluster.moment()) {
                    cluster.failed(held.what);
                }
                self.look(0, cluster);
            }
            News::Sample => {}
        }
    }

    fn snapshot(&self, cluster: &Cluster<'_>) -> Snapshot {
        Snapshot {
            active: self.active.len() + self.promoted.len(),
            spare: self.spares.len(),
            starting: cluster.starting(),
            held: self.hold.len(),
            wanted: self.wish.active + self.wish.spares,
        }
    }
}

fn as_spare(member: &Member, cluster: &Cluster<'_>) -> Spare {
    Spare {
        last_run: moment(cluster.replicas[member.id].last_run),
        degraded: false,
    }
}

fn moment(at: u64) -> preheat_core::Moment {
    preheat_core::Moment::after_start(Duration::from_nanos(at))
}

fn name(id: Id) -> ReplicaId {
    ReplicaId::new(format!("r{id}"))
}

fn number(id: &ReplicaId) -> Option<Id> {
    id.as_str().strip_prefix('r')?.parse().ok()
}
