//! What a load, a download or a compilation is, and whether the start did it or a request waited for it.

use super::{cost, diagnose, ids};
use crate::Cause;

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

/// A function whose start the platform timed loads in its first call all the same.
#[test]
fn what_a_function_loads_once_it_is_called_is_the_calls() {
    let start = "START RequestId: 0b1c6a6e Version: $LATEST\n";
    let load = "2026-11-15T08:10:05.110Z INFO session for model.onnx created in 3.80 s\n";
    let end = "REPORT RequestId: 0b1c6a6e Duration: 3905.12 ms Billed Duration: 5100 ms Init Duration: 1190.11 ms\n";
    assert_eq!(
        ids(&[start, load, end].concat()),
        ["model-loaded-at-first-request"]
    );
    assert_eq!(ids(&[load, start, end].concat()), ["weights-at-start"]);
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

/// Whoever is kept until there is a replica pays for its start, whatever the order in which that is told.
#[test]
fn who_is_kept_pays_for_the_start() {
    let load = "boot: weights in memory after 14.4 s\nboot: open\n";
    let paid = ["weights-at-start"];
    for kept in [
        "gate: holding call 7 until somebody is there",
        "gate: request 7 parked",
        "router: no live worker for req 7",
        "queue: task 7 waits, workers=0",
        "modeld: asked to wake for request 7",
        "forwarder: waiting until a replica is up",
    ] {
        let before = format!("{kept}\n{load}gate: call 7 200 15.0 s\n");
        assert_eq!(ids(&before), paid, "{before}");
        let behind = format!("curl 200 15.0 s POST /x\n{load}{kept}\n");
        assert_eq!(ids(&behind), paid, "{behind}");
    }
    for other in [
        "gate: holding call 7 to fill the batch",
        "gate: request 7 parked, rate limit reached",
        "router: 3 live workers for req 7",
        "router: no request waits, 0 workers",
    ] {
        let text = format!("{other}\n{load}");
        assert_eq!(ids(&text), [""; 0], "{text}");
    }
}

#[test]
fn a_part_of_several_is_still_under_way() {
    let log = "\
10:00:00 main: /up is asked every 10 s, GET /up 503
10:00:01 main: mapping part 1 of 14
10:01:20 main: mapping part 4 of 14
10:02:40 main: mapping part 9 of 14
";
    assert_eq!(ids(log), [""; 0]);
}

/// What was not there so far is a request's, unless a start ends behind it.
#[test]
fn what_was_not_there_so_far_was_asked_for() {
    let load =
        "10:00:00 subs: model not loaded so far, reading it\n10:00:07 subs: model read, 7.1 s\n";
    assert_eq!(ids(load), ["model-loaded-at-first-request"]);
    let other = load.replace("model", "forest");
    for load in [load, &other] {
        let start = format!("{load}10:00:08 subs: server ready\n");
        assert_eq!(ids(&start), [""; 0]);
    }
}
