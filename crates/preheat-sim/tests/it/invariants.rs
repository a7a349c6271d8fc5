//! Conservation, permits, the maximum, warmth; and the same seed giving the same outcome.

use std::time::Duration;

use preheat_core::pool::PoolSize;
use preheat_sim::{
    Failures, Gate, Holding, Outcome, PreheatOptions, Probation, Promotion, Scenario, Shape,
    Strategy, run,
};

use crate::fleet::{part, scenario, secs};

/// Another fleet and another day for each seed.
fn any(seed: u64) -> Scenario {
    let pick = |of: u64, purpose: u64| {
        let x = (seed ^ (purpose << 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let x = (x ^ (x >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (x >> 33) % of
    };
    let rate = 5.0 + pick(120, 1) as f64;
    let second = match pick(3, 2) {
        0 => Shape::Steady(rate * 3.0),
        1 => Shape::Ramp {
            from: rate,
            to: rate * 4.0,
        },
        _ => Shape::Bursts {
            base: 0.0,
            peak: rate * 2.0,
            every: secs(15.0),
            length: secs(4.0),
        },
    };
    let mut scenario = scenario(vec![
        part("first", 10.0, Shape::Steady(rate)),
        part("second", 20.0, second),
    ]);
    scenario.fleet.max = 1 + pick(8, 3) as usize;
    scenario.fleet.begin = (pick(3, 4) as usize).min(scenario.fleet.max);
    scenario.fleet.burst = (pick(2, 5) == 0).then_some(rate * 3.0);
    scenario.fleet.starting_at_once = 1 + pick(4, 6) as usize;
    if pick(3, 7) == 0 {
        scenario.fleet.min = 0;
        scenario.fleet.linger = Some(secs(3.0));
    }
    if pick(2, 8) == 0 {
        scenario.failures = Failures {
            starts: 0.3,
            crashes_per_hour: 400.0,
        };
    }
    scenario
}

fn strategies() -> Vec<Strategy> {
    let preheat = PreheatOptions::default();
    vec![
        Strategy::Preheat(preheat),
        Strategy::Preheat(PreheatOptions {
            spares: Some(PoolSize::Fixed(1)),
            hold: Holding::Endless,
            ..preheat
        }),
        Strategy::Preheat(PreheatOptions {
            gate: Gate::Loaded,
            probation: Probation::Always,
            promotion: Promotion::Tick,
            ..preheat
        }),
        Strategy::Preheat(PreheatOptions::UNPROTECTED),
        Strategy::Knative(Gate::Loaded),
        Strategy::RayServe(Gate::Warmed),
        Strategy::Hpa(Gate::Loaded),
        Strategy::Fixed(2, Gate::Warmed),
    ]
}

fn sound(scenario: &Scenario, strategy: &Strategy, outcome: &Outcome) {
    let whole = &outcome.whole;
    let context = || {
        let seed = outcome.seed;
        format!("{} seed {seed}: {:?}", strategy.name(), outcome.violations)
    };
    assert!(outcome.violations.is_empty(), "{}", context());
    assert_eq!(outcome.unanswered, 0, "{}", context());
    let ended = whole.answered + whole.refused + whole.failed;
    assert_eq!(whole.arrived, ended, "{}", context());
    assert!(outcome.most_replicas <= scenario.fleet.max, "{}", context());
    let parts: u64 = outcome.parts.iter().map(|part| part.arrived).sum();
    assert_eq!(parts, whole.arrived, "{}", context());
}

#[test]
fn no_request_is_lost_and_none_meets_a_cold_replica_of_ours() {
    for seed in 0..1_000 {
        let scenario = any(seed);
        let strategy = Strategy::Preheat(PreheatOptions::default());
        let outcome = run(&scenario, &strategy, seed);
        sound(&scenario, &strategy, &outcome);
        assert_eq!(outcome.whole.cold, 0, "seed {seed}");
    }
}

#[test]
fn every_strategy_keeps_the_books_straight() {
    for seed in 0..60 {
        let scenario = any(seed);
        for strategy in strategies() {
            sound(&scenario, &strategy, &run(&scenario, &strategy, seed));
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_outcome_and_another_does_not() {
    for strategy in strategies() {
        let scenario = any(3);
        let outcome = run(&scenario, &strategy, 3);
        assert_eq!(outcome, run(&scenario, &strategy, 3));
        assert_ne!(outcome.whole, run(&scenario, &strategy, 4).whole);
    }
}

#[test]
fn strategies_are_given_the_same_traffic() {
    let arrived: Vec<_> = strategies()
        .iter()
        .map(|strategy| run(&any(5), strategy, 5).whole.arrived)
        .collect();
    assert!(
        arrived.windows(2).all(|pair| pair[0] == pair[1]),
        "{arrived:?}"
    );
}

/// A request on a replica that crashes is tried once more and costs its client nothing but time.
#[test]
fn crashes_lose_nobody_while_somebody_is_warm() {
    let mut scenario = scenario(vec![part("an hour", 3_600.0, Shape::Steady(40.0))]);
    scenario.fleet.begin = 3;
    scenario.fleet.burst = Some(120.0);
    scenario.failures.crashes_per_hour = 6.0;
    let outcome = run(&scenario, &Strategy::Preheat(PreheatOptions::default()), 1);
    assert!(outcome.crashes > 10 && outcome.whole.retried > 10);
    assert_eq!((outcome.whole.failed, outcome.whole.cold), (0, 0));
    assert!(outcome.whole.refused < outcome.whole.arrived / 1_000);
}

/// Never more starts than the load needs, one more at most. Knative's rules take what waits for a
/// cold start as load: how far that goes is chance, so it is their median that is compared.
#[test]
fn a_step_asks_for_what_it_needs_and_no_more() {
    let mut theirs = Vec::new();
    for seed in 0..20 {
        let mut scenario = scenario(vec![
            part("before", 60.0, Shape::Steady(30.0)),
            part("after", 60.0, Shape::Steady(180.0)),
        ]);
        scenario.fleet.max = 40;
        let options = PreheatOptions {
            spares: Some(PoolSize::Fixed(0)),
            ..PreheatOptions::default()
        };
        let outcome = run(&scenario, &Strategy::Preheat(options), seed);
        // 180 a second at 70 % of 49 a second each.
        assert!(
            outcome.most_wanted <= 7,
            "seed {seed}: {}",
            outcome.most_wanted
        );
        let knative = run(&scenario, &Strategy::Knative(Gate::Warmed), seed);
        theirs.push(knative.most_wanted);
    }
    theirs.sort_unstable();
    assert!(theirs[theirs.len() / 2] > 3 * 7, "{theirs:?}");
}

#[test]
fn from_zero_everybody_is_held_and_answered() {
    let mut scenario = scenario(vec![
        part("silence", 60.0, Shape::Steady(0.0)),
        part("someone", 30.0, Shape::Steady(8.0)),
    ]);
    scenario.fleet.min = 0;
    scenario.fleet.begin = 0;
    scenario.fleet.linger = Some(Duration::from_secs(10));
    let outcome = run(&scenario, &Strategy::Preheat(PreheatOptions::default()), 2);
    assert_eq!(outcome.series[outcome.series.len() / 2].state.active, 0);
    let whole = &outcome.whole;
    assert_eq!((whole.failed, whole.cold), (0, 0));
    // Once the queue from zero is gone, a burst on the one replica may be told to come back.
    assert!(whole.refused * 100 <= whole.arrived, "{whole:?}");
    // One start is 7 s to loaded and 5 × (0.6 + 3 × 0.08) s to warm.
    assert!(
        (secs(11.0)..secs(12.0)).contains(&whole.longest),
        "{:?}",
        whole.longest
    );
}
