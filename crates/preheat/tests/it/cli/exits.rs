//! Exit codes are API: what ends a start, and with which number.

use std::net::TcpListener;

use super::{Called, Shell};

/// A start that takes a moment; faults are added to it.
const QUICK: &str = r#"
[[model]]
name = "embedder"
engine = "sim"
[model.batching]
max_batch = 4
buckets = { batch = [1, 4], tokens = [16] }
[model.sim]
weights = "1ms"
tokenizer = "1ms"
engine = "1ms"
first_run = "5ms"
run = "1ms"
max_tokens = 16
"#;

fn quick(rest: &str) -> String {
    format!("{QUICK}{rest}")
}

fn fault(kind: &str) -> String {
    quick(&format!("fault = {{ kind = \"{kind}\" }}\n"))
}

#[test]
fn warm_ends_with_the_code_of_what_failed() {
    // No two runs take the same time to the nanosecond. Each takes long enough for the last attempt
    // to end in time on a busy machine too.
    let slow = QUICK.replace("run = \"1ms\"", "run = \"10ms\"");
    let exacting = "[warmup]\ntolerance = 0\nslack = \"0s\"\nmax_rounds = 3\n\
                    timeout = \"5s\"\nunsettled = \"fail\"\n";
    for (what, config, stage, code) in [
        (
            "unknown key",
            "[server]\nprot = 1\n".to_owned(),
            "configuration",
            10,
        ),
        (
            "no time for an answer",
            "[limits]\nrequest_timeout = \"0s\"\n".into(),
            "configuration",
            10,
        ),
        (
            "less than no requests",
            "[limits]\nrate = -1\n".into(),
            "configuration",
            10,
        ),
        (
            "more rounds than there may be",
            "[warmup]\nrounds = 30\n".into(),
            "configuration",
            10,
        ),
        (
            "a page that is no origin",
            "[server]\ncors_origins = [\"app.example.com\"]\n".into(),
            "configuration",
            10,
        ),
        (
            "no such folder",
            "[[model]]\nsource = \"./nowhere\"\n".into(),
            "fetching",
            11,
        ),
        ("load fails", fault("load"), "loading", 12),
        ("a run fails", fault("run"), "warming", 13),
        ("not a number", fault("nan"), "warming", 13),
        ("never settles", format!("{exacting}{slow}"), "proving", 14),
        (
            "too little memory",
            format!("[memory]\nlimit = \"1MB\"\n{QUICK}"),
            "proving",
            15,
        ),
    ] {
        let warm = Shell::with(&config).call(["warm"]);
        let last = last_words(&warm);
        assert_eq!(warm.code, code, "{what}: {warm:?}");
        assert!(
            last[0].contains(&format!("{stage} failed: ")),
            "{what}: {last:?}"
        );
        assert!(last[1].starts_with("  what to do: "), "{what}: {last:?}");
        assert_eq!(last[2], format!("  exit code: {code}"), "{what}");
    }
}

/// Stage and cause, remedy, code.
fn last_words(called: &Called) -> [&str; 3] {
    let lines: Vec<_> = called.stderr.lines().collect();
    let at = lines.iter().rposition(|line| line.starts_with("preheat: "));
    let at = at.unwrap_or_else(|| panic!("{called:?}"));
    [lines[at], lines[at + 1], lines[at + 2]]
}

#[test]
fn serve_ends_with_the_same_codes_when_told_to_exit() {
    let config = format!("[warmup]\non_failure = \"exit\"\n{}", fault("load"));
    let shell = Shell::with(&config).env("PREHEAT_PORT", "0");
    let args = ["serve", "--grpc-port", "0", "--admin", "127.0.0.1:0"];
    let serve = shell.call(args);
    assert_eq!(serve.code, 12, "{serve:?}");
    assert!(last_words(&serve)[0].contains("loading failed"));
    assert_eq!(serve.stdout, "");
}

#[test]
fn an_address_in_use_is_said_with_its_own_code() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let args = [
        "serve",
        "--port",
        "0",
        "--grpc-port",
        "0",
        "--admin",
        &address,
    ];
    let serve = Shell::with(QUICK).call(args);
    assert_eq!(serve.code, 16, "{serve:?}");
    assert!(last_words(&serve)[0].contains(&address));
}

#[test]
fn usage_is_2() {
    for args in [
        &[][..],
        &["no-such-verb"],
        &["bench", "--clients", "0"],
        &["wait", "--for", "tea"],
    ] {
        assert_eq!(Shell::new().call(args).code, 2, "{args:?}");
    }
}

#[test]
fn warm_prints_the_report_and_leaves_nothing_behind() {
    let shell = Shell::with(QUICK);
    shell.write("tmp", "");
    std::fs::remove_file(shell.path().join("tmp")).unwrap();
    std::fs::create_dir(shell.path().join("tmp")).unwrap();
    // What is not written for a warm-up must not keep one away.
    let shell = shell
        .env("TMPDIR", "tmp")
        .env("SKIP_WARMUP", "true")
        .env("PREHEAT_LOAD", "lazy")
        .env("PREHEAT_ON_FAILURE", "retry");
    let table = shell.call(["warm"]);
    assert_eq!(table.code, 0, "{table:?}");
    for part in [
        "embedder: sim",
        "1x16",
        "grpc",
        "P1",
        "P5",
        "\nready after ",
    ] {
        assert!(table.stdout.contains(part), "{part} in {}", table.stdout);
    }
    assert!(table.stderr.contains("warmed 1x16"), "{}", table.stderr);

    let report = shell.call(["warm", "--json"]).json();
    assert_eq!(report["status"], "ready");
    assert_ne!(report["models"][0]["proof"]["status"], "skipped");
    assert_eq!(report["models"][0]["cases"].as_array().unwrap().len(), 6);
    let left = std::fs::read_dir(shell.path().join("tmp")).unwrap();
    assert_eq!(left.count(), 0);
}

#[test]
fn the_report_of_a_failure_is_json_too() {
    let warm = Shell::with(&fault("load")).call(["warm", "--json"]);
    let error = &warm.json()["models"][0]["error"];
    assert_eq!((warm.code, &error["exit_code"]), (12, &12.into()));
    assert_eq!(error["stage"], "loading");
}
