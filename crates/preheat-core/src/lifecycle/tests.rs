use proptest::prelude::*;

use super::*;
use crate::proof::{
    ConcurrencyEvidence, Criteria, Evidence, FirstRequests, MemoryEvidence, WeightsEvidence,
    WhenUnsettled,
};
use crate::shape::ShapeBucket;
use crate::warmup::{CaseReport, OutputFacts, Path};

fn settings(on_failure: OnFailure) -> LifecycleSettings {
    LifecycleSettings {
        skip_warmup: false,
        on_failure,
        warmup_timeout: Duration::from_secs(120),
    }
}

fn at(secs: u64) -> Moment {
    Moment::after_start(Duration::from_secs(secs))
}

/// A verdict over evidence that is good, of unsettled latency, or wrong.
fn verdict(settled: bool, right: bool) -> Verdict {
    let took = vec![Duration::from_millis(3); 3];
    let evidence = Evidence {
        server: None,
        weights: WeightsEvidence {
            device: "cpu".into(),
            checksum_ok: Some(right),
            tokenizer_ready: true,
        },
        cases: vec![CaseReport {
            name: "1x16".into(),
            shape: ShapeBucket::new(1, 16).to_string(),
            path: Path::Engine,
            instance: Some(0),
            rounds: took.clone(),
            settled,
            output: OutputFacts {
                rows: 1,
                dim: 2,
                finite: true,
                ok: true,
            },
        }],
        missing: vec![],
        first_requests: vec![FirstRequests {
            path: Path::Http,
            first: took.clone(),
            steady: took,
        }],
        concurrency: Some(ConcurrencyEvidence {
            requests: 1,
            failed: 0,
            max_difference: 0.0,
            tolerance: 0.0,
        }),
        memory: MemoryEvidence {
            peak_bytes: 1,
            limit_bytes: 10,
        },
        load: None,
    };
    let criteria = Criteria {
        max_first_ratio: 1.5,
        slack: Duration::ZERO,
        headroom: 0.2,
        slo_p95: Duration::from_secs(1),
        when_unsettled: WhenUnsettled::Degrade,
    };
    criteria.judge(&evidence, Moment::START)
}

fn failure() -> Failure {
    Failure::new(
        FailureKind::Load,
        &Phase::Loading,
        "no such file",
        "fetch it",
    )
}

fn opened(effects: &[Effect]) -> bool {
    effects.iter().any(|e| matches!(e, Effect::Open(_)))
}

#[test]
fn a_life_without_trouble() {
    let mut life = Lifecycle::new(settings(OnFailure::Hold));
    let events = [
        Event::Begun,
        Event::Fetched,
        Event::Loaded,
        Event::Warmed,
        Event::Judged(verdict(true, true)),
        Event::Drain,
        Event::Drained { cut: 0 },
    ];
    let mut effects = Vec::new();
    for (second, event) in (1..).zip(events) {
        effects.extend(life.step(event, at(second)));
    }
    let phases: Vec<_> = life.history().iter().map(|(name, _)| *name).collect();
    assert_eq!(phases, &Phase::NAMES[..8]);
    assert_eq!(life.history()[5], ("ready", at(5)));
    let [fetch, load, warm, prove, open, drain, exit] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(
        (fetch, load, warm),
        (&Effect::Fetch, &Effect::Load, &Effect::Warm)
    );
    assert_eq!(prove, &Effect::Prove);
    assert!(matches!(open, Effect::Open(pass) if pass.proof().is_some()));
    assert_eq!(drain, &Effect::Drain);
    assert_eq!(exit, &Effect::Exit(Exit::Drained));
}

#[test]
fn skipping_the_warm_up_opens_the_gate_with_a_pass_that_says_so() {
    let skip = LifecycleSettings {
        skip_warmup: true,
        ..settings(OnFailure::Hold)
    };
    let mut life = Lifecycle::new(skip);
    life.step(Event::Begun, at(1));
    life.step(Event::Fetched, at(2));
    let effects = life.step(Event::Loaded, at(3));
    let [Effect::Open(pass)] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(pass.warmth(), crate::Warmth::Skipped);
}

/// A replica that has come to proving at second 0, with 120 s for it.
fn proving() -> Lifecycle {
    let mut life = Lifecycle::new(settings(OnFailure::Hold));
    for event in [Event::Begun, Event::Fetched, Event::Loaded, Event::Warmed] {
        life.step(event, at(0));
    }
    life
}

fn degraded(effects: &[Effect]) -> bool {
    matches!(effects, [Effect::Open(pass)] if pass.warmth() == crate::Warmth::Degraded)
}

#[test]
fn unsettled_latency_is_measured_again_until_the_time_is_over() {
    let mut life = proving();
    let unsettled = || Event::Judged(verdict(false, true));
    for second in [20, 60, 119] {
        assert_eq!(life.step(unsettled(), at(second)), [Effect::Prove]);
    }
    assert!(degraded(&life.step(unsettled(), at(120))));
}

#[test]
fn an_attempt_cut_short_leaves_the_verdict_before_it() {
    let mut life = proving();
    life.step(Event::Judged(verdict(false, true)), at(60));
    assert!(degraded(&life.step(Event::TimedOut(failure()), at(120))));

    let mut life = proving();
    life.step(Event::TimedOut(failure()), at(120));
    assert_eq!(
        life.phase(),
        &Phase::Failed(failure()),
        "nothing was ever judged"
    );
}

#[test]
fn one_rewarm_at_a_time_and_none_for_ever() {
    let mut life = proving();
    life.step(Event::Judged(verdict(true, true)), at(1));
    assert_eq!(life.deadline(), None);
    assert_eq!(life.step(Event::Rewarm, at(10)), [Effect::Rewarm]);
    assert_eq!(life.step(Event::Rewarm, at(11)), []);
    assert_eq!(life.deadline(), Some(at(130)));
    assert_eq!(life.phase(), &Phase::Ready, "users are served meanwhile");
    assert!(opened(
        &life.step(Event::Judged(verdict(true, true)), at(12))
    ));
    assert_eq!(life.step(Event::Rewarm, at(13)), [Effect::Rewarm]);
}

#[test]
fn a_replica_that_fails_while_serving_answers_whom_it_let_in() {
    let mut life = Lifecycle::new(settings(OnFailure::Exit));
    for event in [Event::Begun, Event::Fetched, Event::Loaded, Event::Warmed] {
        life.step(event, at(0));
    }
    life.step(Event::Judged(verdict(true, true)), at(1));
    assert_eq!(life.step(Event::Failed(failure()), at(2)), [Effect::Drain]);
    let effects = life.step(Event::Drained { cut: 0 }, at(3));
    assert_eq!(effects, [Effect::Exit(Exit::Failed(failure()))]);
}

#[test]
fn what_follows_a_failure_is_the_users_choice() {
    let fail = |on_failure| {
        let mut life = Lifecycle::new(settings(on_failure));
        life.step(Event::Begun, at(1));
        let effects = life.step(Event::Failed(failure()), at(2));
        assert!(life.probes().liveness && !life.probes().readiness);
        (life, effects)
    };
    assert_eq!(fail(OnFailure::Hold).1, []);
    assert_eq!(
        fail(OnFailure::Exit).1,
        [Effect::Exit(Exit::Failed(failure()))]
    );

    let (mut life, effects) = fail(OnFailure::Retry);
    assert_eq!(effects, [Effect::RetryAfter(Duration::from_secs(1))]);
    for want in [2, 4, 8, 16, 30, 30] {
        assert_eq!(life.step(Event::RetryDue, at(3)), [Effect::Fetch]);
        let effects = life.step(Event::Failed(failure()), at(4));
        assert_eq!(effects, [Effect::RetryAfter(Duration::from_secs(want))]);
    }
}

#[test]
fn exit_codes_are_what_scripts_rely_on() {
    let codes = FailureKind::ALL.map(FailureKind::exit_code);
    assert_eq!(codes, [10, 11, 12, 13, 14, 15, 16, 17, 1]);
    assert_eq!(Exit::Drained.code(), 0);
    assert_eq!(Exit::Cut(3).code(), 17);
    assert_eq!(Exit::Failed(failure()).code(), 12);
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(Event::Begun),
        Just(Event::Fetched),
        Just(Event::Loaded),
        Just(Event::Warmed),
        (any::<bool>(), any::<bool>())
            .prop_map(|(settled, right)| Event::Judged(verdict(settled, right))),
        Just(Event::TimedOut(failure())),
        Just(Event::Failed(failure())),
        Just(Event::RetryDue),
        Just(Event::Rewarm),
        Just(Event::Drain),
        (0usize..3).prop_map(|cut| Event::Drained { cut }),
    ]
}

fn any_settings() -> impl Strategy<Value = LifecycleSettings> {
    let on_failure = prop_oneof![
        Just(OnFailure::Hold),
        Just(OnFailure::Exit),
        Just(OnFailure::Retry)
    ];
    (any::<bool>(), on_failure).prop_map(|(skip_warmup, f)| LifecycleSettings {
        skip_warmup,
        ..settings(f)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever happens in whatever order, the gate is open while the phase is ready, at most lingers
    /// while draining, and is opened by a good verdict or a skipped warm-up and by nothing else.
    #[test]
    fn the_gate_follows_the_phase(
        settings in any_settings(), events in prop::collection::vec(any_event(), 0..60),
    ) {
        let mut life = Lifecycle::new(settings);
        let mut open = false;
        let mut excusable = false;
        for (second, event) in (0..).zip(events) {
            excusable |= matches!(&event, Event::Judged(v) if matches!(v.outcome, Outcome::Again(_)));
            let excused = excusable && matches!(event, Event::TimedOut(_));
            let proven = matches!(&event, Event::Judged(v) if matches!(v.outcome, Outcome::Proven(_)));
            let skipped = settings.skip_warmup && event == Event::Loaded;
            let effects = life.step(event, at(second));
            prop_assert!(!opened(&effects) || proven || excused || skipped);
            open = (open || opened(&effects)) && !effects.contains(&Effect::Close);
            let ready = life.phase() == &Phase::Ready;
            let leaving = matches!(life.phase(), Phase::Draining | Phase::Stopped);
            prop_assert!(open == ready || (open && leaving));
            prop_assert_eq!(ready, life.probes().readiness);
        }
    }

    /// Draining is one way: after it, a replica never serves again and ends at most once.
    #[test]
    fn nothing_comes_back_from_draining(
        settings in any_settings(),
        before in prop::collection::vec(any_event(), 0..30),
        after in prop::collection::vec(any_event(), 0..30),
    ) {
        let mut life = Lifecycle::new(settings);
        for event in before.into_iter().chain([Event::Drain]) {
            life.step(event, at(1));
        }
        let mut exits = 0;
        for event in after {
            let effects = life.step(event, at(2));
            prop_assert!(effects.iter().all(|e| matches!(e, Effect::Exit(_))));
            exits += effects.len();
            prop_assert!(matches!(life.phase(), Phase::Draining | Phase::Stopped));
        }
        prop_assert!(exits <= 1);
    }

    /// History is in order of time and bounded.
    #[test]
    fn history_is_ordered_and_bounded(
        settings in any_settings(), events in prop::collection::vec(any_event(), 0..200),
    ) {
        let mut life = Lifecycle::new(settings);
        for (second, event) in (0..).zip(events) {
            life.step(event, at(second));
        }
        prop_assert!(life.history().len() <= HISTORY);
        prop_assert!(life.history().is_sorted_by_key(|(_, at)| *at));
        prop_assert_eq!(life.history().last().map(|(name, _)| *name), Some(life.phase().name()));
    }
}
