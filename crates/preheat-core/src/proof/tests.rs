use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::shape::ShapeBucket;
use crate::warmup::{CaseReport, OutputFacts};

const NOW: Moment = Moment::START;

fn criteria() -> Criteria {
    Criteria {
        max_first_ratio: 1.5,
        slack: Duration::from_micros(500),
        headroom: 0.2,
        slo_p95: Duration::from_millis(200),
        when_unsettled: WhenUnsettled::Degrade,
    }
}

fn ms(values: &[u64]) -> Vec<Duration> {
    values.iter().map(|&v| Duration::from_millis(v)).collect()
}

fn good() -> Evidence {
    Evidence {
        server: None,
        weights: WeightsEvidence {
            device: "cpu".into(),
            checksum_ok: Some(true),
            tokenizer_ready: true,
        },
        cases: vec![CaseReport {
            name: "1x16".into(),
            shape: ShapeBucket::new(1, 16).to_string(),
            path: Path::Engine,
            instance: Some(0),
            rounds: ms(&[9, 3, 3]),
            settled: true,
            output: OutputFacts {
                rows: 1,
                dim: 384,
                finite: true,
                ok: true,
            },
        }],
        missing: vec![],
        first_requests: vec![FirstRequests {
            path: Path::Http,
            first: ms(&[4, 4, 90]),
            steady: ms(&[3, 3, 3]),
        }],
        concurrency: Some(ConcurrencyEvidence {
            requests: 8,
            failed: 0,
            max_difference: 0.0,
            tolerance: 1e-5,
        }),
        memory: MemoryEvidence {
            peak_bytes: 50,
            limit_bytes: 100,
        },
        load: None,
    }
}

/// 0.4 ms more than 0.5 ms is noise, and its ratio alone would not say why it passes.
#[test]
fn what_counts_as_noise_is_part_of_the_limit() {
    let micros = |us| vec![Duration::from_micros(us); 3];
    let doors = [FirstRequests {
        path: Path::Http,
        first: micros(900),
        steady: micros(500),
    }];
    let check = criteria().first_request(&doors);
    assert!(check.ok);
    assert_eq!(check.value, "1.80 × steady (http)");
    assert_eq!(check.limit, "1.50 × steady, or 0.5 ms more");
}

type Spoil = fn(&mut Evidence);

/// Each way of being wrong, and what must come of it while there is time and at the last call.
const FAULTS: &[(&str, Spoil, &str, &str)] = &[
    (
        "wrong checksum",
        |e| e.weights.checksum_ok = Some(false),
        "failed",
        "failed",
    ),
    (
        "no tokenizer",
        |e| e.weights.tokenizer_ready = false,
        "failed",
        "failed",
    ),
    (
        "a case not run",
        |e| e.missing.push("1x64 on grpc".into()),
        "failed",
        "failed",
    ),
    ("nothing run", |e| e.cases.clear(), "failed", "failed"),
    (
        "unsettled",
        |e| e.cases[0].settled = false,
        "again",
        "degraded",
    ),
    (
        "slow first",
        |e| e.first_requests[0].first = ms(&[9, 9, 9]),
        "again",
        "degraded",
    ),
    (
        "door not measured",
        |e| e.first_requests.clear(),
        "failed",
        "failed",
    ),
    ("answers differ", |e| difference(e, 1.0), "failed", "failed"),
    (
        "answers are not numbers",
        |e| difference(e, f32::NAN),
        "failed",
        "failed",
    ),
    (
        "overlap not measured",
        |e| e.concurrency = None,
        "failed",
        "failed",
    ),
    ("memory", |e| e.memory.peak_bytes = 81, "failed", "failed"),
    ("errors under load", |e| load(e, 1, 10), "failed", "failed"),
    ("slow under load", |e| load(e, 0, 900), "again", "degraded"),
];

fn difference(evidence: &mut Evidence, by: f32) {
    if let Some(c) = &mut evidence.concurrency {
        c.max_difference = by;
    }
}

fn load(evidence: &mut Evidence, errors: usize, p95_ms: u64) {
    let none = LoadEvidence {
        requests: 100,
        errors: 0,
        p95: Duration::ZERO,
        rate: 50.0,
    };
    let load = evidence.load.get_or_insert(none);
    load.errors = load.errors.max(errors);
    load.p95 = load.p95.max(Duration::from_millis(p95_ms));
}

fn name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Proven(p) if p.degraded() => "degraded",
        Outcome::Proven(_) => "proven",
        Outcome::Again(_) => "again",
        Outcome::Failed(_) => "failed",
    }
}

/// What follows while there is time, and what when there is none.
fn outcomes(verdict: &Verdict) -> (&'static str, &'static str) {
    let last = match &verdict.outcome {
        Outcome::Again(last) => last,
        other => other,
    };
    (name(&verdict.outcome), name(last))
}

#[test]
fn good_evidence_makes_a_proof_that_remembers_its_figures() {
    let verdict = criteria().judge(&good(), NOW);
    let Outcome::Proven(proof) = verdict.outcome else {
        panic!("{verdict:?}")
    };
    assert!(!proof.degraded());
    assert_eq!(proof.steady(), Duration::from_millis(3));
    assert_eq!(
        proof.first(),
        Duration::from_millis(4),
        "one outlier in three does not count"
    );
    assert_eq!(Pass::from(proof).warmth(), Warmth::Proven);
}

#[test]
fn each_fault_keeps_the_gate_shut_or_is_plainly_marked() {
    for (what, spoil, early, last) in FAULTS {
        let mut evidence = good();
        spoil(&mut evidence);
        let verdict = criteria().judge(&evidence, NOW);
        assert_eq!(outcomes(&verdict), (*early, *last), "{what}");
    }
}

#[test]
fn by_setting_an_unsettled_replica_fails() {
    let criteria = Criteria {
        when_unsettled: WhenUnsettled::Fail,
        ..criteria()
    };
    let mut evidence = good();
    evidence.cases[0].settled = false;
    assert_eq!(
        outcomes(&criteria.judge(&evidence, NOW)),
        ("again", "failed")
    );
}

#[test]
fn a_small_absolute_difference_is_never_held_against_a_fast_model() {
    let mut evidence = good();
    evidence.first_requests[0].first = vec![Duration::from_micros(400)];
    evidence.first_requests[0].steady = vec![Duration::from_micros(100)];
    assert_eq!(
        outcomes(&criteria().judge(&evidence, NOW)),
        ("proven", "proven")
    );
}

proptest! {
    /// Wrong output, errors and memory are never excused, whatever else is wrong with them.
    #[test]
    fn nothing_but_latency_is_ever_excused(
        faults in prop::collection::btree_set(0..FAULTS.len(), 1..4),
    ) {
        let mut evidence = good();
        let mut hard = false;
        // Those that take evidence away come last, so that the others have something to spoil.
        let mut order: Vec<_> = faults.into_iter().collect();
        order.sort_by_key(|&i| FAULTS[i].0.contains("not") || FAULTS[i].0.contains("nothing"));
        for index in order {
            let (_, spoil, early, _) = FAULTS[index];
            if evidence.cases.is_empty() || evidence.first_requests.is_empty() {
                break;
            }
            spoil(&mut evidence);
            hard |= early == "failed";
        }
        let (now, last) = outcomes(&criteria().judge(&evidence, NOW));
        prop_assert_eq!(now == "failed", hard);
        prop_assert_eq!(last == "failed", hard);
        prop_assert_ne!(now, "proven");
    }
}
