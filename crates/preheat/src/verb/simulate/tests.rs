//! What the shipped scenarios show, whatever the seed; and how it reads.

use std::path::PathBuf;

use insta::assert_snapshot;
use preheat_api::simulation::RunReport;

use super::*;

fn shipped(name: &str, seed: u64) -> SimulationReport {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/simulate");
    let text = std::fs::read_to_string(folder.join(name)).unwrap();
    let mut file = scenario::parse(&text, name).unwrap();
    file.seed = seed;
    simulate(&file, Some(&folder), false).unwrap()
}

fn of<'a>(report: &'a SimulationReport, strategy: &str) -> &'a RunReport {
    let found = report.runs.iter().find(|run| run.strategy == strategy);
    found.unwrap_or_else(|| panic!("{strategy} among {:?}", names(report)))
}

fn names(report: &SimulationReport) -> Vec<&str> {
    report
        .runs
        .iter()
        .map(|run| run.strategy.as_str())
        .collect()
}

fn sound(report: &SimulationReport) {
    for run in &report.runs {
        assert!(
            run.violations.is_empty(),
            "{}: {:?}",
            run.strategy,
            run.violations
        );
    }
}

#[test]
fn a_measured_replica_is_named_in_the_report() {
    let text = include_str!("../../../../../examples/simulate/spike.toml");
    let mut file = scenario::parse(text, "spike.toml").unwrap();
    let report = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/report.json");
    measured(&mut file, report).unwrap();
    assert_eq!(file.name, "one to six: all-MiniLM-L6-v2");
    let told = format!(" The replica is all-MiniLM-L6-v2, as measured: {report}.");
    assert!(file.about.ends_with(&told), "{}", file.about);
    let milliseconds = file.replica.service.median.0.as_secs_f64() * 1e3;
    assert!(milliseconds < 10.0, "{milliseconds}");
    assert_eq!(text::time(milliseconds), format!("{milliseconds:.1} ms"));
}

#[test]
fn a_cold_newcomer_hurts_twenty_users_and_a_warm_spare_none() {
    for seed in [1, 2] {
        let report = shipped("7b.toml", seed);
        sound(&report);
        let bare = of(&report, "unprotected");
        let slow = bare.newcomer_ms.iter().filter(|ms| **ms >= 1_200.0).count();
        assert!(
            (15..=25).contains(&slow),
            "seed {seed}: {:?}",
            bare.newcomer_ms
        );
        let first = bare.newcomer_ms[..4].iter();
        assert!(
            first.copied().all(|ms| ms >= 1_200.0),
            "the first of each instance"
        );
        let gated = of(&report, "preheat");
        let whole = &gated.whole;
        assert_eq!(
            (whole.over_slo, whole.cold, whole.refused, whole.failed),
            (0, 0, 0, 0)
        );
    }
}

#[test]
fn a_computed_pool_serves_a_step_as_before_and_a_queue_fed_autoscaler_does_not() {
    for seed in [1, 2, 3] {
        let report = shipped("step.toml", seed);
        sound(&report);
        let [before, after] = [0, 1].map(|part| of(&report, "preheat").parts[part].clone());
        assert!(
            after.p95_ms <= 1.1 * before.p95_ms,
            "seed {seed}: {after:?}"
        );
        // Of thirty thousand, one or two may be in the service time's own tail.
        assert!(
            after.over_slo <= 2 && after.p99_ms < 200.0,
            "seed {seed}: {after:?}"
        );
        assert_eq!((after.refused, after.failed), (0, 0), "seed {seed}");
        let p95 = |name: &str| of(&report, name).parts[1].p95_ms;
        let hand_set = p95("preheat, 2 spares, promoted at the next tick, endless queue");
        assert!(hand_set > 10.0 * after.p95_ms, "seed {seed}: {hand_set}");
        assert!(p95("Knative") > 1.5 * hand_set && p95("Ray Serve") > p95("Knative"));
        let asked = of(&report, "Knative").most_wanted;
        assert!(
            asked > 100 * of(&report, "preheat").most_wanted,
            "seed {seed}: {asked}"
        );
        let p99 = |name: &str| of(&report, name).parts[1].p99_ms;
        let by_tick = p99("preheat, 5 spares, promoted at the next tick, endless queue");
        assert!(
            by_tick > 2.0 * p99("preheat, 5 spares"),
            "seed {seed}: {by_tick}"
        );
    }
}

#[test]
fn a_rise_to_six_stays_under_the_objective_with_warm_replicas_only() {
    for seed in [1, 2] {
        let report = shipped("spike.toml", seed);
        sound(&report);
        let [bare, warm] = ["unprotected", "preheat"].map(|name| of(&report, name));
        let worst = |run: &RunReport| run.parts.iter().map(|p| p.p95_ms).fold(0.0, f64::max);
        assert!(worst(bare) > 400.0 && worst(warm) < 200.0, "seed {seed}");
        assert_eq!(warm.whole.cold, 0);
    }
}

#[test]
fn ready_means_warm_or_users_find_out() {
    for seed in [1, 2] {
        let report = shipped("bad-gate.toml", seed);
        sound(&report);
        let gated = of(&report, "preheat");
        assert!(gated.crashes > 0 && gated.whole.retried > 0);
        assert_eq!(
            (gated.whole.cold, gated.whole.failed),
            (0, 0),
            "seed {seed}"
        );
        for bare in ["unprotected", "Kubernetes HPA, ready when loaded"] {
            assert!(of(&report, bare).whole.cold >= 24, "seed {seed}: {bare}");
        }
        assert!(
            of(&report, "Kubernetes HPA, ready when loaded")
                .whole
                .failed
                > 0
        );
    }
}

#[test]
fn to_zero_costs_less_and_loses_nobody() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/simulate");
    let text = std::fs::read_to_string(folder.join("scale-to-zero.toml")).unwrap();
    let file = scenario::parse(&text, "x").unwrap();
    let report = simulate(&file, None, true).unwrap();
    sound(&report);
    let gated = of(&report, "preheat");
    assert_eq!((gated.whole.cold, gated.whole.failed), (0, 0));
    assert!(of(&report, "unprotected").whole.cold > 0);
    assert_snapshot!("plan", text::of(&report, None));
    for width in [60, 80, 120] {
        let name = format!("plan_in_{width}_columns");
        assert_snapshot!(name, text::of(&report, Some(width)));
    }
    let lingers = report.plan.unwrap().lingers;
    let [never, soonest] = [&lingers[0], &lingers[1]];
    assert_eq!(never.linger_seconds, None);
    assert!(
        soonest.replica_hours < 0.6 * never.replica_hours,
        "{lingers:?}"
    );
    assert!(soonest.over_slo > never.over_slo);
}

#[test]
fn the_text_of_the_shipped_example() {
    assert_snapshot!(text::of(&shipped("7b.toml", 1), None));
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let [one, two] = [0, 1].map(|_| shipped("7b.toml", 9));
    assert_eq!(page::of(&one), page::of(&two));
    assert_eq!(one, two);
}

#[test]
fn a_page_needs_nothing_from_elsewhere_and_trusts_no_text() {
    let mut file = scenario::parse(SHIPPED, "x").unwrap();
    let evil = "</title><script>alert('1')</script>\"\u{1b}";
    file.name = evil.to_owned();
    file.about = evil.to_owned();
    file.traffic[0].name = evil.to_owned();
    let report = simulate(&file, None, true).unwrap();
    let page = page::of(&report);
    for word in [
        "<script", "http://", "https://", "src=", "@import", "url(", "\u{1b}",
    ] {
        assert!(!page.contains(word), "{word}");
    }
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    assert!(page.matches("<svg").count() >= 3 * report.runs.len() - 1);
    assert!(!text::of(&report, None).contains('\u{1b}'));
}

/// What the dashboard plays is what the scenarios give.
#[test]
fn shipped_traces_are_those_of_their_scenarios() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    for name in ["7b", "spike", "scale-to-zero", "bad-gate"] {
        let scenario = format!("examples/simulate/{name}.toml");
        let text = std::fs::read_to_string(root.join(&scenario)).unwrap();
        let file = scenario::parse(&text, name).unwrap();
        let resolved = scenario::resolve(&file, None).unwrap();
        let strategies = scenario::strategies(&file).unwrap();
        let trace = trace::of(&file, &resolved, &strategies).unwrap();
        let path = format!("web/src/traces/{name}.ndjson");
        assert!(
            std::fs::read_to_string(root.join(&path)).unwrap() == trace,
            "{path} is stale: run `preheat simulate {scenario} --trace {path}`"
        );
    }
}

#[test]
fn a_stretch_without_traffic_cannot_be_traced() {
    let text = "[[traffic]]\nrate = 1\nfor = \"10s\"\n[trace]\nfrom = \"10s\"\n";
    let file = scenario::parse(text, "x").unwrap();
    let resolved = scenario::resolve(&file, None).unwrap();
    let strategies = scenario::strategies(&file).unwrap();
    let failure = trace::of(&file, &resolved, &strategies).unwrap_err();
    assert!(failure.cause.contains("without traffic"), "{failure}");
}
