//! How many processes write into one log.

use super::ids;

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

/// Who writes no number of a process shows by his times that another one does the same.
#[test]
fn loads_of_which_one_begins_before_the_other_ends_are_of_two() {
    let loaded = |at: &str, took: &str| {
        format!(
            "2026-12-01 00:02:{at} [mlserver][docvec:v2] INFO - docvec weights read in {took}s\n"
        )
    };
    let two = loaded("13,051", "26.48");
    for (other, want) in [
        (loaded("16,218", "28.83"), &["double-load-by-workers"][..]),
        // Told twice, or done once more.
        (loaded("13,951", "26.48"), &[]),
        (loaded("16,218", "2.31"), &[]),
        (loaded("16,218", "28.83").replace("docvec", "docvec-b"), &[]),
    ] {
        assert_eq!(ids(&format!("{two}{other}")), want, "{other}");
    }
}

/// A manager tells the number that each then writes in front of what it says.
#[test]
fn workers_are_known_by_the_numbers_that_their_manager_tells() {
    let log = "[INFO] Spawning worker-1 with PID: 21\n[INFO] Spawning worker-2 with PID: 22\n\
               2026-11-15 08:20:09,001 21 speaker: ecapa loaded, 7.7 s\n\
               2026-11-15 08:20:09,420 22 speaker: ecapa loaded, 8.1 s\n";
    assert_eq!(ids(log), ["double-load-by-workers"]);
    assert_eq!(ids(&log.replace("PID: 22", "PID: 23")), [""; 0]);
}

/// pm2 writes the number of each in front of what it says. What takes no second may be anything.
#[test]
fn processes_of_pm2_are_told_by_their_number() {
    let log = |what: &str| {
        format!("0|rank  | 2026-11-14T09:10:09: {what}\n1|rank  | 2026-11-14T09:10:10: {what}\n")
    };
    assert_eq!(
        ids(&log("session created in 7.9 s")),
        ["double-load-by-workers"]
    );
    assert_eq!(
        ids(&log("encoder loaded in 7.9 s")),
        ["double-load-by-workers"]
    );
    assert_eq!(ids(&log("41 lists loaded in 0.9 s")), [""; 0]);
}

/// One that ended and another that takes its place.
#[test]
fn a_worker_of_sanic_that_comes_after_another_is_no_second_one() {
    let life = |pid: u32, end: &str| {
        format!(
            "Srv 0 INFO: Starting worker [{pid}]\nSrv 0 INFO: forest model loaded in 0.65s (pid {pid})\n{end}"
        )
    };
    let ends = "Srv 0 INFO: Stopping worker [26206]\nSrv 0 INFO: Worker complete [26206]\n";
    let log = |end: &str| life(26206, end) + &life(26376, "");
    assert_eq!(ids(&log(ends)), [""; 0]);
    assert_eq!(ids(&log("")), ["double-load-by-workers"]);
}

/// Frameworks tell of their reloader whatever they serve.
#[test]
fn a_reloader_loads_a_model_where_there_is_one() {
    let log = |what: &str| {
        let loaded = format!("[2026-12-01 00:05:00,706] INFO in app: {what}\n");
        let debug = " * Serving Flask app 'a'\n * Debug mode: on\n * Running on http://127.0.0.1:80\n * Restarting with stat\n";
        format!("{loaded}{debug}{loaded} * Debugger is active!\n")
    };
    assert_eq!(ids(&log("3 lists loaded from todo.json")), [""; 0]);
    assert_eq!(
        ids(&log("ranking model loaded from rank.onnx")),
        ["double-load-by-reloader"]
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
