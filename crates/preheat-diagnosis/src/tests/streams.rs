//! What several write into one text, and what tracebacks and tables tell.

use super::{cost, diagnose, ids};
use crate::Cause;

/// The start of one service says nothing of the requests of another.
#[test]
fn a_start_is_told_of_the_service_whose_requests_pay() {
    let one = "embed-1 | weights loaded in 9.1 s\ncaption-1 | listening on :8001\n\
               caption-1 | first request: loading captioner weights\n\
               caption-1 | captioner weights loaded in 6.2 s";
    assert_eq!(ids(one), ["model-loaded-at-first-request"]);
    let other = "a-1 | weights loaded in 9.1 s\na-1 | serving on :8000\nb-1 | weights mapped\n\
                 b-1 | serving on :8001\nb-1 | POST /x 200 4100 ms\nb-1 | POST /x 200 41 ms\n\
                 b-1 | POST /x 200 40 ms\nb-1 | POST /x 200 42 ms";
    assert_eq!(ids(other), ["warmed-by-traffic"]);
    // A proxy starts nothing: the start behind it is the one that matters.
    let proxied = "a-1 | weights loaded in 9.1 s\nnginx-1 | POST /x 200 4100 ms\n\
                   nginx-1 | POST /x 200 41 ms\nnginx-1 | POST /x 200 40 ms\nnginx-1 | POST /x 200 42 ms";
    assert_eq!(ids(proxied), ["warmed-by-traffic", "weights-at-start"]);
}

#[test]
fn what_is_raised_below_a_loader_ends_the_load() {
    let trace = |frame: &str, raised: &str| {
        format!(
            "Traceback (most recent call last):\n  File \"/app/a.py\", line 7, in boot\n    {frame}\n           ^^^^\n{raised}"
        )
    };
    let load = "net = torch.load(path)";
    assert_eq!(ids(&trace(load, "KeyError: 'x'")), ["load-failure"]);
    assert_eq!(ids(&trace("x = parse(y)", "KeyError: 'x'")), [""; 0]);
    assert_eq!(ids(&trace(load, "KeyboardInterrupt: stop")), [""; 0]);
    assert_eq!(
        ids(&trace(load, "RuntimeError: CUDA out of memory. Tried")),
        ["out-of-memory"]
    );
    let served = format!("POST /x 200 8 ms\n{}", trace(load, "KeyError: 'x'"));
    assert_eq!(ids(&served), [""; 0], "a request failed, not a start");
}

#[test]
fn a_process_that_ends_while_it_loads_did_not_load() {
    let ends = "terminate called after throwing an instance of 'c10::Error'";
    assert_eq!(ids(&format!("loading model\n{ends}")), ["load-failure"]);
    assert_eq!(
        ids(&format!("loading model\nmodel loaded\n{ends}")),
        [""; 0]
    );
    assert_eq!(ids(ends), [""; 0]);
}

#[test]
fn a_table_of_percentiles_is_read_by_its_columns() {
    let head = "minute  reqs  p50  p95  p99";
    let slow = format!(
        "{head}\n0  10  812ms  2.94s  5.1s\n1  12  88ms  131ms  160ms\n2  12  87ms  130ms  159ms"
    );
    assert_eq!(cost(&diagnose(&slow), Cause::WarmedByTraffic), Some(2810.0));
    let even = format!("{head}\n0  10  81ms  130ms  151ms\n1  12  88ms  131ms  160ms");
    assert_eq!(ids(&even), [""; 0]);
}

#[test]
fn threads_are_held_against_a_limit_on_another_line() {
    let told =
        |threads: u32| format!("torch intra-op threads {threads}\ncgroup: cpu quota 400000/100000");
    assert_eq!(ids(&told(64)), ["cpu-limit-ignored"]);
    assert_eq!(ids(&told(4)), [""; 0]);
    assert_eq!(ids("http threads: 64\ncpu limit: 2"), [""; 0]);
}
