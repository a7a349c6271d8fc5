//! What FastAPI, gunicorn, Triton, text-embeddings-inference and our own programs write every day.

use super::ids;

fn finds(cases: &[(&str, &[&str])]) {
    for (log, want) in cases {
        assert_eq!(ids(log), *want, "{log}");
    }
}

#[test]
fn numbers_that_count_no_tokens_are_no_lengths() {
    finds(&[
        (
            "10:00:00,100 [5958] INFO warmup len=8 batch=4 0.027 s\n10:00:00,200 [5958] INFO warmup len=64 batch=4 0.06 s\n",
            &[],
        ),
        (
            "INFO warm-up finished in 6.57 s (batch sizes [1, 8, 32], lengths up to max_seq_length)\nINFO embed n=1 chars=131 took 34.0 ms\n",
            &[],
        ),
        (
            "INFO warmup: bucket seq=32 1.5 s\nINFO ready\nINFO POST /encode seq=256 7983.7 ms\n",
            &["length-not-warmed"],
        ),
    ]);
}

#[test]
fn whoever_serves_on_has_not_failed() {
    let before = "INFO model ner loaded in 3 s\nINFO ready\nPOST /x HTTP/1.1 200 in 20 ms\n";
    let failed = "ERROR failed to load 'ner' version 2: no such file\n";
    let after = "POST /x HTTP/1.1 200 in 21 ms\n";
    assert_eq!(ids(&[before, failed, after].concat()), [""; 0]);
    assert_eq!(ids(&[before, failed].concat()), ["load-failure"]);
}

#[test]
fn what_was_denied_is_no_download() {
    finds(&[(
        "INFO Starting check and download process for acme/m\nError: Could not download model artifacts: 401 Client Error\n",
        &["load-failure"],
    )]);
}

#[test]
fn a_device_that_nobody_provided_is_not_missed() {
    finds(&[(
        "INFO sentence_transformers: No device provided, using cpu\nINFO model loaded in 1.2 s\n",
        &[],
    )]);
}

#[test]
fn a_load_below_the_handler_of_a_request_is_that_requests() {
    let log = "[7] [CRITICAL] WORKER TIMEOUT (pid:9)\n[9] [ERROR] Error handling request POST /similar\n\
        Traceback (most recent call last):\n  File \"flask/app.py\", line 917, in full_dispatch_request\n    rv = self.dispatch_request()\n  \
        File \"app.py\", line 19, in get_model\n    s = rt.InferenceSession(path)\nSystemExit: 1\n";
    assert_eq!(
        ids(log),
        [
            "model-loaded-at-first-request",
            "worker-timeout-while-loading"
        ]
    );
}

#[test]
fn a_compiler_that_is_only_set_up_runs_in_the_first_request() {
    let set_up = "INFO model wrapped with torch.compile (inductor)\nINFO:     Application startup complete.\n";
    let slow = "INFO request 1 took 21436 ms\nINFO request 2 took 10 ms\nINFO request 3 took 10 ms\nINFO request 4 took 11 ms\n";
    assert_eq!(
        ids(&[set_up, slow].concat()),
        ["kernel-compilation-at-first-request", "warmed-by-traffic"]
    );
    let warm = "INFO warmed up 4 shapes in 20 s\n";
    assert_eq!(ids(&[set_up, warm, slow].concat()), ["warmed-by-traffic"]);
}

#[test]
fn a_worker_that_had_served_was_at_its_work() {
    let log = "[7] [INFO] Booting worker with pid: 9\nINFO model loaded and warmed in 1.02 s\n[9] [INFO] Application startup complete.\n\
        INFO request 1 took 40 ms\nINFO request 2 took 41 ms\nINFO request 3 took 40 ms\nINFO request 4 took 40 ms\n\
        [7] [CRITICAL] WORKER TIMEOUT (pid:9)\n[7] [ERROR] Worker (pid:9) was sent SIGKILL! Perhaps out of memory?\n";
    assert_eq!(ids(log), [""; 0]);
}

#[test]
fn the_report_of_our_own_probe_tells_who_was_cold() {
    let log = "case     first   steady    ratio              95 %    fresh  now\n\
        short   4.94 s  14.6 ms  337.19x  306.20 to 358.20  13.7 ms  warm\n\
        two    18.5 ms  17.2 ms    1.08x      0.99 to 1.09  18.8 ms  warm\n";
    assert_eq!(ids(log), ["warmed-by-traffic"]);
}

#[test]
fn milliseconds_of_our_phases_are_no_work() {
    let log = "INFO preheat::lifecycle: fetching /models/a event=\"phase\" model=\"a\" phase=\"fetching\" ms=2065.1\n\
        INFO preheat::lifecycle: loading event=\"phase\" model=\"a\" phase=\"loading\" ms=2066.2\n\
        embeddings http=200 total=1.731884s\nembeddings http=200 total=0.014513s\nembeddings http=200 total=0.015185s\n";
    assert_eq!(ids(log), ["warmed-by-traffic"]);
}

#[test]
fn a_load_below_the_start_of_django_is_nobodys_request() {
    let log = "Traceback (most recent call last):\n  File \"django/runserver.py\", line 133, in inner_run\n    self.check()\n  \
        File \"views.py\", line 3, in <module>\n    model = SentenceTransformer(path)\nOSError: no such file\n";
    assert_eq!(ids(log), ["load-failure"]);
}

#[test]
fn a_traceback_says_nothing_of_the_next_one() {
    let log = "[9] [ERROR] Error handling request POST /x\nTraceback (most recent call last):\n  \
        File \"gunicorn/sync.py\", line 1, in handle_request\n    time.sleep(300)\nSystemExit: 1\n[10] [INFO] Booting worker with pid: 10\n\
        Traceback (most recent call last):\n  File \"app.py\", line 3, in <module>\n    model = SentenceTransformer(path)\nOSError: no such file\n";
    assert_eq!(ids(log), ["load-failure"]);
}

#[test]
fn a_compiler_that_is_switched_off_runs_in_no_request() {
    let log = "INFO torch.compile disabled (enforce eager)\nINFO request 1 took 2436 ms\nINFO request 2 took 10 ms\n\
        INFO request 3 took 10 ms\nINFO request 4 took 11 ms\n";
    assert_eq!(ids(log), ["warmed-by-traffic"]);
}

#[test]
fn a_lazy_start_of_ours_took_no_longer_than_it_says() {
    let log = "INFO preheat::lifecycle: starting event=\"phase\" model=\"a\" phase=\"starting\" ms=3.7\n\
        INFO preheat_server::service: loading the model on first request: load = lazy event=\"wanted\" model=\"a\"\n\
        INFO preheat::lifecycle: loading event=\"phase\" model=\"a\" phase=\"loading\" ms=2033.7\n\
        INFO preheat::lifecycle: ready after 2.61 s, proven warm; first request 1.78 ms, steady 1.37 ms event=\"ready\" model=\"a\" phase=\"ready\" ms=2610.3\n";
    let mut diagnosis = crate::Diagnosis::new();
    crate::input::read("a.log", log.as_bytes(), &mut diagnosis).expect("readable");
    let report = diagnosis.report();
    assert!(
        report.start.iter().all(|stage| stage.ms < 1e3),
        "{:?}",
        report.start
    );
    let ids: Vec<_> = report.findings.iter().map(|f| f.cause.about().id).collect();
    assert_eq!(ids, ["model-loaded-at-first-request"]);
}
