//! The verbs that talk to a running replica.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::mask::masked;
use super::{Called, Shell};
use crate::replica::{Replica, SIM, Start};

/// Stays in loading for as long as a test may want to look at it.
const STUCK: &str = "[[model]]\nengine = \"sim\"\n[model.sim]\nweights = \"10m\"\n";

const FAULTY: &str = "[[model]]\nengine = \"sim\"\n[model.sim]\nfault = { kind = \"load\" }\n";

/// Calls without holding up the runtime.
async fn call(args: &[&str]) -> Called {
    let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
    let called = tokio::task::spawn_blocking(move || Shell::new().call(args));
    called.await.unwrap()
}

fn url(replica: &Replica) -> String {
    format!("http://{}", replica.http)
}

#[tokio::test]
async fn status_is_the_report_and_its_exit_code_the_probe() {
    let replica = Start::with(SIM).ready().await;
    for url in [url(&replica), replica.admin.to_string()] {
        let status = call(&["status", &url]).await;
        assert_eq!(status.code, 0, "{status:?}");
        assert!(status.stdout.contains("\nready, "), "{status:?}");
        assert_eq!(status.stderr, "");
        let json = call(&["status", &url, "--json"]).await.json();
        assert_eq!(json["models"][0]["proof"]["status"], "passed");
    }
}

#[tokio::test]
async fn who_is_not_ready_is_alive_and_says_what_it_does() {
    let mut replica = Start::with(STUCK).spawn();
    let is_loading = |answer: &crate::client::Answer| answer.json()["phase"] == "loading";
    replica.wait_for("loading", is_loading).await;
    let url = url(&replica);
    let status = call(&["status", &url]).await;
    assert_eq!(status.code, 1, "{status:?}");
    assert!(status.stdout.ends_with("\nloading\n"), "{status:?}");

    let alive = call(&["wait", "--for", "alive", &url, "--json"]).await;
    assert_eq!(alive.json()["status"], "alive");
    assert!(
        alive.stderr.ends_with(": alive (status 200)\n"),
        "{alive:?}"
    );
    let told = call(&["wait", &url, "--timeout", "100ms", "--json"]).await;
    assert_eq!(
        (told.code, told.json()["phase"].as_str()),
        (18, Some("loading"))
    );
    assert_eq!(alive.code, 0, "{alive:?}");
    let ready = call(&["wait", &url, "--timeout", "300ms"]).await;
    assert_eq!(ready.code, 18, "{ready:?}");
    let said: Vec<_> = ready.stderr.lines().collect();
    assert_eq!(said[0], format!("waiting for {url}: loading"));
    assert_eq!(
        said[1],
        "preheat: wait failed: not ready within 300ms: loading"
    );
    assert_eq!(said.len(), 4, "once, however often it was asked: {said:?}");
}

#[tokio::test]
async fn nobody_there_is_said_as_such() {
    // Bound and not listening would be refused too, but this address is free for sure.
    let [free, ..] = crate::replica::free_addresses();
    let free = free.to_string();
    let status = call(&["status", &free]).await;
    assert_eq!(status.code, 1);
    let want = format!("status failed: nobody listens at http://{free}");
    assert!(status.stderr.contains(&want), "{status:?}");
    let socket = call(&["status", "unix:/nowhere/x.sock"]).await;
    assert!(socket.stderr.contains("unix:/nowhere/x.sock"), "{socket:?}");
    let wait = call(&["wait", &free, "--timeout", "200ms", "--json"]).await;
    assert_eq!(wait.code, 18, "{wait:?}");
    assert_eq!(wait.json()["status"], "unreachable");
}

/// Not for ever: a test that hangs tells nothing.
fn ended(child: &mut Child) -> ExitStatus {
    let patience = Instant::now() + Duration::from_secs(20);
    loop {
        match child.try_wait().unwrap() {
            Some(status) => return status,
            None if Instant::now() > patience => {
                child.kill().unwrap();
                panic!("it does not end");
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// `preheat status --watch | head -1`: there is nothing new to write, and nobody to read it.
#[test]
fn a_watch_ends_when_nobody_reads_it_any_more() {
    let [free, ..] = crate::replica::free_addresses();
    let shell = Shell::new();
    let mut watch = shell.command(["status", "--watch", &free.to_string()]);
    let mut watch = watch.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut reader = BufReader::new(watch.stdout.take().unwrap());
    reader.read_line(&mut line).unwrap();
    assert!(line.contains("nobody listens"), "{line}");
    drop(reader);
    assert_eq!(ended(&mut watch).code(), Some(1));
}

#[test]
fn a_watch_of_a_server_that_hangs_can_be_interrupted() {
    let hangs = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = hangs.local_addr().unwrap().to_string();
    let shell = Shell::new();
    let mut watch = shell.command(["status", "--watch", &address]);
    let mut watch = watch.stdout(Stdio::piped()).spawn().unwrap();
    // It has asked, and there will be no answer.
    let asked = hangs.accept().unwrap();
    kill_process(Pid::from_child(&watch), Signal::INT).unwrap();
    assert_eq!(ended(&mut watch).code(), Some(1));
    let mut said = String::new();
    let mut reader = BufReader::new(watch.stdout.take().unwrap());
    reader.read_line(&mut said).unwrap();
    assert_eq!(said, "", "it ended before the time was up");
    drop(asked);
}

#[tokio::test]
async fn wait_begins_before_the_replica_and_ends_when_it_is_ready() {
    let addresses = crate::replica::free_addresses();
    let url = addresses[0].to_string();
    let args = ["wait", &url];
    let later = async { Start::with(SIM).at(addresses).spawn() };
    let (wait, replica) = tokio::join!(call(&args), later);
    assert_eq!(wait.code, 0, "{wait:?}");
    assert!(wait.stderr.contains(": ready, "), "{wait:?}");
    assert_eq!(replica.get("/ready").await.status, 200);
}

#[tokio::test]
async fn wait_stops_when_a_start_has_failed_for_good() {
    let replica = Start::with(FAULTY).spawn();
    let wait = call(&["wait", &url(&replica), "--timeout", "10m"]).await;
    assert_eq!(wait.code, 12, "{wait:?}");
    assert!(
        wait.stderr.contains("preheat: loading failed: "),
        "{wait:?}"
    );
}

#[tokio::test]
async fn wait_goes_on_while_a_start_is_tried_again() {
    let retry = Start::with(FAULTY).env("PREHEAT_ON_FAILURE", "retry");
    let mut replica = retry.spawn();
    let has_failed = |answer: &crate::client::Answer| answer.json()["phase"] == "failed";
    let report = replica.wait_for("failed", has_failed).await.json();
    assert_eq!(report["models"][0]["error"]["retry"], true);
    let wait = call(&["wait", &url(&replica), "--timeout", "300ms"]).await;
    assert_eq!(wait.code, 18, "{wait:?}");
}

#[tokio::test]
async fn bench_shows_first_requests_steady_state_and_load() {
    let replica = Start::with(SIM).ready().await;
    let url = url(&replica);
    let small = [
        "--first",
        "3",
        "--requests",
        "5",
        "--clients",
        "2",
        "--time",
        "300ms",
    ];
    let bench = call(&[&["bench", &url, "--json"], &small[..]].concat()).await;
    let figures = bench.json();
    assert_eq!(bench.code, 0, "{bench:?}");
    assert_eq!(figures["first_ms"].as_array().unwrap().len(), 3);
    let numbers = |part: &str, name: &str| figures[part][name].as_f64().unwrap();
    assert_eq!(numbers("steady", "answered"), 5.0);
    assert!(numbers("load", "answered") > 2.0, "{figures:#}");
    for part in ["first", "steady", "load"] {
        assert_eq!(figures[part]["errors"], Value::from(0), "{figures:#}");
        assert!(
            numbers(part, "p50_ms") >= 1.0,
            "the engine sleeps as long: {figures:#}"
        );
        assert!(numbers(part, "p95_ms") >= numbers(part, "p50_ms"));
    }
    let table = call(&[&["bench", &url], &small[..]].concat()).await;
    assert!(table.stdout.contains("load, 2 clients"), "{table:?}");
    insta::assert_snapshot!(masked(&table.stderr, &[(&url, "URL")]));
}

#[tokio::test]
async fn bench_of_what_is_not_ready_measures_nothing_and_says_so() {
    let mut replica = Start::with(STUCK).spawn();
    replica.wait_for("an answer", |_| true).await;
    let args = [
        "--first",
        "1",
        "--requests",
        "1",
        "--clients",
        "1",
        "--time",
        "50ms",
    ];
    let bench = call(&[&["bench", &url(&replica)], &args[..]].concat()).await;
    assert_eq!(bench.code, 1, "{bench:?}");
    assert!(
        bench.stderr.contains("no request was answered: status 503"),
        "{bench:?}"
    );
}

#[test]
fn bench_asks_for_no_more_than_a_request_holds() {
    let args = ["bench", "--texts", "10000", "--words", "100000"];
    let bench = Shell::new().call(args);
    assert_eq!(bench.code, 10, "{bench:?}");
    assert!(bench.stderr.contains("are too much"), "{bench:?}");
}

/// Measured once; from then on every start says how near it came.
#[test]
fn a_start_is_held_against_what_the_machine_allows() {
    let shell = Shell::with(SIM);
    let before = shell.call(["warm", "--json"]).json();
    assert!(before["models"][0].get("floor").is_none(), "{before}");
    let floor = shell.call(["floor", "--json"]).json();
    assert!(
        floor["machine"]["process_ms"].as_f64() > Some(0.0),
        "{floor}"
    );
    let start = &floor["start"];
    let part = |name: &str| start[name].as_f64().unwrap();
    let sum = part("process_ms") + part("map_ms") + part("runs_ms");
    assert!((part("ms") - sum).abs() < 0.01, "{start}");
    assert!(
        (part("ratio") - part("ready_ms") / part("ms")).abs() < 0.1,
        "{start}"
    );
    assert!(
        part("ratio") > 1.0,
        "the sim engine alone sleeps longer than that: {start}"
    );
    let after = shell.call(["warm"]);
    assert!(after.stdout.contains(" x the floor of "), "{after:?}");
}

#[tokio::test]
async fn drain_ends_a_replica_in_order_and_waits_until_it_has() {
    let mut replica = Start::with(SIM).ready().await;
    let refused = call(&["drain", &url(&replica)]).await;
    assert_eq!(refused.code, 1, "{refused:?}");
    let admin = replica.admin.to_string();
    let drained = call(&["drain", &admin]).await;
    assert_eq!(drained.code, 0, "{drained:?}");
    let said = format!("http://{admin} drains\nhttp://{admin} has ended\n");
    assert_eq!(drained.stderr, said);
    assert_eq!(replica.exit().await.code(), Some(0));
}
