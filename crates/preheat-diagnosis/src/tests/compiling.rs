//! What runtimes write while they compile, and in tracebacks of warm-ups.

use super::ids;

/// What a start compiles is its own; the same once more is for a shape that it did not run.
#[test]
fn what_is_compiled_again_is_for_another_shape() {
    let xla = "INFO Compilation of XLA executable time: 1.02 s (1020488 us)";
    let start = |warm: &str| format!("{xla}\n{warm}INFO server is ready\n");
    let asked = "10.0.0.1 \"POST /rank HTTP/1.1\" 200 2.9s\n";
    let warm = "INFO warm-up 1x96x96x3: 1271 ms\n";
    for (log, want) in [
        (start(warm) + asked, &[][..]),
        (
            start(warm) + xla + "\n" + asked,
            &["recompilation-on-new-shape"][..],
        ),
        (
            start("") + xla + "\n" + asked,
            &["kernel-compilation-at-first-request", "readiness-too-early"],
        ),
    ] {
        assert_eq!(ids(&log), want, "{log}");
    }
}

/// One request may need many kernels.
#[test]
fn kernels_of_one_request_are_no_new_shapes() {
    let log = "INFO server is ready\n\
               AUTOTUNE mm(4096x768, 768x3072)\n\
               AUTOTUNE mm(4096x3072, 3072x768)\n\
               10.0.0.1 \"POST /rank HTTP/1.1\" 200 51.4s\n";
    let want = ["kernel-compilation-at-first-request", "readiness-too-early"];
    assert_eq!(ids(log), want);
}

#[test]
fn a_warm_up_that_compiles_once_more_is_well() {
    let again = "V1130 10:00:01.693000 311 torch/_dynamo/guards.py:2997] [0/1] [__recompiles] \
                 Recompiling function forward in /app/model.py:41\n";
    let over = "INFO:     Application startup complete.\n";
    let asked = "INFO:     10.0.0.1:2 - \"POST /rank HTTP/1.1\" 200 OK\n";
    let on_new_shape = ["recompilation-on-new-shape"];
    assert_eq!(ids(&[again, over, asked].concat()), [""; 0]);
    assert_eq!(ids(&[over, asked, again, asked].concat()), on_new_shape);
    assert_eq!(ids(again), on_new_shape);
}

/// Where no start compiled anything, what is compiled again was compiled for the slow first request.
#[test]
fn whatever_is_compiled_again_was_compiled_first() {
    let client =
        |length: u32, took: &str| format!("INFO worker: scored len={length} in {took} s\n");
    let again = "V1130 10:00:01.693000 311 torch/_dynamo/guards.py:2997] [0/1] [__recompiles] \
                 Recompiling function forward in /app/model.py:41\n";
    let steady = client(32, "0.006425") + &client(32, "0.003974");
    let slow = client(32, "21.424482");
    let found = ids(&[
        slow.as_str(),
        &steady,
        again,
        &client(48, "4.882945"),
        &steady,
    ]
    .concat());
    assert!(
        found.contains(&"kernel-compilation-at-first-request"),
        "{found:?}"
    );
    let found = ids(&[&steady, again, &client(48, "4.882945"), &steady].concat());
    assert!(
        !found.contains(&"kernel-compilation-at-first-request"),
        "{found:?}"
    );
}

/// A request's length may stand in any field, if its first figure was warmed.
#[test]
fn a_length_is_known_by_its_figures() {
    let log = |first: u32, then: u32| {
        format!(
            "INFO bucket warmed compile_s=0.35 length=64\nINFO bucket warmed compile_s=0.37 length=128\n\
             INFO server is ready\nINFO scored residues={first} took 6.6 ms\n\
             INFO scored residues={then} took 289.6 ms\n"
        )
    };
    let is_found = |log: &str| ids(log).contains(&"length-not-warmed");
    assert!(is_found(&log(64, 201)), "{:?}", ids(&log(64, 201)));
    assert!(!is_found(&log(64, 128)));
    assert!(!is_found(&log(7, 201)));
}

#[test]
fn what_is_raised_in_a_warm_up_fails_it() {
    let raised = |frame: &str, error: &str| {
        format!(
            "INFO session of model.onnx created\nTraceback (most recent call last):\n  \
             File \"/app/serve.py\", line 20, in <module>\n    {frame}\n{error}\n"
        )
    };
    let failed = &["warm-up-failed"][..];
    for (frame, error, want) in [
        (
            "predict(n); log.info(\"warmed %d\", n)",
            "ValueError: Required inputs are missing",
            failed,
        ),
        (
            "self_test(session)",
            "x.InvalidArgument: [ONNXRuntimeError] : 2 : Invalid output name",
            failed,
        ),
        (
            "await warm_up(encoder)",
            "IndexError: index out of range in self",
            failed,
        ),
        (
            "sched = cosine_schedule_with_warmup(opt)",
            "TypeError: an int is wanted",
            &[],
        ),
        (
            "serve(session)",
            "IndexError: index out of range in self",
            &[],
        ),
    ] {
        assert_eq!(ids(&raised(frame, error)), want, "{frame}");
    }
}

/// granian writes when a request came, and what it took in milliseconds; a client's own lines stand below.
#[test]
fn stamps_of_several_writers_keep_their_order() {
    let log = "2026-11-30 10:00:00,100 \"GET /ready HTTP/1.1\" 503 0.2 ms\n\
               10:00:01.100 INFO loading model.onnx\n\
               10:00:03.100 INFO model.onnx loaded in 2.0 s\n\
               I0000 00:00:1796032804.206175   13937 device_compiler.h:208] Compiled cluster using XLA!\n\
               10:00:04.300 INFO warm-up 1x16: 1.1 s\n\
               10:00:04.400 INFO server is ready\n\
               [2026-11-30 10:00:05 +0000] 127.0.0.1 - \"POST /embed HTTP/1.1\" 200 27.040\n\
               [2026-11-30 10:00:06 +0000] 127.0.0.1 - \"POST /embed HTTP/1.1\" 200 26.412\n\
               10:00:04 embed 200 in 3.1 s\n";
    assert_eq!(ids(log), [""; 0]);
}
