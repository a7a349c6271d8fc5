use preheat_api::report::{
    CheckReport, ErrorReport, MemoryReport, OutputReport, ProofReport, ReadinessReport,
};

use super::*;

fn case(name: &str, path: &str, first_ms: f64, steady_ms: f64) -> CaseReport {
    CaseReport {
        name: name.into(),
        shape: "1x16".into(),
        path: path.into(),
        instance: (path == "engine").then_some(0),
        rounds: 3,
        rounds_ms: vec![first_ms, steady_ms, steady_ms],
        first_ms,
        steady_ms,
        ratio: first_ms / steady_ms,
        settled: true,
        output: OutputReport {
            shape: [1, 384],
            finite: true,
            ok: true,
        },
    }
}

fn check(id: &str, what: &str, ok: bool, value: &str, limit: &str) -> CheckReport {
    CheckReport {
        id: id.into(),
        what: what.into(),
        ok,
        value: value.into(),
        limit: limit.into(),
    }
}

/// A replica that is ready and has everything that a report can show.
fn ready() -> ReadinessReport {
    let unsettled = CaseReport {
        settled: false,
        rounds: 20,
        ..case("batch", "http", 84.0, 11.0)
    };
    let second = CaseReport {
        instance: Some(1),
        ..case("short", "engine", 9.0, 3.1)
    };
    ReadinessReport {
        status: "ready".into(),
        detail: "ready, degraded: latency settled never met its limit".into(),
        model: "embedder".into(),
        warmup_seconds: 2.5,
        stage: "warm".into(),
        phase: "ready".into(),
        eta_ms: None,
        models: vec![ModelReport {
            name: "embedder".into(),
            phase: "ready".into(),
            engine: Some(EngineReport {
                name: "native-cpu".into(),
                dtype: "f32".into(),
                dim: 384,
                max_tokens: 256,
                simulated: false,
                accuracy: None,
            }),
            instances: 2,
            source: Some("./models/embedder".into()),
            revision: Some("620b26e3".into()),
            waterfall: Vec::new(),
            cases: vec![
                case("short", "engine", 9.2, 3.1),
                second,
                case("batch", "engine", 1234.0, 11.0),
                case("short", "http", 9.9, 3.4),
                unsettled,
            ],
            notes: vec!["case long: clamped to 256 tokens".into()],
            checks: vec![
                check("P1", "weights on the device", true, "on cpu", "loaded"),
                check("P2", "latency settled", false, "1 unsettled", "all"),
            ],
            proof: ProofReport {
                status: "degraded".into(),
                first_request_ms: Some(3.3),
                steady_ms: Some(3.1),
                capacity_rps: None,
                saved_ms: 73.0,
            },
            memory: MemoryReport {
                resident_bytes: 200_000_000,
                peak_bytes: 212_000_000,
                limit_bytes: 4_000_000_000,
                headroom: 0.947,
            },
            floor: None,
            error: None,
        }],
    }
}

#[test]
fn a_start_is_shown_with_all_that_was_run_and_checked() {
    let report = ready();
    let after = Some(Duration::from_millis(2_610));
    insta::assert_snapshot!(tables(&report, None) + &ending(&report, after));
    for width in [60, 80, 120] {
        let name = format!("a_start_in_{width}_columns");
        insta::assert_snapshot!(name, tables(&report, Some(width)));
    }
}

#[test]
fn a_failure_says_what_to_do_and_harms_no_terminal() {
    let mut report = ready();
    report.status = "not_ready".into();
    report.detail = "loading failed: too bad; give up".into();
    report.models[0].error = Some(ErrorReport {
        stage: "loading".into(),
        cause: "model.safetensors: \x1b[2Jnot a header".into(),
        remedy: "fetch it again".into(),
        exit_code: 12,
        retry: false,
    });
    insta::assert_snapshot!(ending(&report, None), @r"
    loading failed: model.safetensors: �[2Jnot a header
      what to do: fetch it again
      exit code: 12
    ");
}

#[test]
fn a_start_under_way_says_how_long_it_will_take() {
    let mut report = ready();
    report.status = "not_ready".into();
    report.detail = "warming: case 5 of 9, batch".into();
    report.eta_ms = Some(1_400);
    assert_eq!(
        ending(&report, None),
        "warming: case 5 of 9, batch, ready in about 1.40 s\n"
    );
    report.eta_ms = None;
    assert_eq!(ending(&report, None), "warming: case 5 of 9, batch\n");
}
