//! What is answered before machines are bought.

use preheat_core::pool::PoolSize;
use preheat_sim::{Gate, Shape, Strategy, plan, run};

use crate::fleet::{part, scenario};

/// A step that so many replicas can carry, and no fewer: each has 4 places of 80 ms.
fn step(most: usize, rate: f64) -> preheat_sim::Scenario {
    let parts = [("before", 10.0), ("after", rate)];
    let parts = parts.map(|(name, rate)| part(name, 10.0, Shape::Steady(rate)));
    let mut scenario = scenario(parts.into());
    scenario.fleet.max = most;
    scenario
}

fn fewest(scenario: &preheat_sim::Scenario) -> (usize, Vec<usize>) {
    let plans = plan::spares(scenario, 1);
    let fixed = |plan: &plan::SparePlan| match plan.spares {
        PoolSize::Fixed(count) => Some((count, plan.keeps_slo)),
        PoolSize::Auto => None,
    };
    let fixed: Vec<_> = plans.iter().filter_map(fixed).collect();
    let fewest = fixed
        .iter()
        .find(|(_, keeps)| *keeps)
        .expect("one is enough")
        .0;
    (fewest, fixed.iter().map(|(count, _)| *count).collect())
}

/// Of two hundred sizes not each is tried, and the one that is looked for is found.
#[test]
fn the_smallest_pool_that_is_enough_is_among_those_that_are_tried() {
    let scenario = step(200, 150.0);
    let (fewest, tried) = fewest(&scenario);
    assert!((2..8).contains(&fewest), "{fewest} of {tried:?}");
    assert!(tried.contains(&(fewest - 1)), "{fewest} of {tried:?}");
    assert!(tried.is_sorted() && tried.len() < 20, "{tried:?}");
}

/// The last step is a short one.
#[test]
fn all_that_the_maximum_leaves_room_for_is_tried() {
    let (_, tried) = fewest(&step(26, 150.0));
    assert_eq!(tried.last(), Some(&25));
}

#[test]
fn so_many_replicas_always_are_there_from_the_beginning() {
    let scenario = step(6, 60.0);
    let outcome = run(&scenario, &Strategy::Fixed(4, Gate::Loaded), 1);
    assert_eq!((outcome.whole.cold, outcome.most_replicas), (0, 4));
    assert!(
        outcome.whole.p95 < scenario.slo.threshold,
        "{:?}",
        outcome.whole
    );
}
