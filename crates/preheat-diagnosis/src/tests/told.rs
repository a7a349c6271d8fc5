//! What requests wait for, and what only looks like it, in the words of many.

use super::ids;

/// What servers answer with once the model that was asked for does not load.
#[test]
fn a_request_that_fails_with_its_load_had_asked_for_it() {
    let log = |port: &str, took: &str| {
        format!(
            "{port}llama_load_model_from_file: failed to load model\n\
             level=ERROR msg=\"error loading llama server\" error=\"cudaMalloc failed: out of memory\"\n\
             [GIN] 2026/11/15 - 09:33:49 | 500 | {took} | 172.17.0.1 | POST \"/api/chat\"\n"
        )
    };
    let port = "msg=\"Listening on [::]:11434\"\n";
    let both = ["model-loaded-at-first-request", "out-of-memory"];
    assert_eq!(ids(&log(port, "1.521330118s")), both);
    assert_eq!(ids(&log(port, "1.2ms")), both[1..]);
    assert_eq!(ids(&log("", "1.521330118s")), both[1..]);
}

#[test]
fn what_somebody_remarks_beside_a_time_is_no_part_of_it() {
    let steady = "[req 2] forward 0.011 s\n[req 3] forward 0.012 s\n[req 4] forward 0.011 s\n";
    for remark in ["   <- compiling", "  # kernels are built", ""] {
        let log = format!("[req 1] forward 41.82 s{remark}\n{steady}");
        assert!(ids(&log).contains(&"warmed-by-traffic"), "{remark}");
    }
    let build = format!("forward built in 41.82 s\n{steady}");
    assert_eq!(ids(&build), [""; 0]);
}

/// A time beside the name of a field is not what the field counts.
#[test]
fn a_field_has_its_value_behind_its_name() {
    let row = |ms: u32, tokens: u32| {
        format!("INFO request path=/embed done status=200 latency={ms}ms tokens={tokens}\n")
    };
    let steady = row(11, 48).repeat(4);
    assert_eq!(ids(&(row(3068, 48) + &steady)), ["warmed-by-traffic"]);
    assert_eq!(ids(&(row(3068, 13000) + &steady)), [""; 0]);
}

#[test]
fn what_is_compiled_behind_a_bucket_that_was_not_warmed_is_compiled_again() {
    let log = "INFO warm-up buckets: [128, 256]\n\
               INFO compiled shape=[8,128] took=13.5s\nINFO compiled shape=[8,256] took=14.5s\n\
               INFO warm-up finished\n\
               INFO id=9f01 tokens=97 bucket=128 latency_ms=211\n";
    assert_eq!(ids(log), [""; 0]);
    for compiled in [
        "compiled shape=[8,512] took=17.2s",
        "Finished XLA compilation of jit(generate) in 17.06 sec (args int32[8,512])",
    ] {
        let cold = format!(
            "{log}INFO id=9f03 tokens=498 no warmed bucket, padding to 512\nINFO {compiled}\n\
             INFO id=9f03 tokens=498 bucket=512 latency_ms=17528\n"
        );
        let want = ["length-not-warmed", "recompilation-on-new-shape"];
        let mut found = ids(&cold);
        found.sort_unstable();
        assert_eq!(found, want, "{compiled}");
    }
}

#[test]
fn a_warm_up_that_does_not_fit_lacks_no_length() {
    for line in [
        "ERROR Server error: Not enough memory to handle 16384 prefill tokens",
        "E loader: Warmup request 0 failed: input size does not match signature: 6!=7",
    ] {
        let log = format!("INFO warm-up with 512 tokens\n{line}\n");
        assert!(!ids(&log).contains(&"length-not-warmed"), "{line}");
    }
}

#[test]
fn whoever_can_take_requests_claims_readiness() {
    let cold = "INFO POST /predict received\nINFO pipeline is None, loading weights on first predict()\nINFO weights loaded in 26 s\n";
    for claim in [
        "ready: model can accept predictions",
        "can accept requests",
        "accepting predictions",
        "open for predictions",
    ] {
        let found = ids(&format!("INFO {claim}\n{cold}"));
        assert!(found.contains(&"readiness-too-early"), "{claim}: {found:?}");
    }
    for other in [
        "ready: false",
        "cannot accept requests",
        "ready: 0/3 workers",
    ] {
        let found = ids(&format!("INFO {other}\n{cold}"));
        assert!(!found.contains(&"readiness-too-early"), "{other}");
    }
}

/// What was warmed is warm; a length that was not is its own cause.
#[test]
fn a_length_that_comes_later_makes_no_claim_early() {
    let log = "INFO warm-up done: lengths 32 64 128\nINFO ready to serve\n\
        INFO POST /embed 200 12 ms len=100\nINFO POST /embed 200 12 ms len=96\n\
        WARN length 512 was not warmed, compiling for new shape\nINFO POST /embed 200 2900 ms len=512\n";
    let found = ids(log);
    assert!(found.contains(&"length-not-warmed"), "{found:?}");
    assert!(!found.contains(&"readiness-too-early"), "{found:?}");
}

/// The start is what a request waits for that is kept until there is a replica.
#[test]
fn who_is_held_until_there_is_a_replica_pays_for_the_start() {
    let start = "INFO weights loaded in 31.2 s\nINFO accepting requests\n";
    for held in [
        "request held by activator until revision had a ready replica",
        "request queued until first instance came up",
        "request waited until it was up",
    ] {
        assert_eq!(
            ids(&format!("{start}INFO {held}\n")),
            ["weights-at-start"],
            "{held}"
        );
    }
    for other in [
        "request waited for a lock",
        "request queued behind 3 others",
    ] {
        assert_eq!(ids(&format!("{start}INFO {other}\n")), [""; 0], "{other}");
    }
}

#[test]
fn what_is_compiled_for_another_shape_differs_from_what_is_reused() {
    let served = "INFO ready\nINFO POST /p 200 in 0.05 s\nINFO POST /p 200 in 0.05 s\n";
    let found = |line: &str| ids(&format!("{served}INFO {line}\nINFO POST /p 200 in 9.1 s\n"));
    for line in [
        "new bucket 512, building engine",
        "compiled shape=[1,300] took=9.0s",
        "shape (1, 77) not seen before, tracing again",
    ] {
        assert_eq!(found(line), ["recompilation-on-new-shape"], "{line}");
    }
    for line in [
        "compiled graph reused for shape (1,77)",
        "recompile skipped",
        "no need to recompile for shape (1,77)",
    ] {
        assert_eq!(found(line), [""; 0], "{line}");
    }
}
