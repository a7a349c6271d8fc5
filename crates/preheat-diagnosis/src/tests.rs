//! What a log comes to, from its lines to its findings.

mod claims;
mod compiling;
mod containers;
mod events;
mod everyday;
mod failures;
mod lives;
mod loads;
mod others;
mod phrases;
mod processes;
mod requests;
mod rising;
mod streams;
mod told;
mod tries;

use super::sighting::EVIDENCE;
use super::*;

fn diagnose(log: &str) -> Report {
    let mut diagnosis = Diagnosis::new();
    for (number, text) in (1..).zip(log.lines()) {
        diagnosis.line(&Line {
            source: "log",
            pod: None,
            number,
            at: None,
            text,
        });
    }
    diagnosis.report()
}

fn ids(log: &str) -> Vec<&'static str> {
    let mut ids: Vec<_> = diagnose(log)
        .findings
        .iter()
        .map(|f| f.cause.about().id)
        .collect();
    ids.sort_unstable();
    ids
}

fn cost(report: &Report, cause: Cause) -> Option<f64> {
    report
        .findings
        .iter()
        .find(|f| f.cause == cause)
        .and_then(|f| f.cost_ms)
}

const COLD: &str = "\
2026-11-27T10:00:00.000Z INFO  loader    weights loaded in 1.8 s
2026-11-27T10:00:00.700Z INFO  loader    tokenizer loaded in 0.7 s
2026-11-27T10:00:00.800Z INFO  server    server ready, accepting traffic
2026-11-27T10:00:09.000Z INFO  server    first request received
2026-11-27T10:00:11.300Z INFO  cuda      context created (cuda context) in 2.3 s
2026-11-27T10:00:12.500Z INFO  nvrtc     kernel compilation took 1.2 s
2026-11-27T10:00:12.500Z WARN  model     sequence length 512 where warm-up ran 128
2026-11-27T10:05:00.000Z WARN  metrics   p95 1450 ms for five minutes against 120 ms steady
";

#[test]
fn a_cold_first_request_is_taken_apart() {
    for log in [
        COLD,
        "weights 1.8 s and tokenizer 0.7 s at start; at first request CUDA context 2.3 s, kernel compilation 1.2 s, sequence length 512 where 128 was warmed; p95 1450 ms for five minutes against 120 ms steady",
        "[startup] loaded model weights (1.8s)\n[startup] tokenizer init 0.7s\n[startup] ready: true\n[request 1] first request: CUDA context init 2.3s\n[request 1] first request: compiling kernels 1.2s\n[request 1] seq_len=512 (warm-up only covered seq_len=128)\n[metrics] p95=1450ms\n[metrics] p95 steady=120ms",
    ] {
        let report = diagnose(log);
        for (cause, ms) in [
            (Cause::WeightsAtStart, 1800.0),
            (Cause::TokenizerAtStart, 700.0),
            (Cause::CudaContext, 2300.0),
            (Cause::Kernels, 1200.0),
            (Cause::WarmedByTraffic, 1330.0),
        ] {
            assert_eq!(cost(&report, cause), Some(ms), "{cause:?} {report:#?}");
        }
        assert!(
            report
                .findings
                .iter()
                .any(|f| f.cause == Cause::UncoveredLength),
            "{report:#?}"
        );
        assert_eq!(
            report.first_request,
            FirstRequest {
                now_ms: Some(3620.0),
                after_ms: Some(120.0)
            }
        );
        let plan = Plan {
            start_ms: Some(1800.0 + 2300.0 + 1200.0),
            lengths: vec![512],
        };
        assert_eq!(report.plan, plan, "{log}");
        let context = report
            .findings
            .iter()
            .find(|f| f.cause == Cause::CudaContext);
        assert_eq!(context.and_then(|f| f.after_ms), Some(1320.0));
    }
}

#[test]
fn evidence_names_the_line() {
    let report = diagnose(COLD);
    let early = report
        .findings
        .iter()
        .find(|f| f.cause == Cause::ReadyTooEarly)
        .expect("found");
    assert_eq!(
        (early.evidence[0].line, early.evidence[0].source.as_str()),
        (3, "log")
    );
}

#[test]
fn what_many_programs_write_is_understood() {
    for (log, want) in [
        (
            "[7] Loading model /m\n[8] Loading model /m\n[7] Model loaded in 12.1s\n[8] Model loaded in 12.4s",
            &["double-load-by-workers"][..],
        ),
        (
            "[7] Loading model /m\n[7] Model loaded\n[8] Loading model /m\n[8] Model loaded",
            &[],
        ),
        (
            "INFO ready\nINFO request 1: loading tokenizer\nINFO request 1: tokenizer loaded in 850ms",
            &["readiness-too-early", "tokenizer-at-first-request"],
        ),
        (
            "[server] ready\n[req] id=1 seq_len=512 latency=1450ms\n[req] id=2 latency=130ms\n[req] id=3 latency=121ms",
            &["readiness-too-early", "warmed-by-traffic"],
        ),
        (
            "[warmup] seq_len=128 ok 40ms\n[server] ready\nhandling request seq_len=512",
            &["length-not-warmed"],
        ),
        (
            "WARNING Triton kernel JIT compilation during inference: k. Consider extending warmup to cover this shape",
            &["kernel-compilation-at-first-request", "length-not-warmed"],
        ),
        (
            "INFO cache warmed 128 entries of 512\nERROR payment: connection refused by gateway",
            &[],
        ),
    ] {
        assert_eq!(ids(log), want, "{log}");
    }
}

#[test]
fn text_that_nobody_knows_yields_nothing() {
    for text in [
        "",
        "lorem ipsum dolor sit amet",
        "user 512 logged in at 10:00:00",
        "\u{0}\u{1}\u{fffd}\u{fffd}",
        "GET /ready HTTP/1.1 200",
        "{\"a\":1}",
    ] {
        assert_eq!(ids(text), [""; 0], "{text}");
    }
}

#[test]
fn whatever_comes_is_kept_within_bounds() {
    let mut diagnosis = Diagnosis::new();
    for number in 0..2_000 {
        let text = format!(
            "pod-{number} | first request: loading model weights, sequence length {number} took {number} ms, warm-up"
        );
        diagnosis.line(&Line {
            source: "log",
            pod: None,
            number,
            at: None,
            text: &text,
        });
    }
    assert!(diagnosis.streams.len() <= STREAMS + 1);
    let report = diagnosis.report();
    assert!(report.findings.iter().all(|f| f.evidence.len() <= EVIDENCE));
}

#[test]
fn settings_tell_whether_warm_up_is_skipped() {
    for (line, skipped) in [
        ("args: skip_server_warmup=True, port=1", true),
        ("args: skip_server_warmup=False, port=1", false),
        ("{'model_warmup': False}", true),
        ("warmup: true", false),
        (
            "warming up - please wait ... (--no-warmup to disable)",
            false,
        ),
    ] {
        let want: &[&str] = if skipped { &["warm-up-skipped"] } else { &[] };
        assert_eq!(ids(line), want, "{line}");
    }
}

#[test]
fn what_is_denied_advised_or_explained_did_not_happen() {
    for line in [
        "INFO warm-up finished failed=0",
        "* Fixed: the container was OOMKilled when many texts came at once",
        "Docs: how to avoid \"address already in use\"",
        "usage: server [--skip-warmup]",
        "  --skip-warmup      do not warm the model up",
        "2026-11-27 11:59:59 INFO oom_kill 0",
    ] {
        assert_eq!(ids(line), [""; 0], "{line}");
    }
    for (line, want) in [
        ("INFO warm-up finished failed=2", "warm-up-failed"),
        ("asr-0   0/1   OOMKilled   0   41s", "out-of-memory"),
        ("Killed", "out-of-memory"),
        ("run.sh: line 3:  7 Killed   python app.py", "out-of-memory"),
    ] {
        assert_eq!(ids(line), [want], "{line}");
    }
}
