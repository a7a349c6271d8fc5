use proptest::prelude::*;

use super::*;

const SLO: Slo = Slo::p95(Duration::from_millis(200));
const POLICY: BalancePolicy = BalancePolicy::under(SLO);
const MANY: Crowd = Crowd {
    in_rotation: 4,
    ejected: 0,
};

fn at(ms: u64) -> Moment {
    Moment::after_start(Duration::from_millis(ms))
}

fn replica(entry: Entry) -> Endpoint {
    let who = Credentials {
        steady: Duration::from_millis(80),
        concurrency: 4,
        degraded: false,
        entry,
    };
    Endpoint::new(who, &POLICY, at(0))
}

fn seasoned() -> Endpoint {
    let mut endpoint = replica(Entry::Tried);
    for _ in 0..POLICY.probation_requests {
        assert!(endpoint.begin());
        let answered = Ended::Answered(Duration::from_millis(80));
        endpoint.end(answered, MANY, &POLICY, at(0));
    }
    endpoint
}

fn dice(seed: u64) -> [u64; 2] {
    let mix = |x: u64| {
        let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    };
    [
        mix(seed.wrapping_mul(2) + 1),
        mix(seed.wrapping_mul(2) + 0x9e37),
    ]
}

#[test]
fn a_newcomer_has_two_in_flight_until_it_has_passed() {
    let mut newcomer = replica(Entry::Newcomer);
    assert_eq!(newcomer.permits(), 2);
    for seen in 1..=20 {
        assert!(newcomer.begin());
        let answered = Ended::Answered(Duration::from_millis(90));
        let after = newcomer.end(answered, MANY, &POLICY, at(seen));
        let want = if seen == 20 {
            Consequence::Passed
        } else {
            Consequence::None
        };
        assert_eq!(after, want);
    }
    assert_eq!(newcomer.permits(), 4);
}

#[test]
fn missing_the_objective_in_probation_sends_back_to_warming() {
    for entry in [Entry::Newcomer, Entry::Tried] {
        let slow = Ended::Answered(Duration::from_secs(1));
        let mut newcomer = replica(entry);
        assert_eq!(
            newcomer.end(slow, MANY, &POLICY, at(1)),
            Consequence::None,
            "one in twenty may miss a p95"
        );
        assert_eq!(
            newcomer.end(slow, MANY, &POLICY, at(2)),
            Consequence::BackToWarming { seen: 2, missed: 2 }
        );
        let alone = Crowd {
            in_rotation: 1,
            ejected: 0,
        };
        let mut only = replica(entry);
        let all: Vec<_> = (0..20)
            .map(|_| only.end(slow, alone, &POLICY, at(1)))
            .collect();
        assert_eq!(all[19], Consequence::Passed, "nobody else could serve");
    }
}

#[test]
fn three_failures_in_a_row_eject_for_longer_each_time() {
    let mut endpoint = seasoned();
    let mut now = 0;
    for want in [1, 2, 4, 8, 16, 30, 30] {
        let failures = if want == 1 { 3 } else { 1 };
        let mut last = Consequence::None;
        for _ in 0..failures {
            assert_eq!(last, Consequence::None);
            last = endpoint.end(Ended::Failed, MANY, &POLICY, at(now));
        }
        let until = at(now) + Duration::from_secs(want);
        assert_eq!(last, Consequence::Ejected { until });
        assert!(endpoint.is_ejected(at(now)) && !endpoint.is_ejected(until));
        now += want * 1000;
    }
    let answered = Ended::Answered(Duration::from_millis(80));
    endpoint.end(answered, MANY, &POLICY, at(now));
    endpoint.end(Ended::Failed, MANY, &POLICY, at(now));
    assert!(!endpoint.is_ejected(at(now)), "an answer clears the record");
}

#[test]
fn a_failure_that_came_fast_does_not_make_a_replica_look_fast() {
    let mut endpoint = seasoned();
    let before = endpoint.cost(&POLICY, at(1));
    endpoint.end(Ended::Failed, MANY, &POLICY, at(1));
    assert!((endpoint.cost(&POLICY, at(1)) - before).abs() < 1e-12);
}

#[test]
fn a_degraded_replica_is_used_last() {
    let who = Credentials {
        steady: Duration::from_millis(1),
        concurrency: 4,
        degraded: true,
        entry: Entry::Tried,
    };
    let mut set = [Endpoint::new(who, &POLICY, at(0)), seasoned()];
    for seed in 0..4 {
        let chosen = pick(&set, None, dice(seed), &POLICY, at(1)).unwrap();
        assert_eq!(chosen, 1);
        assert!(set[chosen].begin());
    }
    assert_eq!(pick(&set, None, dice(9), &POLICY, at(1)), Some(0));
}

#[test]
fn the_slower_of_two_gets_less() {
    let mut set = [seasoned(), seasoned()];
    set[0].end(
        Ended::Answered(Duration::from_secs(1)),
        MANY,
        &POLICY,
        at(1),
    );
    for seed in 0..100 {
        assert_eq!(pick(&set, None, dice(seed), &POLICY, at(1)), Some(1));
    }
    assert_eq!(pick(&set, Some(1), dice(1), &POLICY, at(1)), Some(0));
}

#[test]
fn equal_replicas_get_equal_shares() {
    // Half of them are full, so that throws must be repeated fairly.
    let mut set = vec![seasoned(); 8];
    for full in [0, 1, 2, 5] {
        while set[full].begin() {}
    }
    let mut hits = [0u32; 8];
    for seed in 0..20_000 {
        hits[pick(&set, None, dice(seed), &POLICY, at(1)).unwrap()] += 1;
    }
    for (at, hits) in hits.into_iter().enumerate() {
        let full = [0, 1, 2, 5].contains(&at);
        let fair = if full {
            hits == 0
        } else {
            hits.abs_diff(5_000) < 500
        };
        assert!(fair, "{at}: {hits}");
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Request(u64),
    End(usize, u8),
    Wait(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any::<u64>().prop_map(Step::Request),
        4 => (0usize..5, any::<u8>()).prop_map(|(at, how)| Step::End(at, how)),
        1 => (0u64..20_000).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Permits are never exceeded and never lost; a free permit on a sound replica is always found;
    /// never is the last one ejected, nor over half.
    #[test]
    fn permits_and_ejections_are_bounded(
        count in 1usize..5, newcomers in any::<bool>(), steps in prop::collection::vec(any_step(), 0..200),
    ) {
        let entry = if newcomers { Entry::Newcomer } else { Entry::Tried };
        let mut set: Vec<_> = (0..count).map(|_| replica(entry)).collect();
        let mut running = vec![0usize; count];
        let mut now = 0;
        for step in steps {
            match step {
                Step::Wait(ms) => now += ms,
                Step::Request(seed) => {
                    let room = set.iter().any(|e| e.free() > 0 && !e.is_ejected(at(now)));
                    let chosen = pick(&set, None, dice(seed), &POLICY, at(now));
                    prop_assert_eq!(chosen.is_some(), room);
                    if let Some(chosen) = chosen {
                        prop_assert!(set[chosen].begin());
                        running[chosen] += 1;
                    }
                }
                Step::End(which, how) => {
                    let which = which % count;
                    if running[which] == 0 {
                        continue;
                    }
                    running[which] -= 1;
                    let ended = match how % 3 {
                        0 => Ended::Failed,
                        1 => Ended::Void,
                        _ => Ended::Answered(Duration::from_millis(u64::from(how))),
                    };
                    let crowd = Crowd::of(&set, at(now));
                    set[which].end(ended, crowd, &POLICY, at(now));
                }
            }
            let crowd = Crowd::of(&set, at(now));
            prop_assert!(crowd.ejected * 2 <= count && crowd.ejected < count);
            for (endpoint, running) in set.iter().zip(&running) {
                prop_assert_eq!(endpoint.in_flight(), *running);
                prop_assert!(endpoint.in_flight() <= 4);
            }
        }
    }
}
