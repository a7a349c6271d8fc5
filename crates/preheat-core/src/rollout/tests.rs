use proptest::prelude::*;

use super::*;

const POLICY: RolloutPolicy = RolloutPolicy {
    attempts: 1,
    ..RolloutPolicy::under(Duration::from_millis(200))
};

fn at(secs: u64) -> Moment {
    Moment::after_start(Duration::from_secs(secs))
}

fn begun() -> Rollout {
    let (blue, green) = (Revision::new("blue"), Revision::new("green"));
    Rollout::begin(POLICY, blue, green, 3, at(0)).0
}

fn load(p95: u64, errors: u64) -> RolloutEvent {
    RolloutEvent::Loaded(SetLoad {
        requests: 1000,
        errors,
        p95: Duration::from_millis(p95),
        blue_p95: Duration::from_millis(100),
    })
}

fn traffic(requests: u64, p95: u64, errors: u64) -> RolloutEvent {
    RolloutEvent::Watched(Traffic {
        requests,
        errors,
        declined: 0,
        blue_declined: Some(0.0),
        p95: Duration::from_millis(p95),
        blue_p95: Duration::from_millis(100),
    })
}

/// So many of a hundred that green does not take, where blue did not take this share.
fn picky(declined: u64, blue_declined: Option<f64>) -> RolloutEvent {
    RolloutEvent::Watched(Traffic {
        requests: 100 - declined,
        errors: 0,
        declined,
        blue_declined,
        p95: Duration::from_millis(105),
        blue_p95: Duration::from_millis(100),
    })
}

#[test]
fn a_green_that_does_not_take_what_blue_took_gives_way() {
    for (declined, blue, returns) in [
        (0, Some(0.0), false),
        (9, Some(0.0), false),
        (11, Some(0.0), true),
        // Some users are always wrong.
        (40, Some(0.2), false),
        (60, Some(0.2), true),
        (40, None, false),
        (60, None, true),
    ] {
        let served = [
            (80, RolloutEvent::GreenProven(3)),
            (110, load(110, 0)),
            (110, RolloutEvent::Switched),
            (111, picky(declined, blue)),
        ];
        let (rollout, _) = after(served);
        let returned = matches!(rollout.stage, RolloutStage::Returning(_));
        assert_eq!(returned, returns, "{declined} of 100, blue {blue:?}");
    }
}

fn after(events: impl IntoIterator<Item = (u64, RolloutEvent)>) -> (Rollout, Vec<RolloutEffect>) {
    let mut rollout = begun();
    let mut effects = Vec::new();
    for (second, event) in events {
        effects.extend(rollout.step(event, at(second)).effects);
    }
    (rollout, effects)
}

#[test]
fn a_way_back_tells_how_long_users_had_met_green() {
    let served = [
        (80, RolloutEvent::GreenProven(3)),
        (110, load(110, 0)),
        (110, RolloutEvent::Switched),
        (140, traffic(900, 105, 0)),
        (170, traffic(1800, 105, 0)),
    ];
    let (mut rollout, _) = after(served);
    assert_eq!(rollout.stage, RolloutStage::Keeping);
    let step = rollout.step(RolloutEvent::Rollback, at(200));
    let because = step.because.unwrap().to_string();
    assert_eq!(because, "rolled back by hand: green had served for 90.0 s");
    // Its owner may be another one by then.
    let (mut rollout, _) = rollout.resumed(at(210));
    rollout.step(RolloutEvent::Switched, at(211));
    rollout.step(RolloutEvent::Discarded, at(212));
    assert_eq!(rollout.stage.name(), "rolled_back");
}

#[test]
fn a_good_green_takes_over_and_blue_goes_last() {
    let (rollout, effects) = after([
        (10, RolloutEvent::GreenProven(2)),
        (80, RolloutEvent::GreenProven(3)),
        (110, load(110, 0)),
        (110, RolloutEvent::Switched),
        (140, traffic(900, 105, 0)),
        (170, traffic(1800, 105, 0)),
        (469, RolloutEvent::Tick),
        (470, RolloutEvent::Tick),
    ]);
    let want = [
        RolloutEffect::LoadGreen(POLICY.load_for),
        RolloutEffect::Switch,
        RolloutEffect::ReleaseBlue,
    ];
    assert_eq!(effects, want);
    assert_eq!(rollout.stage, RolloutStage::Done(RolloutResult::Promoted));
    assert_eq!(rollout.serving().as_str(), "green");
}

#[test]
fn a_green_that_misses_anything_never_sees_a_user() {
    let proven = || (80, RolloutEvent::GreenProven(3));
    let slow = [proven(), (110, load(250, 0))];
    let slower_than_blue = [proven(), (110, load(130, 0))];
    let failing = [proven(), (110, load(100, 1))];
    let broken = [
        (5, RolloutEvent::GreenFailed("too big".into())),
        (6, RolloutEvent::Tick),
    ];
    let hanging = [proven(), (500, RolloutEvent::Tick)];
    let late = [(1801, RolloutEvent::Tick), (1802, RolloutEvent::Tick)];
    for (events, rule) in [
        (slow, "green misses the objective"),
        (slower_than_blue, "green is slower than blue"),
        (failing, "green failed under load"),
        (broken, "green failed"),
        (hanging, "the load on green never came to an end"),
        (late, "green was not proven in time"),
    ] {
        let (mut rollout, effects) = after(events);
        assert_eq!(effects.last(), Some(&RolloutEffect::DiscardGreen));
        assert!(!effects.contains(&RolloutEffect::Switch));
        assert_eq!(rollout.serving().as_str(), "blue");
        rollout.step(RolloutEvent::Discarded, at(2000));
        let RolloutStage::Done(RolloutResult::Refused(because)) = rollout.stage else {
            panic!("{rollout:?}")
        };
        assert_eq!(because.rule, rule);
    }
}

#[test]
fn noise_is_given_another_load_and_errors_are_not() {
    let ending = |first: RolloutEvent, second: RolloutEvent| {
        let mut rollout = begun();
        rollout.policy.attempts = 2;
        rollout.step(RolloutEvent::GreenProven(3), at(80));
        let step = rollout.step(first, at(110));
        let again = step.effects == [RolloutEffect::LoadGreen(POLICY.load_for)];
        rollout.step(second, at(140));
        (again, rollout.stage.name())
    };
    assert_eq!(ending(load(250, 0), load(100, 0)), (true, "switching"));
    assert_eq!(ending(load(250, 0), load(250, 0)), (true, "discarding"));
    assert_eq!(ending(load(100, 1), load(100, 0)), (false, "discarding"));
}

#[test]
fn a_difference_of_a_hair_is_no_regression() {
    let quick = |p95, blue_p95| {
        let [p95, blue_p95] = [p95, blue_p95].map(Duration::from_micros);
        POLICY.too_slow(p95, blue_p95).is_none()
    };
    assert!(quick(2_900, 1_000) && !quick(3_100, 1_000));
    assert!(quick(119_000, 100_000) && !quick(121_000, 100_000));
}

fn serving_green() -> Rollout {
    after([
        (80, RolloutEvent::GreenProven(3)),
        (110, load(110, 0)),
        (110, RolloutEvent::Switched),
    ])
    .0
}

#[test]
fn a_green_that_fails_users_gives_way_to_blue() {
    for event in [
        traffic(1000, 100, 5),
        traffic(1000, 300, 0),
        RolloutEvent::Rollback,
        RolloutEvent::Abort,
        RolloutEvent::GreenFailed("crashed".into()),
    ] {
        let mut rollout = serving_green();
        let step = rollout.step(event, at(120));
        assert_eq!(step.effects, [RolloutEffect::SwitchBack]);
        assert_eq!(rollout.serving().as_str(), "blue");
        let step = rollout.step(RolloutEvent::Switched, at(121));
        assert_eq!(step.effects, [RolloutEffect::DiscardGreen]);
        rollout.step(RolloutEvent::Discarded, at(130));
        assert_eq!(rollout.stage.name(), "rolled_back");
    }
    let mut few = serving_green();
    few.step(traffic(20, 900, 0), at(120));
    assert_eq!(few.stage.name(), "watching", "twenty requests make no p95");
}

#[test]
fn nobody_can_promote_what_has_not_passed() {
    let mut rollout = begun();
    let step = rollout.step(RolloutEvent::Promote, at(1));
    assert!(step.effects.is_empty() && step.because.is_some());
    let mut passed = serving_green();
    let step = passed.step(RolloutEvent::Promote, at(111));
    assert_eq!(step.effects, [RolloutEffect::ReleaseBlue]);
}

#[test]
fn a_restart_in_the_middle_measures_again() {
    let (mut rollout, _) = after([(80, RolloutEvent::GreenProven(3))]);
    let effects;
    (rollout, effects) = rollout.resumed(at(5));
    assert_eq!(effects, [RolloutEffect::StartGreen(3)]);
    let step = rollout.step(RolloutEvent::GreenProven(3), at(6));
    assert_eq!(step.effects, [RolloutEffect::LoadGreen(POLICY.load_for)]);
    let (watching, effects) = serving_green().resumed(at(3));
    assert!(effects.is_empty());
    assert_eq!(
        (watching.serving().as_str(), watching.since),
        ("green", at(3))
    );
}

fn any_event() -> impl Strategy<Value = RolloutEvent> {
    use RolloutEvent as E;
    prop_oneof![
        (0usize..5).prop_map(E::GreenProven),
        Just(E::GreenFailed("x".into())),
        (50u64..300, 0u64..2).prop_map(|(p95, errors)| load(p95, errors)),
        Just(E::Switched),
        (0u64..1000, 50u64..300, 0u64..3).prop_map(|(n, p95, errors)| traffic(n, p95, errors)),
        Just(E::Discarded),
        Just(E::Tick),
        Just(E::Promote),
        Just(E::Rollback),
        Just(E::Abort),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever happens in whatever order: traffic goes to green only after a load that passed, blue
    /// is released only while green serves, and never twice or together with green.
    #[test]
    fn there_is_always_a_warm_side(events in prop::collection::vec((any_event(), 0u64..200), 0..60)) {
        let mut rollout = begun();
        let (mut now, mut passed, mut released, mut discarded) = (0, false, 0, 0);
        for (event, later) in events {
            now += later;
            let loading = rollout.stage == RolloutStage::Loading;
            let good = loading && matches!(&event,
                RolloutEvent::Loaded(l) if l.errors == 0 && l.p95 <= Duration::from_millis(120));
            passed |= good;
            for effect in rollout.step(event, at(now)).effects {
                match effect {
                    RolloutEffect::Switch => prop_assert!(good),
                    RolloutEffect::ReleaseBlue => {
                        released += 1;
                        prop_assert!(rollout.serving() == &rollout.green);
                    }
                    RolloutEffect::DiscardGreen => {
                        discarded += 1;
                        prop_assert!(rollout.serving() == &rollout.blue);
                    }
                    _ => {}
                }
            }
            prop_assert!(rollout.serving() == &rollout.blue || passed);
            prop_assert!(released + discarded <= 1);
        }
    }
}
