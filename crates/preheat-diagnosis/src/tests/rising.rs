//! What keeps a replica from coming up, told on several lines by whoever has words of their own.

use super::ids;

/// What is wrong with what is served, and that somebody leaves, are one failure where one follows the other.
#[test]
fn whoever_leaves_for_what_is_unfit_does_not_load() {
    for log in [
        "ranker: tower item: stored 128 columns, code wants 192\nranker: bailing out\n",
        "net.flat: ends after 118 of 900 layers\nexit 12\n",
        "thread 'main' panicked at src/host.rs:88:\nSafetensorError(TensorNotFound(\"layer.11\"))\n",
    ] {
        assert_eq!(ids(log), ["load-failure"], "{log}");
    }
    for log in [
        "ranker: tower item: stored 128 columns\nranker: bailing out\n",
        "net.flat: ends after 118 of 900 layers\nnet.bin instead\nready\n",
        "net.flat: ends after 118 of 900 layers\na\nb\nc\nd\ne\nf\ng\nexit 12\n",
        "optional net.flat: ends after 118 of 900 layers\nbye\n",
    ] {
        assert_eq!(ids(log), [""; 0], "{log}");
    }
}

/// Whose patience it was is told by the line, or by what else stands in the text.
#[test]
fn whoever_hears_nothing_ends_what_loads() {
    for (log, id) in [
        (
            "drone-0 hydrating net (3.1 GB)\nqueen: drone-0 has not hummed for 30s. Killing it.\n",
            "worker-timeout-while-loading",
        ),
        (
            "guard asks :9000/alive\nsvc: model at 20 %\nguard: no reply (3), recycling svc\n",
            "liveness-kills-loading",
        ),
        (
            "new machine, loading part 3 of 9 of the model\nmachine silent for 120 s, destroying it\n",
            "probe-window-too-short",
        ),
    ] {
        assert_eq!(ids(log), [id], "{log}");
    }
    for log in [
        "queen: drone-0 has not hummed for 30s. Killing it.\n",
        "drone-0 hydrating net (3.1 GB)\nqueen: drone-0 has hummed for 30s.\n",
        "drone-0 hydrating net (3.1 GB)\nqueen: session 7 mute for 30s, destroyed\n",
    ] {
        assert_eq!(ids(log), [""; 0], "{log}");
    }
}

/// Several of one kind are known by its name, and load what each of them says that it loads.
#[test]
fn each_of_a_kind_loads_for_itself() {
    let log = |head: &str| {
        format!("{head}\ndrone-0 hydrating net (3.1 GB)\ndrone-1 hydrating net (3.1 GB)\n")
    };
    assert_eq!(ids(&log("hive, 2 drones")), ["double-load-by-workers"]);
    assert_eq!(ids(&log("hive")), [""; 0]);
}

/// The row of one pod says nothing of another one's door, nor does a try that failed of the next.
#[test]
fn a_door_is_that_of_one_start() {
    let log = "NAME READY STATUS RESTARTS AGE\nb-6b8d4c9c5f-hwz9k 1/1 Running 0 12d\n\
               a: known plates check, must agree before we open\na: 2 of 12 differ, allowed 0\n\
               a: not opening the port, exit 3\n";
    assert_eq!(ids(log), ["warm-up-failed"]);
}
