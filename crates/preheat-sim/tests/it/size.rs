//! Fleets of a size that no single machine has.

use preheat_sim::{PreheatOptions, Shape, Strategy, run};

use crate::fleet::{part, scenario};

/// A hundredth of the promised ten million requests, on all of the thousand replicas.
#[test]
fn a_thousand_replicas_are_a_matter_of_seconds() {
    let mut scenario = scenario(vec![part("day", 4.0, Shape::Steady(30_000.0))]);
    scenario.fleet.min = 900;
    scenario.fleet.begin = 900;
    scenario.fleet.max = 1_000;
    let outcome = run(&scenario, &Strategy::Preheat(PreheatOptions::default()), 1);
    assert!(outcome.whole.answered > 100_000, "{:?}", outcome.whole);
    assert!(outcome.violations.is_empty() && outcome.unanswered == 0);
    assert_eq!(outcome.whole.over, 0);
}
