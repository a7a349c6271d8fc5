//! What requests that were refused, or took long, show.

use super::ids;

#[test]
fn who_is_turned_away_before_anybody_is_served_shows_a_claim_too_early() {
    let log = "INFO server ready\n\
               INFO:     10.0.0.1:2 - \"POST /rank HTTP/1.1\" 503 Service Unavailable\n\
               INFO model loaded in 62 s\n\
               INFO:     10.0.0.1:2 - \"POST /rank HTTP/1.1\" 200 OK\n";
    assert_eq!(ids(log), ["readiness-too-early"]);
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
    let granian = |ms: &str| {
        format!("[2026-11-15 08:30:38 +0000] 10.0.0.4 - \"POST /rank HTTP/1.1\" 200 {ms}\n")
    };
    let report = super::diagnose(&(granian("2900.211") + &granian("21.000").repeat(4)));
    let cost = super::cost(&report, crate::Cause::WarmedByTraffic);
    assert_eq!(cost.map(f64::round), Some(2879.0));
    let logged = |ms: u32| format!("INFO c.a.AccessLog - POST /rank 200 {ms} ms\n");
    assert_eq!(ids(&(logged(2900) + &logged(21).repeat(4))), slow);
    let java = |ms: u32| {
        format!(
            "[INFO ] pool-2-thread-1 ACCESS_LOG - /10.0.0.7:41022 \"POST /rank HTTP/1.1\" 200 {ms}\n"
        )
    };
    assert_eq!(ids(&(java(2900) + &java(21).repeat(4))), slow);
    assert_eq!(ids(&java(21).repeat(5)), [""; 0]);
}

#[test]
fn who_asks_while_a_replica_comes_waits_for_it() {
    let text = |took: &str, age: &str| {
        format!(
            "$ date +%T; curl -so /dev/null -w '%{{http_code}} %{{time_total}}s' http://a/b\n\
             08:30:01\n200 {took}s\n$ kubectl get events\n\
             {age} Normal Scheduled pod/a-1 Successfully assigned a/a-1 to node-1\n\
             $ kubectl logs a-1\n08:30:57 weights loaded in 17.75 s\n08:31:03 ready\n"
        )
    };
    assert_eq!(ids(&text("64.207713", "70s")), ["weights-at-start"]);
    for (took, age) in [("64.207713", "3d"), ("0.207713", "20s")] {
        assert_eq!(ids(&text(took, age)), [""; 0], "{took} {age}");
    }
}

#[test]
fn nobody_is_refused_by_a_load_that_has_failed() {
    let log = |then: &str| {
        format!(
            "encoder| loading weights\nencoder| MemoryError: Cannot allocate memory\n{then}\
             http: proxy error: dial tcp 127.0.0.1:24075: connect: connection refused\n"
        )
    };
    assert_eq!(ids(&log("")), ["out-of-memory"]);
    let again = ids(&log("encoder| loading weights\n"));
    assert!(again.contains(&"connection-refused-while-loading"));
}

#[test]
fn a_request_for_which_an_instance_starts_waits_for_it() {
    for told in [
        "This request caused a new container instance to be started and may thus take longer.",
        "Starting new instance. Reason: AUTOSCALING - Instance started due to increased traffic, no existing capacity",
    ] {
        let log = format!("10:00:02 {told}\n10:00:28 weights in memory (22.41 s)\n10:00:39 warm\n");
        assert_eq!(ids(&log), ["weights-at-start"], "{told}");
    }
}
