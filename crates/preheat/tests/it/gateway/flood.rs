//! Far more requests than may wait, for a service that has no replica.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use http::{Method, Version};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::{SIM, nobody_was_cold, processes, replicas, service};
use crate::client::{self, Answer, Connection};
use crate::replica::{Replica, Start};

const CONNECTIONS: usize = 100;
const STREAMS: usize = 200;
const HELD: u64 = 512;
const HELD_BYTES: u64 = 1_000_000;
const CONCURRENCY: u64 = 4;

/// Bytes that all of this may take of the gateway, some kilobytes for each stream: seen 40 million.
const GROWN: u64 = 120_000_000;

/// Two thousandths of the bytes that may be held.
fn body(at: usize) -> String {
    json!([format!("{at} {}", "x ".repeat(1000))]).to_string()
}

async fn flood(gateway: &Replica) -> Vec<Answer> {
    let mut connections = JoinSet::new();
    for one in 0..CONNECTIONS {
        let address = gateway.http;
        let request = move |at| client::request(Method::POST, "/embed", body(one * STREAMS + at));
        let requests: Vec<_> = (0..STREAMS).map(request).collect();
        connections.spawn(async move {
            let connection = Connection::open(address, Version::HTTP_2).await.unwrap();
            connection.send_at_once(requests).await
        });
    }
    let answers = connections.join_all().await;
    answers.into_iter().flatten().map(Result::unwrap).collect()
}

/// The most of what was ever seen of the service.
#[derive(Debug, Default)]
struct Most {
    held: u64,
    held_bytes: u64,
    in_flight: u64,
    replicas: usize,
}

async fn watch(gateway: &Replica, most: &mut Most) {
    loop {
        let service = service(gateway).await;
        let number = |key: &str| service[key].as_u64().unwrap();
        most.held = most.held.max(number("held"));
        most.held_bytes = most.held_bytes.max(number("held_bytes"));
        let in_flight = replicas(&service, |_| true).map(|r| r["in_flight"].as_u64().unwrap());
        most.in_flight = most.in_flight.max(in_flight.max().unwrap_or(0));
        most.replicas = most.replicas.max(processes(&service).len());
        sleep(Duration::from_millis(1)).await;
    }
}

/// Bytes of a process in memory at most.
fn peak(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes: u64 = line
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    kilobytes * 1024
}

#[tokio::test]
async fn twenty_thousand_requests_at_zero_are_held_in_bounds_and_released_one_by_one() {
    let model = SIM.replace("weights = \"20ms\"", "weights = \"1s\"");
    let model = model.replace("run = \"20ms\"", "run = \"1ms\"");
    let config = format!(
        "[fleet]\nscale_to_zero = true\nmax = 2\nconcurrency = {CONCURRENCY}\n\
         hold_requests = {HELD}\nhold_bytes = \"1MB\"\n{model}"
    );
    let mut gateway = Start::with(&config).gateway().spawn();
    gateway.wait_for("idle", |ready| ready.status == 200).await;
    let before = peak(gateway.pid());
    let mut most = Most::default();
    let answers = tokio::select! {
        answers = flood(&gateway) => answers,
        () = watch(&gateway, &mut most) => unreachable!(),
    };

    let mut counts = BTreeMap::new();
    for answer in &answers {
        let code = match answer.status.as_u16() {
            200 => "answered".to_owned(),
            503 | 429 => {
                assert!(!answer.header("retry-after").is_empty(), "{answer:?}");
                answer.json()["code"].as_str().unwrap().to_owned()
            }
            _ => panic!("{answer:?}"),
        };
        *counts.entry(code).or_insert(0) += 1;
    }
    let documented = ["answered", "hold_full", "hold_bytes_full", "too_late"];
    let all_known = counts
        .keys()
        .all(|code| documented.contains(&code.as_str()));
    assert!(all_known, "{counts:?}");
    assert_eq!(answers.len(), CONNECTIONS * STREAMS);
    let grown = peak(gateway.pid()) - before;
    assert!(counts["answered"] > 100, "{counts:?}");
    assert!(
        most.held <= HELD && most.held_bytes <= HELD_BYTES,
        "{most:?}"
    );
    assert!(most.held > HELD / 4, "it was a flood: {most:?}");
    assert!(
        most.in_flight <= CONCURRENCY && most.replicas <= 2,
        "{most:?}"
    );
    assert!(grown < GROWN, "{grown} bytes more");
    nobody_was_cold(&gateway).await;
}
