use proptest::prelude::*;

use super::*;

fn at(secs: u64) -> Moment {
    Moment::after_start(Duration::from_secs(secs))
}

fn replica(id: usize, phase: PhaseGroup, role: Role) -> ReplicaView {
    ReplicaView {
        id: ReplicaId::new(format!("r{id}")),
        revision: Revision::new("blue"),
        phase,
        since: at(0),
        role,
        in_flight: 0,
        last_run: at(id as u64),
        degraded: false,
        pinned: false,
    }
}

fn view(replicas: Vec<ReplicaView>) -> FleetView {
    FleetView {
        replicas,
        revision: Revision::new("blue"),
        no_start_before: None,
    }
}

const WISH: Wish = Wish {
    active: 1,
    spares: 2,
    max: 6,
    starting_at_once: 2,
    drain_limit: Duration::from_secs(20),
};

fn said(view: &FleetView, wish: &Wish) -> Vec<String> {
    plan(view, wish, at(10))
        .into_iter()
        .map(|action| {
            let id = action.what.replica().map_or("", |id| id.as_str());
            format!("{} {id}", action.what.name()).trim().to_owned()
        })
        .collect()
}

#[test]
fn a_fleet_begins_paced_and_stops_when_it_is_whole() {
    use PhaseGroup::{Cold, Warm};
    use Role::{Active, Spare};
    assert_eq!(said(&view(vec![]), &WISH), ["start", "start"]);
    let two_cold = view(vec![replica(0, Cold, Spare), replica(1, Cold, Spare)]);
    assert_eq!(said(&two_cold, &WISH), [""; 0]);
    let one_warm = view(vec![replica(0, Warm, Spare), replica(1, Cold, Spare)]);
    assert_eq!(said(&one_warm, &WISH), ["promote r0", "start"]);
    let whole = view(vec![
        replica(0, Warm, Active),
        replica(1, Warm, Spare),
        replica(2, Warm, Spare),
    ]);
    assert_eq!(said(&whole, &WISH), [""; 0]);
}

#[test]
fn load_takes_spares_and_refills_within_the_maximum() {
    use PhaseGroup::Warm;
    use Role::{Active, Spare};
    let mut replicas = vec![replica(0, Warm, Active)];
    replicas.extend((1..5).map(|id| replica(id, Warm, Spare)));
    let wish = Wish {
        active: 4,
        spares: 4,
        ..WISH
    };
    assert_eq!(
        said(&view(replicas), &wish),
        ["promote r4", "promote r3", "promote r2", "start"]
    );
}

#[test]
fn less_load_first_demotes_then_drains() {
    use PhaseGroup::Warm;
    use Role::Active;
    let mut replicas: Vec<_> = (0..4).map(|id| replica(id, Warm, Active)).collect();
    replicas[0].in_flight = 3;
    let wish = Wish {
        active: 1,
        spares: 2,
        ..WISH
    };
    assert_eq!(
        said(&view(replicas), &wish),
        ["drain r1", "demote r2", "demote r3"],
        "the one that works most stays"
    );
}

#[test]
fn failed_drained_and_stale_replicas_end() {
    use PhaseGroup::{Draining, Failed, Loading, Warm};
    use Role::{Active, Spare};
    let other = |mut r: ReplicaView| {
        r.revision = Revision::new("old");
        r
    };
    let mut busy = replica(3, Draining, Spare);
    busy.in_flight = 1;
    busy.since = at(5);
    let mut pinned = other(replica(6, Warm, Active));
    pinned.pinned = true;
    let replicas = vec![
        replica(0, Warm, Active),
        replica(1, Failed, Spare),
        replica(2, Draining, Spare),
        busy,
        other(replica(4, Warm, Active)),
        other(replica(5, Loading, Spare)),
        pinned,
    ];
    let wish = Wish { spares: 0, ..WISH };
    assert_eq!(
        said(&view(replicas), &wish),
        ["stop r1", "stop r2", "drain r4", "stop r5"]
    );
}

#[test]
fn starts_wait_out_the_pause_after_failures() {
    let mut backoff = StartBackoff::default();
    let mut now = at(0);
    let mut pauses = Vec::new();
    for _ in 0..8 {
        backoff.failed(now);
        // Begun before the pause, with the one that failed: nothing new.
        backoff.failed(now);
        let until = backoff.no_start_before().unwrap();
        pauses.push(until.since(now).as_secs());
        now = until;
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
    assert!(backoff.is_loop());
    let mut backoff = StartBackoff::default();
    (0..=7).for_each(|second| backoff.failed(at(second)));
    let paused = FleetView {
        no_start_before: backoff.no_start_before(),
        ..view(vec![])
    };
    // Failures at 0, 1, 3 and 7 seconds.
    assert!(plan(&paused, &WISH, at(14)).is_empty());
    assert_eq!(plan(&paused, &WISH, at(15)).len(), 2);
    backoff.succeeded();
    assert_eq!(backoff, StartBackoff::default());
}

#[test]
fn failures_are_forgotten_once_a_later_replica_has_settled() {
    let mut backoff = StartBackoff::default();
    backoff.failed(at(100));
    let failed = backoff;
    backoff.lives(at(50), at(200));
    assert_eq!(backoff, failed, "it was there before the failure");
    backoff.lives(at(105), at(114));
    assert_eq!(backoff, failed, "it may still die at once");
    backoff.lives(at(105), at(115));
    assert_eq!(backoff, StartBackoff::default());
    let mut backoff = failed;
    backoff.serves(at(99));
    assert_eq!(backoff, failed, "it was there before the failure");
    backoff.serves(at(101));
    assert_eq!(backoff, StartBackoff::default(), "users were served");
}

fn any_replica() -> impl Strategy<Value = ReplicaView> {
    use PhaseGroup::{Cold, Draining, Failed, Loading, Warm, Warming};
    let phase = prop::sample::select(vec![
        Cold, Loading, Warming, Warm, Warm, Warm, Draining, Failed,
    ]);
    let role = prop::sample::select(vec![Role::Active, Role::Spare]);
    (phase, role, 0usize..5, any::<bool>(), 0u8..8).prop_map(
        |(phase, role, in_flight, degraded, odd)| ReplicaView {
            in_flight,
            degraded,
            pinned: odd == 1,
            revision: Revision::new(if odd < 2 { "green" } else { "blue" }),
            ..replica(0, phase, role)
        },
    )
}

fn any_view() -> impl Strategy<Value = FleetView> {
    prop::collection::vec(any_replica(), 0..12).prop_map(|mut replicas| {
        for (at, replica) in replicas.iter_mut().enumerate() {
            replica.id = ReplicaId::new(format!("r{at}"));
        }
        view(replicas)
    })
}

/// Does what was said, as a fleet loop that everything succeeds for.
fn done(view: &mut FleetView, actions: &[Action], fresh: &mut usize) {
    for action in actions {
        let find = |view: &mut FleetView, id: &ReplicaId| {
            view.replicas.iter().position(|r| r.id == *id).unwrap()
        };
        match &action.what {
            ActionKind::Start => {
                *fresh += 1;
                view.replicas
                    .push(replica(100 + *fresh, PhaseGroup::Cold, Role::Spare));
            }
            ActionKind::Promote(id) => {
                let at = find(view, id);
                view.replicas[at].role = Role::Active;
            }
            ActionKind::Demote(id) => {
                let at = find(view, id);
                view.replicas[at].role = Role::Spare;
            }
            ActionKind::Drain(id) => {
                let at = find(view, id);
                view.replicas[at].phase = PhaseGroup::Draining;
            }
            ActionKind::Stop(id) => {
                let at = find(view, id);
                view.replicas.remove(at);
            }
        }
    }
    for replica in &mut view.replicas {
        match replica.phase {
            PhaseGroup::Cold | PhaseGroup::Loading | PhaseGroup::Warming => {
                replica.phase = PhaseGroup::Warm;
            }
            PhaseGroup::Draining => replica.in_flight = 0,
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn one_action_a_replica_only_warm_ones_promoted_and_never_above_the_maximum(
        view in any_view(), active in 0usize..8, spares in 0usize..6, pace in 0usize..4,
    ) {
        let wish = Wish { active, spares, starting_at_once: pace, ..WISH };
        let actions = plan(&view, &wish, at(10));
        let mut ids: Vec<_> = actions.iter().filter_map(|a| a.what.replica()).collect();
        let whole = ids.len();
        ids.sort();
        ids.dedup();
        prop_assert_eq!(ids.len(), whole);
        let mut starts = 0;
        for action in &actions {
            let Some(id) = action.what.replica() else {
                starts += 1;
                continue;
            };
            let subject = view.replicas.iter().find(|r| r.id == *id).unwrap();
            let legal = match action.what {
                ActionKind::Promote(_) => subject.phase == PhaseGroup::Warm && subject.role == Role::Spare,
                ActionKind::Demote(_) => subject.phase == PhaseGroup::Warm && subject.role == Role::Active,
                ActionKind::Drain(_) => subject.phase == PhaseGroup::Warm,
                _ => true,
            };
            let failed = subject.phase == PhaseGroup::Failed || subject.phase == PhaseGroup::Draining;
            prop_assert!(legal && (!subject.pinned || failed));
        }
        prop_assert!(starts <= pace);
        prop_assert!(starts == 0 || view.replicas.len() + starts <= wish.max);
    }

    /// Rotation is never emptied below what is wanted while there is something warm to keep.
    #[test]
    fn nobody_wanted_is_taken_out(view in any_view(), active in 0usize..8) {
        let wish = Wish { active, spares: 0, ..WISH };
        let serving = |view: &FleetView| {
            let is = |r: &&ReplicaView| {
                r.phase == PhaseGroup::Warm && r.role == Role::Active
                    && r.revision == view.revision && !r.pinned
            };
            view.replicas.iter().filter(is).count()
        };
        let before = serving(&view);
        let mut after = view.clone();
        let actions = plan(&view, &wish, at(10));
        for action in actions {
            if let Some(at) = action.what.replica().and_then(|id| after.replicas.iter().position(|r| r.id == *id)) {
                match action.what {
                    ActionKind::Promote(_) => after.replicas[at].role = Role::Active,
                    ActionKind::Demote(_) => after.replicas[at].role = Role::Spare,
                    _ => after.replicas[at].phase = PhaseGroup::Draining,
                }
            }
        }
        prop_assert!(serving(&after) >= before.min(active));
    }

    /// Whatever is there, saying and doing leads to the wish and then says nothing more.
    #[test]
    fn it_settles(view in any_view(), active in 0usize..4, spares in 0usize..3) {
        let wish = Wish { active, spares, max: 12 + active + spares, ..WISH };
        let (mut view, mut fresh) = (view, 0);
        for round in 0..40 {
            let actions = plan(&view, &wish, at(10));
            prop_assert!(round < 30 || actions.is_empty(), "still {:?}", actions);
            done(&mut view, &actions, &mut fresh);
        }
        let warm = |role| {
            let is = |r: &&ReplicaView| {
                r.role == role && r.phase == PhaseGroup::Warm && !r.pinned
            };
            view.replicas.iter().filter(is).count()
        };
        prop_assert_eq!((warm(Role::Active), warm(Role::Spare)), (active, spares));
    }
}
