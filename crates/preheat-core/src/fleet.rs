//! From the world and the wish to actions.
//!
//! [`plan`] takes no input but what is there and what is wanted: called at every event and every
//! period, it always says the same about the same, and an action that was lost is said again. It
//! starts, promotes, demotes, drains and stops; doing so is the fleet loop's.

use std::cmp::Reverse;
use std::time::Duration;

use crate::decision::Because;
use crate::moment::Moment;
use crate::names::{ReplicaId, Revision};
use crate::phase::PhaseGroup;

/// What the fleet uses a replica for. Its phase is the replica's own affair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// In rotation, once it is warm.
    Active,
    /// Out of rotation, warm or on its way.
    Spare,
}

impl Role {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Role::Active => "active",
            Role::Spare => "spare",
        }
    }
}

/// One replica as the fleet sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplicaView {
    pub id: ReplicaId,
    pub revision: Revision,
    pub phase: PhaseGroup,
    /// When it came into its phase.
    pub since: Moment,
    pub role: Role,
    pub in_flight: usize,
    /// When it last ran: proof, keep-warm or traffic.
    pub last_run: Moment,
    pub degraded: bool,
    /// Kept by a rollout (blue in reserve, green being proven): the plan leaves it alone.
    pub pinned: bool,
}

/// Everything there is of one service.
#[derive(Debug, Clone, PartialEq)]
pub struct FleetView {
    pub replicas: Vec<ReplicaView>,
    /// The revision that serves; replicas of another one that nobody pins are drained.
    pub revision: Revision,
    /// No start before this moment: the last ones failed.
    pub no_start_before: Option<Moment>,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    pub active: usize,
    pub spares: usize,
    /// Replicas of every kind together, those of a rollout included.
    pub max: usize,
    /// Starts at once: more of them would slow one another and those who serve.
    pub starting_at_once: usize,
    /// What a draining replica may take before it is stopped all the same.
    pub drain_limit: Duration,
}

/// What to do, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    pub what: ActionKind,
    pub because: Because,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActionKind {
    /// A new replica of the serving revision, as a spare; it is promoted when it is warm and wanted.
    Start,
    /// Into rotation.
    Promote(ReplicaId),
    /// Out of rotation; it stays warm.
    Demote(ReplicaId),
    /// It finishes what it has and leaves.
    Drain(ReplicaId),
    /// It ends now.
    Stop(ReplicaId),
}

impl ActionKind {
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            ActionKind::Start => "start",
            ActionKind::Promote(_) => "promote",
            ActionKind::Demote(_) => "demote",
            ActionKind::Drain(_) => "drain",
            ActionKind::Stop(_) => "stop",
        }
    }

    #[must_use]
    pub const fn replica(&self) -> Option<&ReplicaId> {
        match self {
            ActionKind::Start => None,
            ActionKind::Promote(id)
            | ActionKind::Demote(id)
            | ActionKind::Drain(id)
            | ActionKind::Stop(id) => Some(id),
        }
    }
}

/// What leads from the view to the wish. At most one action for each replica.
#[must_use]
pub fn plan(view: &FleetView, wish: &Wish, now: Moment) -> Vec<Action> {
    let mut actions = ends(view, wish, now);
    let census = Census::of(view);
    let counts = |because: Because| {
        because
            .count("active", census.active.len())
            .count("spare", census.spares.len())
            .count("starting", census.starting)
            .count("wanted active", wish.active)
            .count("wanted spares", wish.spares)
    };
    let mut say = |what, rule| {
        let because = counts(Because::new(rule));
        actions.push(Action { what, because });
    };
    let promoted = census.best_spares(wish.active.saturating_sub(census.active.len()));
    for spare in promoted {
        say(
            ActionKind::Promote(spare.id.clone()),
            "the load needs a warm spare",
        );
    }
    let over = least_loaded(&census.active);
    let over = &over[..census.active.len().saturating_sub(wish.active)];
    let kept = &census.spares[promoted.len()..];
    // Those who are on their way count as surplus, and yet no warm one goes for them.
    let surplus = census.whole().saturating_sub(wish.active + wish.spares);
    let drains = surplus.min((kept.len() + over.len()).saturating_sub(wish.spares));
    for (at, replica) in over.iter().enumerate() {
        if at < drains {
            say(
                ActionKind::Drain(replica.id.clone()),
                "more replicas than the load needs",
            );
        } else {
            say(
                ActionKind::Demote(replica.id.clone()),
                "out of rotation, kept as a spare",
            );
        }
    }
    for spare in kept.iter().rev().take(drains.saturating_sub(over.len())) {
        say(
            ActionKind::Drain(spare.id.clone()),
            "more spares than wanted",
        );
    }
    for _ in 0..starts(view, wish, &census, now) {
        say(ActionKind::Start, "fewer replicas than wanted");
    }
    actions
}

/// Those who are to go whatever the load: failed, drained, of another revision.
fn ends(view: &FleetView, wish: &Wish, now: Moment) -> Vec<Action> {
    let end = |replica: &ReplicaView| {
        let id = || replica.id.clone();
        let age = now.since(replica.since);
        let stale = replica.revision != view.revision && !replica.pinned;
        let (what, rule) = match replica.phase {
            PhaseGroup::Failed => (ActionKind::Stop(id()), "it failed"),
            PhaseGroup::Draining if replica.in_flight == 0 => {
                (ActionKind::Stop(id()), "it has finished what it had")
            }
            PhaseGroup::Draining if age >= wish.drain_limit => {
                (ActionKind::Stop(id()), "its time to drain is over")
            }
            PhaseGroup::Warm if stale => (ActionKind::Drain(id()), "its revision no longer serves"),
            PhaseGroup::Cold | PhaseGroup::Loading | PhaseGroup::Warming if stale => {
                (ActionKind::Stop(id()), "its revision no longer serves")
            }
            _ => return None,
        };
        let because = Because::new(rule)
            .count("in flight", replica.in_flight)
            .time("in this phase for", age)
            .text("revision", replica.revision.as_str());
        Some(Action { what, because })
    };
    view.replicas.iter().filter_map(end).collect()
}

fn starts(view: &FleetView, wish: &Wish, census: &Census<'_>, now: Moment) -> usize {
    if view.no_start_before.is_some_and(|after| now < after) {
        return 0;
    }
    let wanted = wish.active + wish.spares;
    let missing = wanted.saturating_sub(census.whole());
    // Whoever still drains still takes a place: the machine is not larger because it will leave.
    let room = wish.max.saturating_sub(view.replicas.len());
    let pace = wish.starting_at_once.saturating_sub(census.starting);
    missing.min(room).min(pace)
}

/// Replicas of the serving revision that are not pinned, by what they are good for.
struct Census<'a> {
    active: Vec<&'a ReplicaView>,
    /// The best first, as [`promote`](crate::pool::promote) would choose.
    spares: Vec<&'a ReplicaView>,
    starting: usize,
}

impl<'a> Census<'a> {
    fn of(view: &'a FleetView) -> Self {
        let ours = || {
            let mine = |r: &&ReplicaView| r.revision == view.revision && !r.pinned;
            view.replicas.iter().filter(mine)
        };
        let warm = |role| ours().filter(move |r| r.phase == PhaseGroup::Warm && r.role == role);
        let mut spares: Vec<_> = warm(Role::Spare).collect();
        spares.sort_by_key(|r| (r.degraded, Reverse(r.last_run)));
        let coming = |r: &&ReplicaView| {
            use PhaseGroup::{Cold, Loading, Warming};
            matches!(r.phase, Cold | Loading | Warming)
        };
        Census {
            active: warm(Role::Active).collect(),
            spares,
            starting: ours().filter(coming).count(),
        }
    }

    fn whole(&self) -> usize {
        self.active.len() + self.spares.len() + self.starting
    }

    fn best_spares(&self, count: usize) -> &[&'a ReplicaView] {
        &self.spares[..count.min(self.spares.len())]
    }
}

fn least_loaded<'a>(replicas: &[&'a ReplicaView]) -> Vec<&'a ReplicaView> {
    let mut sorted = replicas.to_vec();
    sorted.sort_by_key(|r| (!r.degraded, r.in_flight, r.last_run));
    sorted
}

/// The pause before the next start after failures: doubled by each, up to a limit; over once a
/// replica has settled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StartBackoff {
    failures: u32,
    until: Option<Moment>,
    /// The last failure.
    last: Option<Moment>,
}

impl StartBackoff {
    const FIRST: Duration = Duration::from_secs(1);
    const LONGEST: Duration = Duration::from_secs(60);
    /// So many failures in a row are no accident.
    const LOOP: u32 = 5;
    /// A replica that dies sooner after its proof, and before its first users were served, has not
    /// really started.
    pub const SETTLED: Duration = Duration::from_secs(10);

    /// What fails during a pause was begun before it: the same trouble, counted once.
    pub fn failed(&mut self, now: Moment) {
        self.last = Some(now);
        if self.until.is_some_and(|until| now < until) {
            return;
        }
        let pause = Self::FIRST.saturating_mul(1 << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        self.until = Some(now + pause.min(Self::LONGEST));
    }

    /// A replica lives that was proven at this moment. Once it has settled, and nothing has failed
    /// since its proof, what was before is forgotten.
    pub fn lives(&mut self, proven: Moment, now: Moment) {
        if now.since(proven) >= Self::SETTLED {
            self.serves(proven);
        }
    }

    /// Its first users were answered in time: it has really started, however young it is.
    pub fn serves(&mut self, proven: Moment) {
        if self.last.is_none_or(|failed| failed < proven) {
            self.succeeded();
        }
    }

    pub fn succeeded(&mut self) {
        *self = StartBackoff::default();
    }

    #[must_use]
    pub const fn no_start_before(&self) -> Option<Moment> {
        self.until
    }

    /// A crash loop: a person should look.
    #[must_use]
    pub const fn is_loop(&self) -> bool {
        self.failures >= Self::LOOP
    }
}

#[cfg(test)]
mod tests;
