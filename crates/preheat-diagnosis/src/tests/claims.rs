//! Claims of readiness, in whatever form, and loads that requests wait for behind them.

use super::ids;
use crate::{Diagnosis, input};

/// What is found in a text as a whole.
fn read(text: &str) -> Vec<&'static str> {
    let mut diagnosis = Diagnosis::new();
    input::read("given.txt", text.as_bytes(), &mut diagnosis).expect("it is read");
    let findings = diagnosis.report().findings;
    let mut ids: Vec<_> = findings.iter().map(|f| f.cause.about().id).collect();
    ids.sort_unstable();
    ids
}

const LAZY: [&str; 2] = ["model-loaded-at-first-request", "readiness-too-early"];

#[test]
fn what_a_readiness_probe_asks_is_a_claim_once_it_is_answered() {
    let pod = |path: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\nspec:\n  containers:\n    - name: a\n      image: a:1\n      readinessProbe:\n        httpGet: {{path: {path}, port: 8000}}\n\n"
        )
    };
    let log = "$ kubectl logs a\n\
               INFO:     Application startup complete.\n\
               INFO:     10.42.1.1:38122 - \"GET /health HTTP/1.1\" 200 OK\n\
               2025-10-30 12:01:44.020 first use, loading model\n\
               2025-10-30 12:01:51.377 model loaded (5.40 s)\n\
               INFO:     10.42.3.17:40094 - \"POST /intent HTTP/1.1\" 200 OK\n";
    for (path, want) in [("/health", &LAZY[..]), ("/ready", &LAZY[..1])] {
        assert_eq!(read(&(pod(path) + log)), want, "{path}");
    }
    assert_eq!(read(log), LAZY[..1]);
}

#[test]
fn who_asks_at_a_console_is_told_of_a_claim() {
    let log = |asked: &str, answer: &str| {
        format!(
            "INFO Server listening at http://127.0.0.1:8000\n$ {asked}\n{answer}\n\
             INFO first request: loading model\nINFO first request: model loaded in 4.1 s\n"
        )
    };
    let curl = "curl -s -w \"%{http_code}\\n\" localhost:8000/readyz";
    for (asked, answer, want) in [
        (curl, "{\"status\":\"ready\"}  200", &LAZY[..]),
        (curl, "200", &LAZY[..]),
        (curl, "503", &LAZY[..1]),
        ("curl -s localhost:8000/rank", "200", &LAZY[..1]),
    ] {
        assert_eq!(ids(&log(asked, answer)), want, "{asked} {answer}");
    }
}

/// A start goes on for as long as whoever asks is told so, whatever is run in it.
#[test]
fn nothing_is_served_while_the_readiness_probe_is_refused() {
    let log = |status: &str| {
        format!(
            "INFO:     Application startup complete.\n\
             INFO:     127.0.0.1:51028 - \"GET /v2/health/ready HTTP/1.1\" {status}\n\
             2026-12-01 00:02:13,051 vec weights read in 26.48s\n\
             2026-12-01 00:02:13,545 vec first encodes done in 0.49s\n\
             INFO:     127.0.0.1:44200 - \"GET /v2/health/ready HTTP/1.1\" 200 OK\n\
             INFO:     127.0.0.1:44218 - \"POST /v2/infer HTTP/1.1\" 200 OK\n"
        )
    };
    assert_eq!(ids(&log("400 Bad Request")), [""; 0]);
    assert_eq!(ids(&log("503 Service Unavailable")), [""; 0]);
    assert_eq!(ids(&log("200 OK")), LAZY);
}

/// It had begun before anybody asked, so that it is the start's, which was claimed to be over.
#[test]
fn a_load_that_goes_on_behind_a_claim_makes_that_early() {
    let log = |took: &str| {
        format!(
            "{{\"ts\":\"2026-11-30 23:53:16,038\",\"msg\":\"tag1@vm ready.\",\"logger\":\"celery.apps.worker\"}}\n\
             {{\"ts\":\"2026-11-30 23:53:16,542\",\"msg\":\"Task tagger.tag[a7d238ba-f704-4716-8f88-2e6a56897dd9] received\"}}\n\
             {{\"ts\":\"2026-11-30 23:53:37,361\",\"msg\":\"model loaded, took {took}s\"}}\n\
             {{\"ts\":\"2026-11-30 23:53:37,566\",\"msg\":\"Task tagger.tag[a7d238ba-f704-4716-8f88-2e6a56897dd9] succeeded in 0.19s: 7\"}}\n"
        )
    };
    assert_eq!(
        read(&log("21.5")),
        ["readiness-too-early", "weights-at-start"]
    );
    assert_eq!(read(&log("20.4")), LAZY);
    assert_eq!(read(&log("20.4").replace("@vm", "@node-3")), LAZY);
}

/// Its health is that of workers that have loaded, and what is compiled once more was compiled before.
#[test]
fn a_recompilation_tells_what_the_slow_first_request_did() {
    let log = |server: &str, warm: &str, first: &str| {
        let scored = |len: u32, ms: &str| format!("INFO worker | scored len={len} in {ms} ms\n");
        format!(
            "2026-11-30 23:50:39,691 - Main[7] - {server} - INFO - Swagger UI is available at http://127.0.0.1:80/docs\n             {warm}INFO:     127.0.0.1:43892 - \"GET /health HTTP/1.1\" 200 OK\n{}{}{}{}\
             V1130 23:51:01.693000 15350 guards.py:6374] [0/1] [__recompiles] Recompiling function forward in a.py:16\n{}",
            scored(32, first),
            scored(32, "1"),
            scored(32, "1"),
            scored(32, "1"),
            scored(48, "4880")
        )
    };
    let (again, kernels) = (
        "recompilation-on-new-shape",
        "kernel-compilation-at-first-request",
    );
    let (early, traffic) = ("readiness-too-early", "warmed-by-traffic");
    let warm = "INFO warm-up seq_len=32 done in 21.1 s\n";
    for (server, warm, first, want) in [
        (
            "litserve.server",
            "",
            "21420",
            &[kernels, early, again, traffic][..],
        ),
        ("app.server", "", "21420", &[kernels, again, traffic]),
        ("litserve.server", "", "2", &[again]),
        ("litserve.server", warm, "2", &["length-not-warmed", again]),
    ] {
        assert_eq!(
            ids(&log(server, warm, first)),
            want,
            "{server} {warm} {first}"
        );
    }
}

#[test]
fn products_that_are_tuned_before_anybody_is_answered_are_of_one_request() {
    let tuned = |shape: &str| {
        format!(
            "AUTOTUNE mm({shape})\nSingleProcess AUTOTUNE benchmarking takes 3.1 seconds and 2.6 seconds precompiling for 20 choices\n"
        )
    };
    let log = format!(
        "INFO ready\n{}{}INFO POST /v1/segment 200 51230.8 ms\n",
        tuned("4096x768, 768x3072"),
        tuned("4096x3072, 3072x768")
    );
    assert_eq!(
        ids(&log),
        ["kernel-compilation-at-first-request", "readiness-too-early"]
    );
}

#[test]
fn a_first_request_is_sharply_slower_where_warm_up_is_switched_off() {
    let log = |skips: &str, first: &str| {
        let scored = |ms: &str| format!("INFO scored chars=30 ms={ms}\n");
        let steady: String = ["7.4", "2.2", "2.0", "1.9", "2.1"].map(scored).concat();
        format!(
            "{skips}INFO service is ready for requests\n{}{steady}",
            scored(first)
        )
    };
    let off = "WARN TONE_SKIP_WARMUP=1: warm-up is switched off\n";
    let all = [
        "readiness-too-early",
        "warm-up-skipped",
        "warmed-by-traffic",
    ];
    assert_eq!(ids(&log(off, "65.5")), all);
    assert_eq!(ids(&log(off, "12.5")), ["warm-up-skipped"]);
    assert_eq!(ids(&log("", "65.5")), [""; 0]);
}
