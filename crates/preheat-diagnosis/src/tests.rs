//! What a log comes to, from its lines to its findings.

use super::sighting::EVIDENCE;
use super::*;

fn diagnose(log: &str) -> Report {
    let mut diagnosis = Diagnosis::new();
    for (number, text) in (1..).zip(log.lines()) {
        diagnosis.line(&Line {
            source: "log",
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
fn the_same_work_at_start_is_no_finding() {
    let healthy = "\
INFO loader weights loaded in 1.8 s
INFO loader tokenizer loaded in 0.7 s
INFO cuda context initialised in 2.3 s (cuda context)
INFO nvrtc kernel compilation took 1.2 s
INFO warm-up: sequence length 512, 3 rounds
INFO server ready
INFO first request took 121 ms, steady 120 ms
INFO metrics p95 125 ms
";
    assert_eq!(ids(healthy), [""; 0]);
}

#[test]
fn time_stamps_tell_what_no_line_says() {
    let log = "\
INFO:     Started server process [7]
INFO:     Application startup complete.
2026-11-27 10:00:00,000 app Loading model from disk...
2026-11-27 10:00:04,500 app encoded 1 text
INFO:     10.0.0.9:4312 - \"POST /embed HTTP/1.1\" 200 OK
";
    let report = diagnose(log);
    assert_eq!(cost(&report, Cause::LazyModel), Some(4500.0), "{report:#?}");
}

#[test]
fn workers_that_load_one_after_the_other_are_not_lazy() {
    let log = "\
INFO:     Started parent process [1]
loading model weights
INFO:     Started server process [8]
INFO:     Application startup complete.
loading model weights
INFO:     Started server process [9]
INFO:     Application startup complete.
INFO:     10.0.0.9:4312 - \"POST /embed HTTP/1.1\" 200 OK
";
    assert_eq!(ids(log), ["double-load-by-workers"]);
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
            &["warmed-by-traffic"],
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
            number,
            at: None,
            text: &text,
        });
    }
    assert!(diagnosis.streams.len() <= STREAMS + 1);
    let report = diagnosis.report();
    assert!(report.findings.iter().all(|f| f.evidence.len() <= EVIDENCE));
}

fn container() -> Container {
    let probe = |kind, window_s| {
        Some(Probe {
            kind,
            window_s,
            line: 9,
        })
    };
    Container {
        name: "embedder".into(),
        source: "pod.yaml".into(),
        line: 5,
        image: "registry.example/embedder:1".into(),
        startup: probe(ProbeKind::Http("/startupz".into()), 60.0),
        readiness: probe(ProbeKind::Http("/readyz".into()), 2.0),
        liveness: probe(ProbeKind::Http("/livez".into()), 30.0),
        is_served: true,
        ..Container::default()
    }
}

fn found(change: impl FnOnce(&mut Container), start_ms: Option<f64>) -> Vec<Cause> {
    let (mut container, mut diagnosis) = (container(), Diagnosis::new());
    change(&mut container);
    diagnosis.container(container);
    if let Some(ms) = start_ms {
        let evidence = Evidence {
            source: "log".into(),
            line: 1,
            text: "ready".into(),
        };
        diagnosis.start_took(ms, evidence);
    }
    diagnosis
        .report()
        .findings
        .iter()
        .map(|finding| finding.cause)
        .collect()
}

#[test]
fn every_check_of_containers_finds_its_cause_and_nothing_else() {
    assert_eq!(found(|_| {}, None), []);
    assert_eq!(found(|_| {}, Some(59e3)), []);
    assert_eq!(found(|_| {}, Some(61e3)), [Cause::ProbeWindow]);
    assert_eq!(found(|c| c.startup = None, None), [Cause::LivenessKills]);
    assert_eq!(found(|c| c.readiness = None, None), [Cause::ReadyTooEarly]);
    let command = |words: &'static str| {
        move |c: &mut Container| c.command = words.split(' ').map(str::to_owned).collect()
    };
    assert_eq!(
        found(command("uvicorn app:app --reload"), None),
        [Cause::DoubleLoadReloader]
    );
    assert_eq!(
        found(command("gunicorn app:app -w 4"), None),
        [Cause::DoubleLoadWorkers]
    );
    assert_eq!(
        found(command("gunicorn app:app --workers=4 --preload"), None),
        []
    );
    assert_eq!(
        found(command("server --model-id org/name"), None),
        [Cause::DownloadAtStart]
    );
    assert_eq!(found(command("server --model-id /models/name"), None), []);
    let env = |name: &'static str, value: &'static str| {
        move |c: &mut Container| {
            c.cpu_limit = Some(2.0);
            c.env.push((name.into(), value.into()));
        }
    };
    assert_eq!(
        found(env("SKIP_WARMUP", "true"), None),
        [Cause::WarmupSkipped]
    );
    assert_eq!(found(env("SKIP_WARMUP", "false"), None), []);
    assert_eq!(found(env("OMP_NUM_THREADS", "16"), None), [Cause::CpuLimit]);
    assert_eq!(found(env("OMP_NUM_THREADS", "2"), None), []);
    let pooled = |has_accelerator| {
        move |c: &mut Container| {
            c.image = "vllm/vllm-openai:1".into();
            (c.cpu_limit, c.has_accelerator) = (Some(8.0), has_accelerator);
        }
    };
    assert_eq!(found(pooled(false), None), [Cause::CpuLimit]);
    assert_eq!(found(pooled(true), None), []);
}

/// Where nothing is measured, a start that fetches its weights is given more time.
#[test]
fn a_download_makes_a_window_short() {
    let patient = |model: &'static str| {
        move |c: &mut Container| {
            c.startup = None;
            c.liveness = c.liveness.take().map(|probe| Probe {
                window_s: 90.0,
                ..probe
            });
            c.command = ["vllm", "serve", model].map(str::to_owned).to_vec();
        }
    };
    assert_eq!(found(patient("/models/one"), None), []);
    assert_eq!(
        found(patient("org/one"), None),
        [Cause::LivenessKills, Cause::DownloadAtStart]
    );
}

#[test]
fn a_failed_load_beside_its_reason_is_no_finding_of_its_own() {
    let failed = "failed to load 'a' version 1\n";
    let memory = "CUDA failure 2: out of memory\n";
    let far = "GET\n".repeat(30);
    assert_eq!(ids(failed), ["load-failure"]);
    assert_eq!(ids(&format!("{failed}{memory}")), ["out-of-memory"]);
    assert_eq!(ids(&format!("{memory}{failed}")), ["out-of-memory"]);
    assert_eq!(
        ids(&format!("{memory}{far}{failed}")),
        ["load-failure", "out-of-memory"]
    );
}

#[test]
fn the_clock_of_a_progress_bar_is_no_process() {
    let bar = |at| format!("Loading checkpoint shards: 50% | 1/2 [{at}<00:02, 1.06s/it]\n");
    assert_eq!(ids(&format!("{}{}", bar("00:01"), bar("07:03"))), [""; 0]);
    let begins = |pid| format!("[{pid}] loading model weights\n");
    assert_eq!(
        ids(&format!("{}{}", begins(7), begins(8))),
        ["double-load-by-workers"]
    );
}

/// A framework and the server that it runs in both tell of one process.
#[test]
fn a_process_that_is_announced_twice_is_one() {
    let log = "(APIServer pid=1) vLLM API server version 0.11.0\n\
               Loading checkpoint shards: 50% | 1/2\nLoading checkpoint shards: 100% | 2/2\n\
               (APIServer pid=1) INFO: Started server process [1]\n\
               (APIServer pid=1) INFO: Application startup complete.\n";
    assert_eq!(ids(log), [""; 0]);
    let numbered = log.replace("(APIServer pid=1) vLLM", "vLLM");
    assert_eq!(ids(&numbered), [""; 0]);
    let two = log.replace("process [1]", "process [7]");
    assert_eq!(ids(&two), ["double-load-by-workers"]);
}

/// Words of different programs for the same thing, and words that only look like it.
#[test]
fn what_is_done_to_what_counts_more_than_the_phrase() {
    let ready = "INFO:     Application startup complete.\n";
    let asked = "INFO:     10.0.0.1:2 - \"POST /rank HTTP/1.1\" 200 OK\n";
    let lazily = |line: &str| ids(&format!("{ready}{line}\n{asked}"));
    for line in [
        "opened inference session over ranker.onnx after 1.2 s",
        "unpickled the classifier in 900 ms",
        "ranker.gguf mapped into memory",
    ] {
        assert_eq!(lazily(line), ["model-loaded-at-first-request"], "{line}");
    }
    for line in [
        "[model_loader.py:291] opened the door",
        "reading /models/prices.csv",
        "  File \"/app/model.py\", line 3, in load_model",
    ] {
        assert_eq!(lazily(line), [""; 0], "{line}");
    }
}

#[test]
fn who_is_turned_away_before_anybody_is_served_shows_a_claim_too_early() {
    let log = "INFO server ready\n\
               INFO:     10.0.0.1:2 - \"POST /rank HTTP/1.1\" 503 Service Unavailable\n\
               INFO model loaded in 62 s\n\
               INFO:     10.0.0.1:2 - \"POST /rank HTTP/1.1\" 200 OK\n";
    assert_eq!(ids(log), ["readiness-too-early", "weights-at-start"]);
    let served = log.replacen("503 Service Unavailable", "200 OK", 1);
    let lazy = ["model-loaded-at-first-request", "readiness-too-early"];
    assert_eq!(ids(&served), lazy);
}

#[test]
fn whoever_asks_while_weights_are_loaded_is_refused_for_that() {
    let refused = "tester-1 | curl: (7) Failed to connect to app port 8000: Connection refused\n";
    let loading = "app-1 | loading model weights\n";
    assert_eq!(ids(refused), [""; 0]);
    let both = format!("{loading}{refused}");
    assert_eq!(ids(&both), ["connection-refused-while-loading"]);
}

/// What comes long after a start, with nothing under way, is asked for by somebody.
#[test]
fn work_after_a_long_silence_is_a_requests() {
    let log = |after: &str| {
        format!(
            "2026-11-04 12:00:00 Entering the event loop ...\n2026-11-04 {after} compiled cluster using XLA in 9 s\n"
        )
    };
    let late = ["kernel-compilation-at-first-request"];
    assert_eq!(ids(&log("12:07:00")), late);
    assert_eq!(ids(&log("12:00:09")), [""; 0]);
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
fn a_look_into_the_cache_is_no_download() {
    let log = "INFO Starting check and download process for m\n\
               INFO Files are already present on the host. Skipping download.\n\
               INFO Successfully downloaded weights for m\n";
    assert_eq!(ids(log), [""; 0]);
    let lines: Vec<&str> = log.lines().collect();
    let real = [lines[0], lines[2]].join("\n");
    assert_eq!(ids(&real), ["download-at-start"]);
}

/// What was not asked of a model says nothing of what it takes, and what one path takes nothing of
/// another.
#[test]
fn latencies_are_those_of_one_path_that_was_answered() {
    let asked = |path: &str, status: u16, ms: u32| {
        format!("INFO method=POST path={path} status={status} duration_ms={ms}\n")
    };
    let steady: String = (0..4).map(|_| asked("/rank", 200, 21)).collect();
    let slow = ["warmed-by-traffic"];
    assert_eq!(ids(&(asked("/rank", 200, 2900) + &steady)), slow);
    assert_eq!(ids(&(asked("/report", 200, 2900) + &steady)), [""; 0]);
    assert_eq!(ids(&(asked("/rank", 404, 1) + &steady)), [""; 0]);
    let cold = asked("/rank", 404, 1) + &asked("/rank", 200, 2900) + &steady;
    assert_eq!(ids(&cold), slow);
    let explained = asked("/rank", 200, 2900).replace("INFO", "INFO (db retried)");
    assert_eq!(ids(&(explained + &steady)), [""; 0]);
    let trailing = |seconds: &str| format!("10.0.0.1 \"POST /rank HTTP/1.1\" 200 160 {seconds}\n");
    let steady = trailing("0.012500").repeat(4);
    assert_eq!(ids(&(trailing("2.392765") + &steady)), slow);
}

/// A request that took as long as the load did waited for it, and one that came later did not.
#[test]
fn a_requests_time_tells_whether_it_waited_for_a_load() {
    let log = |took: &str, at: &str| {
        format!(
            "Running on http://127.0.0.1:8000\n\
             2026-11-27 10:00:00,000 reading model.onnx\n\
             2026-11-27 10:00:02,400 it is there\n\
             2026-11-27 {at} \"POST /rank HTTP/1.1\" 200 160 {took}\n"
        )
    };
    let lazy = ["model-loaded-at-first-request"];
    assert_eq!(ids(&log("2.392765", "10:00:02,410")), lazy);
    assert_eq!(ids(&log("0.012765", "10:00:02,430")), [""; 0]);
    let ready = |at: &str| {
        format!(
            "2026-11-27 10:00:00 model server started\n\
             2026-11-27 10:00:01 loading model\n\
             2026-11-27 10:00:03 model loaded\n\
             2026-11-27 {at} \"POST /rank HTTP/1.1\" 200 44\n"
        )
    };
    assert_eq!(ids(&ready("10:00:03")), lazy);
    assert_eq!(ids(&ready("10:01:03")), [""; 0]);
}

#[test]
fn a_model_that_takes_the_place_of_another_is_nobodys_cold_start() {
    let start = "loading model v1\nmodel v1 loaded\nINFO ready\n\
                 INFO: 10.0.0.1:2 - \"POST /rank HTTP/1.1\" 200 OK\n";
    let again = "loading model v2\nmodel v2 loaded\n";
    assert_eq!(ids(&format!("{start}{again}")), [""; 0]);
    let asked = "reload requested by an operator\nopening ranker.onnx\n";
    assert_eq!(ids(&format!("{start}{asked}")), [""; 0]);
    let lazy = ["model-loaded-at-first-request", "readiness-too-early"];
    assert_eq!(ids(&format!("{start}opening ranker.onnx\n")), lazy);
}

/// One backend does not start, the next one does.
#[test]
fn a_load_that_failed_and_then_succeeded_is_none() {
    let failed = "ERROR could not load model with backend a\n";
    let ready = "INFO server ready\n";
    let next = "INFO loading model with backend b\n";
    assert_eq!(ids(&format!("{failed}{next}{ready}")), [""; 0]);
    assert_eq!(ids(&format!("{failed}{ready}")), ["load-failure"]);
    assert_eq!(ids(&format!("{failed}{next}")), ["load-failure"]);
}

#[test]
fn only_who_is_refused_by_the_server_itself_is_refused_for_its_load() {
    let load = "INFO loading model weights\nINFO serving on 0.0.0.0:8080\n";
    let refused = ["connection-refused-while-loading"];
    for (line, want) in [
        ("tester: 127.0.0.1:8080: connection refused", &refused[..]),
        (
            "curl: (7) Failed to connect to app port 80: Couldn't connect to server",
            &refused,
        ),
        ("flags: connection refused, using defaults", &[]),
        ("telemetry: http://127.0.0.1:9 connection refused", &[]),
    ] {
        assert_eq!(ids(&format!("{load}{line}\n")), want, "{line}");
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

/// The same function, compiled once more for other numbers.
#[test]
fn a_graph_that_is_compiled_for_another_shape_is_compiled_again() {
    let log = |second: u32| {
        format!(
            "INFO first request received\n\
             Compiling jit(forward) with global shapes (float32[8,256])\n\
             Compiling jit(forward) with global shapes (float32[{second},256])\n"
        )
    };
    let kernels = "kernel-compilation-at-first-request";
    assert_eq!(ids(&log(16)), [kernels, "recompilation-on-new-shape"]);
    assert_eq!(ids(&log(8)), [kernels]);
}

/// What two replicas do is not done twice by one, whoever collected their lines.
#[test]
fn lines_of_two_replicas_are_told_apart() {
    let lines = |a: &str, b: &str| {
        let say = |said: &str| format!("{a}{said}\n{b}{said}\n");
        say("[7] loading model") + &say("[7] model loaded in 2 s") + &say("[7] ready")
    };
    for (a, b) in [
        ("web-1 | ", "web-2 | "),
        (
            "2026-11-27T15:00:00Z {app=\"e\", pod=\"e-a\"} ",
            "2026-11-27T15:00:00Z {app=\"e\", pod=\"e-b\"} ",
        ),
        ("e-5d9f8c7b6-h2l4z e ", "e-5d9f8c7b6-w8n3c e "),
    ] {
        assert_eq!(ids(&lines(a, b)), [""; 0], "{a}");
    }
    let workers = lines("", "").replacen("[7] loading", "[8] loading", 1);
    assert_eq!(ids(&workers), ["double-load-by-workers"]);
}

#[test]
fn a_model_named_on_a_hub_is_fetched_and_a_folder_is_not() {
    for (switch, is_fetched) in [
        ("--model-path=org/name", true),
        ("--hf-repo org/name", true),
        ("--model-path models/name", false),
        ("--served-model-alias org/name", false),
        ("--dtype org/name", false),
    ] {
        let change = |c: &mut Container| c.command = switch.split(' ').map(str::to_owned).collect();
        let want: &[Cause] = if is_fetched {
            &[Cause::DownloadAtStart]
        } else {
            &[]
        };
        assert_eq!(found(change, None), want, "{switch}");
    }
    let reloads = |c: &mut Container| c.command = vec!["fastapi".into(), "dev".into()];
    assert_eq!(found(reloads, None), [Cause::DoubleLoadReloader]);
}

#[test]
fn a_container_held_back_after_its_startup_probe_was_ended_by_it() {
    const FAILED: &str = "Warning  Unhealthy  40s (x60 over 9m)  kubelet  Startup probe failed: HTTP probe failed with statuscode: 503";
    const HELD: &str = "Warning  BackOff  9s (x7 over 4m)  kubelet  Back-off restarting failed container embedder in pod embedder-0_ml(0f1d)";
    let report = diagnose(&format!("{FAILED}\n{HELD}"));
    let [finding] = &report.findings[..] else {
        panic!("{report:?}")
    };
    assert_eq!(finding.cause, Cause::ProbeWindow);
    let lines: Vec<_> = finding.evidence.iter().map(|e| e.line).collect();
    assert_eq!(lines, [1, 2]);
    assert!(finding.confidence < 0.95, "nobody says so in so many words");

    // Killed, and nobody says for want of memory.
    let killed = format!("      Exit Code:    137\n{FAILED}\n{HELD}");
    assert_eq!(ids(&killed), ["probe-window-too-short"]);
}

#[test]
fn a_container_held_back_for_another_reason_is_not_its_startup_probes() {
    const FAILED: &str = "40s  Warning  Unhealthy  pod/slow-0  Startup probe failed: HTTP probe failed with statuscode: 503";
    const HELD: &str = "9s  Warning  BackOff  pod/slow-0  Back-off restarting failed container";
    const REFUSED: &str = "40s  Warning  Unhealthy  pod/slow-0  Startup probe failed: Get \"http://10.1.1.7:8000/health\": dial tcp 10.1.1.7:8000: connect: connection refused";
    let both = |one: &str, other: &str| ids(&format!("{one}\n{other}"));
    assert!(ids(FAILED).is_empty() && ids(HELD).is_empty());
    assert!(both(FAILED, &HELD.replace("slow-0", "other-0")).is_empty());
    assert_eq!(both(REFUSED, HELD), ["connection-refused-while-loading"]);
    let log = format!("{FAILED}\n{HELD}");
    assert!(both(&log, "      Exit Code:    1").is_empty());
    assert_eq!(both(&log, "    Reason:       OOMKilled"), ["out-of-memory"]);
}
