//! Who warms while others serve does it behind them, as far as the system allows; who is waited for
//! does not.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use super::{SIM, at_once, processes, replicas, scale, serving, start_with, until};
use crate::replica::{Replica, Start, signal};

/// Loading takes long enough to be looked at.
fn slow() -> Start {
    let model = SIM.replace("weights = \"20ms\"", "weights = \"2s\"");
    assert_ne!(model, SIM);
    start_with("min = 1\nmax = 3\nspares = 0", &model)
}

/// Of one thread: its scheduling policy and its niceness.
type Priority = (i64, i64);

const ORDINARY: i64 = 0;
const BATCH: i64 = 3;

/// The priorities of all threads; the first is that of the process itself.
fn priorities(pid: u32) -> Vec<Priority> {
    let of = |thread: &str| {
        let stat = fs::read_to_string(format!("/proc/{pid}/task/{thread}/stat")).ok()?;
        // What follows the name, which may hold anything: the third field and those after it.
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
        Some((fields.get(38)?.parse().ok()?, fields.get(16)?.parse().ok()?))
    };
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let mut names: Vec<u32> = threads
        .map(|entry| {
            entry
                .unwrap()
                .file_name()
                .to_str()
                .unwrap()
                .parse()
                .unwrap()
        })
        .collect();
    names.sort_unstable();
    names
        .iter()
        .filter_map(|name| of(&name.to_string()))
        .collect()
}

fn is_behind(pid: u32) -> bool {
    priorities(pid).iter().any(|(policy, _)| *policy == BATCH)
}

/// The process of the newest replica, once it loads.
async fn loading(gateway: &Replica, count: usize) -> u32 {
    let loads = |r: &Value| r["phase"] == "loading";
    let found = until(gateway, "a replica that loads", |s| {
        replicas(s, |_| true).count() == count && replicas(s, loads).count() == 1
    })
    .await;
    let pid = replicas(&found, loads).next().unwrap()["pid"].as_u64();
    u32::try_from(pid.unwrap()).unwrap()
}

#[tokio::test]
async fn a_newcomer_loads_behind_those_that_serve_and_proves_itself_beside_them() {
    let mut gateway = slow().spawn();
    gateway.wait_for("there", |ready| ready.status == 503).await;
    let first = loading(&gateway, 1).await;
    assert!(!is_behind(first), "nobody serves: {:?}", priorities(first));
    until(&gateway, "one", |s| serving(s) == 1).await;

    scale(&gateway, 2).await;
    let second = loading(&gateway, 2).await;
    let (policy, nice) = priorities(second)[0];
    assert_eq!(policy, BATCH);
    assert!(nice >= priorities(first)[0].1);
    assert!(!is_behind(first));
    assert_eq!(at_once(&gateway, 1).await[0].status, 200);

    until(&gateway, "two", |s| serving(s) == 2).await;
    assert!(!is_behind(second), "{:?}", priorities(second));
    assert_eq!(priorities(second)[0], priorities(first)[0]);
    assert_eq!(priorities(second)[0].0, ORDINARY);
}

#[tokio::test]
async fn one_that_loads_behind_catches_up_when_nobody_serves_any_more() {
    let gateway = slow().ready().await;
    let first = processes(&super::service(&gateway).await)[0];
    scale(&gateway, 2).await;
    let second = loading(&gateway, 2).await;
    assert!(is_behind(second));
    signal(first, Signal::KILL);
    until(&gateway, "in a hurry", |_| !is_behind(second)).await;
    let loads = |r: &Value| r["phase"] == "loading" && r["pid"] == second;
    let service = super::service(&gateway).await;
    assert_eq!(
        replicas(&service, loads).count(),
        1,
        "before its proof: {service:#}"
    );
    until(&gateway, "two", |s| serving(s) == 2).await;
}
