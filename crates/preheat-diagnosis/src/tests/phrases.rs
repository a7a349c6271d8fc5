//! Phrases that say the same in other words: each of them does, where nothing else on the line says it.

use super::*;

fn means(text: &str, meaning: Meaning) -> bool {
    let plain = Plain::of(text).expect("something is said");
    plain.hits.iter().any(|hit| hit.means == meaning)
}

#[test]
fn a_child_that_never_reports_is_one_that_its_parent_lost_patience_with() {
    let timeout = Meaning::Names(Cause::WorkerTimeout);
    for patience in [
        "did not send ready",
        "did not signal",
        "never signalled",
        "never signaled",
        "never reported",
    ] {
        let told = |end: &str| format!("parent: child 12 {patience}, {end}; it was at \"loading\"");
        assert!(means(&told("SIGKILL"), timeout), "{patience}");
        assert!(!means(&told("still waiting"), timeout), "{patience}");
    }
}

#[test]
fn a_worker_that_is_started_again_for_want_of_its_signal_was_given_up() {
    let timeout = Meaning::Names(Cause::WorkerTimeout);
    for signal in ["ready signal", "ready message"] {
        for end in ["restarting it", "restarted", "respawned"] {
            let told = format!("master: no {signal} of worker 3 in time, {end}");
            assert!(means(&told, timeout), "{told}");
        }
        let told = format!("master: {signal} of worker 3 came in time");
        assert!(!means(&told, timeout), "{told}");
    }
}

#[test]
fn a_file_of_a_later_version_than_is_read_is_a_load_that_fails() {
    let failure = Meaning::Names(Cause::LoadFailure);
    for (told, is_failure) in [
        (
            "ERROR bundle has format version 4, this build reads up to 3",
            true,
        ),
        ("ERROR model file is v4, this build reads up to v3", true),
        ("ERROR this build reads up to 3 files at once", false),
        ("ERROR bundle has format version 4", false),
    ] {
        assert_eq!(means(told, failure), is_failure, "{told}");
    }
}

#[test]
fn the_first_call_of_a_device_makes_its_context() {
    for call in [
        "first .cuda() call",
        "first .to('cuda:0')",
        "first .to(\"cuda\")",
        "first CUDA op",
        "first GPU op",
        "first GPU call",
    ] {
        let told = format!("INFO {call} took 2.3 s");
        assert!(means(&told, Meaning::Does(Part::Context)), "{told}");
        let later = told.replace("first", "later");
        assert!(!means(&later, Meaning::Does(Part::Context)), "{later}");
    }
}

#[test]
fn nobody_is_held_by_an_empty_queue() {
    for depth in ["queue depth ", "queue depth=", "queue depth: "] {
        let told = |waiting: u32| {
            format!("autoscaler: 0 -> 1 replicas of embed, request {depth}{waiting}")
        };
        assert!(means(&told(3), Meaning::Marks(Mark::Held)), "{depth}");
        assert!(!means(&told(0), Meaning::Marks(Mark::Held)), "{depth}");
    }
}
