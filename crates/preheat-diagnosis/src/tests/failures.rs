//! Starts that fail, and which of the reasons that lines name is the one.

use super::{diagnose, ids};
use crate::{Cause, Diagnosis, input};

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

/// What ends one of several pods that a text describes is not what another one meets.
#[test]
fn each_pod_of_a_description_has_a_start_of_its_own() {
    const FAILED: &str = "  Warning  Unhealthy  40s  kubelet  Startup probe failed: HTTP probe failed with statuscode: 503\n";
    const HELD: &str = "  Warning  BackOff  9s  kubelet  Back-off restarting failed container a\n";
    const CRASHED: &str = "      Exit Code:    1\n";
    let pod = |name: &str, ended: &str, events: &str| {
        format!("Name:  {name}\nContainers:\n  a:\n{ended}Events:\n{events}\n")
    };
    let both = |first: &str, second: &str| {
        let mut diagnosis = Diagnosis::new();
        let text = format!("{first}{second}");
        input::read("pods.txt", text.as_bytes(), &mut diagnosis).expect("read");
        diagnosis.report().findings
    };
    let events = format!("{FAILED}{HELD}");
    let findings = both(&pod("a-0", CRASHED, HELD), &pod("a-1", "", &events));
    let [finding] = &findings[..] else {
        panic!("{findings:?}")
    };
    assert_eq!(finding.cause, Cause::ProbeWindow);
    let pods: Vec<_> = finding.evidence.iter().map(|e| e.pod.as_deref()).collect();
    assert_eq!(pods, [Some("a-1"); 2]);
    assert_eq!(both(&pod("a-0", "", FAILED), &pod("a-1", "", HELD)), []);
    assert_eq!(both(&pod("a-0", CRASHED, &events), &pod("a-1", "", "")), []);
}

/// Whoever waited for the start says why it ended, not the warm-up that was under way.
#[test]
fn a_start_that_takes_too_long_is_ended_by_whoever_waits() {
    for (log, want) in [
        (
            "level=INFO msg=\"encoder started\" pid=7 boot_timeout=4s\n\
             encoder| loading weights (585 MB)\nencoder| weights in memory 1.6s; warming\n\
             level=ERROR msg=\"encoder not ready in time, killing it\" pid=7 waited=4.013s\n\
             level=ERROR msg=\"giving up on encoder after 3 attempts\"\n",
            "worker-timeout-while-loading",
        ),
        (
            "Srv 0 INFO: Starting worker [906]\nSrv 0 INFO: weights (454 MB) in memory after 1.9s\n\
             It seems that one or more of your workers failed to come online in the allowed time.\n",
            "worker-timeout-while-loading",
        ),
        (
            "==> startup check: GET /ready every 3s, 5 attempts\nINFO phase=weights\n\
             INFO phase=warm-up buckets=16,64\n    attempt 5/5: HTTP 503\n\
             ==> startup check failed: not ready after 15s, stopping green (pid 25409)\n\
             INFO SIGTERM in phase=warm-up, exiting\n==> deploy FAILED (exit status 143)\n",
            "probe-window-too-short",
        ),
        (
            "waiting for http://127.0.0.1:25031/ready ... 10/10 (503)\n\
             rerank v12 not ready after 30s, removing container 9c1f2a, v11 keeps serving\n\
             rerank: loading weights (2.2 GB)\nrerank: SIGTERM, bye\n",
            "probe-window-too-short",
        ),
    ] {
        assert_eq!(ids(log), [want], "{log}");
    }
}

#[test]
fn a_device_that_is_not_there_explains_what_is_told_far_below() {
    let log = format!(
        "E1130 model_lifecycle.cc:642] \"failed to load 'a' version 1: instance group a_0 specifies \
         invalid or unsupported gpu id 0\"\n{}error: creating server: Internal - failed to load all models\n",
        "| Option | Value |\n".repeat(40)
    );
    assert_eq!(ids(&log), ["device-fallback"]);
}
