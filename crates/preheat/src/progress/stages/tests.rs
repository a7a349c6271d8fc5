use preheat_core::{
    Check, CheckId, OutputFacts, Phase, Probes, ShapeBucket, WarmupReport, Waterfall,
};

use super::*;

const LOOK: Look = Look {
    colour: false,
    utf8: true,
};

fn at(ms: u64) -> Moment {
    Moment::after_start(Duration::from_millis(ms))
}

fn span(stage: &str, start: u64, took: u64, bytes: Option<u64>) -> Span {
    Span {
        stage: stage.into(),
        start: at(start),
        took: Duration::from_millis(took),
        bytes,
        cpu: None,
    }
}

/// What is known once these phases were entered, one each 100 ms.
fn facts(phases: &[&'static str], doing: Option<Doing>) -> Facts {
    let history = phases.iter().zip(0..).map(|(name, n)| (*name, at(n * 100)));
    let mut waterfall = Waterfall::default();
    for span in [
        span("start", 0, 4, None),
        span("fetch", 100, 100, Some(90_900_000)),
        span("weights", 200, 40, Some(90_900_000)),
        span("tokenizer", 200, 70, None),
        span("warm short", 300, 50, None),
    ] {
        waterfall.push(span);
    }
    let case = |path, first| CaseReport {
        name: "short".into(),
        shape: ShapeBucket::new(1, 16).to_string(),
        path,
        instance: None,
        rounds: [first, 3, 3].map(Duration::from_millis).to_vec(),
        settled: true,
        output: OutputFacts {
            rows: 1,
            dim: 4,
            finite: true,
            ok: true,
        },
    };
    Facts {
        phase: Phase::Starting,
        probes: Probes::of(&Phase::Starting, false),
        history: history.collect(),
        source: None,
        revision: None,
        engine: None,
        waterfall,
        warmup: WarmupReport {
            cases: vec![case(Path::Engine, 9), case(Path::Http, 90)],
            notes: Vec::new(),
        },
        checks: [true, false]
            .map(|ok| Check {
                id: CheckId::P2,
                what: "",
                ok,
                value: String::new(),
                limit: String::new(),
                latency_only: true,
            })
            .to_vec(),
        pass: None,
        saved: None,
        doing,
        planned_runs: 0,
    }
}

fn shown(facts: &Facts, now: u64) -> String {
    let show = |line: &Line| format!("{:?} {}\n", line.mark.unwrap(), line.text);
    lines(facts, at(now), LOOK).iter().map(show).collect()
}

#[test]
fn what_is_done_what_is_being_done_and_what_is_to_come() {
    let file = Doing::Fetching {
        file: "model.safetensors".into(),
        done: 45_000_000,
        total: Some(90_000_000),
    };
    let case = Doing::Case {
        number: 5,
        of: 9,
        name: "batch".into(),
        round: Some((2, Duration::from_millis(11))),
    };
    let mut all = String::new();
    for (phases, doing, now) in [
        (&["starting", "fetching"][..], Some(file), 140),
        (
            &["starting", "fetching", "loading", "warming"],
            Some(case),
            1_000,
        ),
        (
            &[
                "starting", "fetching", "loading", "warming", "proving", "ready",
            ],
            None,
            5_000,
        ),
    ] {
        all += &shown(&facts(phases, doing), now);
        all += "\n";
    }
    insta::assert_snapshot!(all);
}

#[test]
fn a_stage_that_failed_says_so_and_another_try_begins_anew() {
    let failed = ["starting", "fetching", "loading", "failed"];
    let marks = |phases: &[&'static str]| {
        let marks = lines(&facts(phases, None), at(9_000), LOOK);
        marks
            .iter()
            .map(|line| line.mark.unwrap())
            .collect::<Vec<_>>()
    };
    use Mark::{Done, Failed, Now, Todo};
    assert_eq!(marks(&failed), [Done, Failed, Todo, Todo]);
    let again = [&failed[..], &["fetching"]].concat();
    assert_eq!(marks(&again), [Now, Todo, Todo, Todo]);
    let interrupted = ["starting", "fetching", "draining", "stopped"];
    assert_eq!(marks(&interrupted), [Failed, Todo, Todo, Todo]);
}
