//! `record`, `plan` and `audit` against running replicas and gateways.

use std::os::unix::fs::FileTypeExt;
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::{Called, Shell};
use crate::client;
use crate::replica::{Replica, SIM, Start, model_folder};

/// What a recording is written into.
const OUT: &str = "requests.ndjson";

/// Records while requests are sent, until the recorder has what it wants.
async fn record(replica: &Replica, shell: &Shell) -> (Called, Vec<Value>) {
    let called = recorder(replica, shell).await;
    let text = std::fs::read_to_string(shell.path().join(OUT)).unwrap();
    (called, lines(&text))
}

fn lines(text: &str) -> Vec<Value> {
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().unwrap()
}

async fn recorder(replica: &Replica, shell: &Shell) -> Called {
    let admin = format!("http://{}", replica.admin);
    let args = [
        "record", &admin, "--max", "6", "--time", "60s", "--out", OUT,
    ];
    let mut recorder = shell.command(args);
    recorder.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut recorder = recorder.spawn().unwrap();
    let mut number = 0;
    while recorder.try_wait().unwrap().is_none() {
        number += 1;
        let body = match number % 3 {
            // Of another size than a lone text, so that it is a kind of its own.
            0 => json!([
                "a longer text",
                "a longer text",
                "a longer text",
                "a longer text"
            ]),
            _ => json!([format!("text number {number}")]),
        };
        assert_eq!(replica.post("/embed", &body).await.status, 200);
        // What is refused is not recorded.
        assert_ne!(replica.post("/embed", &json!([])).await.status, 200);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    recorder.wait_with_output().unwrap().into()
}

/// `-o /dev/stdout` and the like: no file is put in the place of a device or a pipe.
#[tokio::test]
async fn a_recording_goes_into_a_pipe_as_it_is() {
    let (replica, shell) = (Start::with(SIM).ready().await, Shell::new());
    let pipe = shell.path().join(OUT);
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let path = pipe.clone();
    let reader = std::thread::Builder::new()
        .spawn(move || std::fs::read_to_string(path))
        .unwrap();
    let called = recorder(&replica, &shell).await;
    assert_eq!(called.code, 0, "{called:?}");
    let kind = std::fs::symlink_metadata(&pipe).unwrap().file_type();
    assert!(kind.is_fifo(), "{kind:?}");
    assert_eq!(lines(&reader.join().unwrap().unwrap()).len(), 6);
}

/// What users sent is not lost, and not left in a file that nobody knows of.
#[tokio::test]
async fn who_interrupts_a_recording_keeps_what_there_is() {
    let (replica, shell) = (Start::with(SIM).ready().await, Shell::new());
    let called = ended_early(&replica, &shell, |recorder, _| {
        kill_process(Pid::from_child(recorder), Signal::INT).unwrap();
    });
    assert!(!called.await.stderr.contains("before the time was up"));
}

/// A recording that is shorter than was asked for says so.
#[tokio::test]
async fn a_server_that_ends_a_recording_is_named() {
    let (replica, shell) = (Start::with(SIM).ready().await, Shell::new());
    let called = ended_early(&replica, &shell, |_, replica| replica.terminate());
    let said = format!("http://{} ended it before the time was up", replica.admin);
    assert!(called.await.stderr.contains(&said));
}

/// Records until there is something, and ends it in some way: what there is is kept.
async fn ended_early(
    replica: &Replica,
    shell: &Shell,
    end: impl FnOnce(&Child, &Replica),
) -> Called {
    let admin = format!("http://{}", replica.admin);
    let mut recorder = shell.command(["record", &admin, "--time", "10m", "--out", OUT]);
    recorder.stdout(Stdio::piped()).stderr(Stdio::piped());
    let recorder = recorder.spawn().unwrap();
    let files = || -> Vec<_> {
        let entries = std::fs::read_dir(shell.path()).unwrap();
        entries.map(|entry| entry.unwrap()).collect()
    };
    let is_written = |file: &std::fs::DirEntry| file.metadata().unwrap().len() > 0;
    while !files().iter().any(is_written) {
        let answer = replica.post("/embed", &json!(["a text"])).await;
        assert_eq!(answer.status, 200);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    end(&recorder, replica);
    let called = Called::from(recorder.wait_with_output().unwrap());
    assert_eq!(called.code, 0, "{called:?}");
    let text = std::fs::read_to_string(shell.path().join(OUT)).unwrap();
    assert!(!lines(&text).is_empty());
    assert_eq!(files().len(), 1);
    called
}

/// The file that a link leads to is written, and the link stays.
#[tokio::test]
async fn a_recording_goes_where_a_link_leads() {
    let (replica, shell) = (Start::with(SIM).ready().await, Shell::new());
    shell.write("kept.ndjson", "an earlier one\n");
    let link = shell.path().join(OUT);
    std::os::unix::fs::symlink("kept.ndjson", &link).unwrap();
    let (called, lines) = record(&replica, &shell).await;
    assert_eq!((called.code, lines.len()), (0, 6), "{called:?}");
    assert!(link.is_symlink());
}

#[tokio::test]
async fn what_users_ask_a_replica_becomes_a_plan() {
    let (replica, shell) = (Start::with(SIM).ready().await, Shell::new());
    let (called, lines) = record(&replica, &shell).await;
    insta::assert_snapshot!(called.whole());
    assert_eq!(lines.len(), 6);
    assert!(
        lines
            .iter()
            .all(|line| line["path"] == "/embed" && line["body"].is_array())
    );

    // For somebody else's server: requests as they were, the most frequent first.
    let plan = shell.call([
        "plan",
        "--engine",
        "http",
        "--upstream",
        "h:1",
        "--from",
        "requests.ndjson",
    ]);
    assert_eq!(plan.code, 0, "{plan:?}");
    assert!(
        plan.stdout.contains("stand for 100.0 % of 6 requests"),
        "{plan:?}"
    );
    assert!(
        plan.stdout
            .contains("path = \"/embed\"\nbody = [\"text number"),
        "{plan:?}"
    );
    // What it prints are keys of a configuration.
    let config = format!(
        "[[model]]\nengine = \"http\"\nhttp.url = \"h:1\"\n{}",
        plan.stdout
    );
    shell.write("served.toml", &config);
    let check = shell.call(["check", "--config", "served.toml"]);
    assert_eq!(check.code, 0, "{check:?}");

    // For a model of ours: shape classes, by its own tokenizer.
    let model = model_folder().display().to_string();
    let plan = shell.call([
        "plan",
        &model,
        "--from",
        "requests.ndjson",
        "--share",
        "0.5",
    ]);
    assert_eq!(plan.code, 0, "{plan:?}");
    assert!(
        plan.stdout.contains("1 shape class stands for 66.7 %"),
        "{plan:?}"
    );
    assert!(
        plan.stdout
            .contains("generate = { texts = 1, tokens = 16 }"),
        "{plan:?}"
    );
}

#[tokio::test]
async fn what_users_ask_a_gateway_is_recorded_too() {
    let config = format!("[drain]\ndelay = \"0s\"\n[fleet]\nmax = 1\nspares = 0\n{SIM}");
    let gateway = Start::with(&config).gateway().ready().await;
    let shell = Shell::new();
    let (called, lines) = record(&gateway, &shell).await;
    assert_eq!((called.code, lines.len()), (0, 6), "{called:?}");
}

#[test]
fn an_access_log_tells_paths_and_a_model_tells_the_rest() {
    let shell = Shell::new();
    let mut log = String::from("INFO: Started server process\n");
    for _ in 0..9 {
        log += "INFO:     127.0.0.1:5 - \"POST /embed HTTP/1.1\" 200 OK\n";
    }
    log += "INFO:     127.0.0.1:5 - \"POST /rerank HTTP/1.1\" 200 OK\n";
    shell.write("access.log", &log);
    let http = [
        "plan",
        "--engine",
        "http",
        "--upstream",
        "h:1",
        "--from",
        "access.log",
    ];
    let plan = shell.call(http.into_iter().chain(["--share", "0.9"]));
    assert!(
        plan.stdout
            .starts_with("# 1 kind of request stands for 90.0 % of 10"),
        "{plan:?}"
    );
    assert!(plan.stdout.contains("path = \"/embed\""), "{plan:?}");

    let model = model_folder().display().to_string();
    let without_bodies = shell.call(["plan", &model, "--from", "access.log"]);
    assert_eq!(without_bodies.code, 10, "{without_bodies:?}");
    let derived = shell.call(["plan", &model]);
    assert!(derived.stdout.contains("name = \"1x16\""), "{derived:?}");
    shell.write("empty.log", "nothing\n");
    assert_eq!(shell.call(["plan", &model, "--from", "empty.log"]).code, 10);
}

#[tokio::test]
async fn a_replica_is_held_against_its_promises() {
    let replica = Start::with(SIM).ready().await;
    let shell = Shell::new();
    let url = format!("http://{}", replica.http);
    let audit = shell.call(["audit", &url, "--json"]);
    let json = audit.json();
    let whats: Vec<_> = json["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| &c["what"])
        .collect();
    assert_eq!(
        whats,
        [
            "first request against the next ones",
            "peak memory of its limit"
        ]
    );
    assert_eq!(json["checks"][1]["ok"], true, "{json:#}");
    assert_eq!(audit.code, if json["ok"] == true { 0 } else { 14 });

    // A limit that its memory does not fit is a promise that is broken.
    let tight = format!("[memory]\nlimit = \"1MB\"\nheadroom = 0.0\n[warmup]\nskip = true\n{SIM}");
    let replica = Start::with(&tight).ready().await;
    let url = format!("http://{}", replica.http);
    let audit = shell.call(["audit", &url, "--json"]);
    assert_eq!(
        (audit.code, &audit.json()["checks"][1]["ok"]),
        (14, &json!(false)),
        "{audit:?}"
    );
}

#[tokio::test]
async fn a_gateway_is_audited_from_no_replica_to_two_and_set_back() {
    let fleet = "min = 0\nmax = 3\nspares = 0\nscale_to_zero = true\nlinger = \"200ms\"";
    let config = format!("[drain]\ndelay = \"0s\"\n[slo]\np95 = \"5s\"\n[fleet]\n{fleet}\n{SIM}");
    let gateway = Start::with(&config).gateway().ready().await;
    let [url, admin] = [gateway.http, gateway.admin].map(|address| format!("http://{address}"));
    let shell = Shell::new();
    let audit = shell.call([
        "audit",
        &url,
        "--admin",
        &admin,
        "--replicas",
        "2",
        "--time",
        "300ms",
        "--json",
    ]);
    let json = audit.json();
    let checks = json["checks"].as_array().unwrap();
    let find = |what: &str| checks.iter().find(|c| c["what"] == what).unwrap();
    assert_eq!(
        find("first request with no replica")["ok"],
        true,
        "{json:#}"
    );
    assert_eq!(find("errors while replicas come")["ok"], true, "{json:#}");
    let p95 = find("p95 while replicas come, by their number")["value"]
        .as_str()
        .unwrap();
    assert!(p95.starts_with("1: ") && p95.contains(", 2: "), "{p95}");
    let service = client::get(gateway.admin, "/v1/services/embedder")
        .await
        .unwrap()
        .json();
    assert_eq!((&service["min"], &service["max"]), (&json!(0), &json!(3)));
}

/// Whoever loses patience leaves no gateway behind that is held at one replica. Its model has a name that
/// no path holds as it is.
#[tokio::test]
async fn an_audit_that_is_interrupted_sets_back_what_it_changed() {
    let sim = SIM.replace("\"embedder\"", "\"org/model\"");
    let config = format!("[drain]\ndelay = \"0s\"\n[fleet]\nmin = 1\nmax = 3\nspares = 0\n{sim}");
    let gateway = Start::with(&config).gateway().ready().await;
    let bounds = async || {
        let service = client::get(gateway.admin, "/v1/services/org%2Fmodel").await;
        let service = service.unwrap().json();
        (service["min"].clone(), service["max"].clone())
    };
    let before = bounds().await;
    let [url, admin] = [gateway.http, gateway.admin].map(|address| format!("http://{address}"));
    let shell = Shell::new();
    let mut audit = shell
        .command(["audit", &url, "--admin", &admin, "--time", "10m"])
        .spawn()
        .unwrap();
    while bounds().await == before {
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert!(audit.try_wait().unwrap().is_none(), "it ended by itself");
    }
    kill_process(Pid::from_child(&audit), Signal::INT).unwrap();
    assert_eq!(audit.wait().unwrap().code(), Some(1));
    assert_eq!(bounds().await, before);
}

#[tokio::test]
async fn a_plan_of_live_traffic_says_that_nobody_asked() {
    let (replica, shell) = (Start::with(SIM).ready().await, Shell::new());
    let admin = format!("http://{}", replica.admin);
    let command = shell.command(["plan", "--from", &admin, "--time", "100ms"]);
    let called = tokio::process::Command::from(command).output().await;
    let called = Called::from(called.unwrap());
    assert_eq!(called.code, 10, "{called:?}");
    assert!(
        called
            .stderr
            .contains("nobody asked for anything within 100ms"),
        "{called:?}"
    );
    assert!(called.stderr.contains("--time"), "{called:?}");
}
