//! Killed, stopped, told to leave: what users must not notice, and what must not be left behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::{Method, Version};
use rustix::process::{Pid, Signal, test_kill_process};
use serde_json::json;
use tokio::task::JoinSet;

use super::{SIM, at_once, metric, nobody_was_cold, processes, replicas, serving, start, until};
use crate::client::{self, Connection};
use crate::replica::{Replica, Start, signal};

const CLIENTS: usize = 6;

/// Clients that ask without a pause until they are told to stop; every answer must be 200.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: JoinSet<()>,
}

impl Load {
    pub(super) fn on(gateway: &Replica) -> Self {
        let (stop, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let (stop, answered, address) = (stop.clone(), answered.clone(), gateway.http);
            clients.spawn(async move {
                let mut connection = Connection::open(address, Version::HTTP_11).await.unwrap();
                while !stop.load(Ordering::Relaxed) {
                    let body = json!(["x"]).to_string();
                    let request = client::request(Method::POST, "/embed", body);
                    let answer = connection.send(request).await.unwrap();
                    assert_eq!(answer.status, 200, "{answer:?}");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        Load {
            stop,
            answered,
            clients,
        }
    }

    /// Waits until so many more have been answered.
    pub(super) async fn more(&mut self, count: usize) {
        let goal = self.answered.load(Ordering::Relaxed) + count;
        while self.answered.load(Ordering::Relaxed) < goal {
            if let Some(ended) = self.clients.try_join_next() {
                ended.unwrap();
                panic!("a client ended by itself");
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    pub(super) async fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(client) = self.clients.join_next().await {
            client.unwrap();
        }
    }
}

#[tokio::test]
async fn a_replica_killed_under_load_costs_time_alone() {
    let gateway = start("min = 2\nmax = 3\nconcurrency = 4").ready().await;
    until(&gateway, "two", |s| serving(s) == 2).await;
    let mut load = Load::on(&gateway);
    for _ in 0..3 {
        load.more(40).await;
        let service = until(&gateway, "two again", |s| serving(s) == 2).await;
        let busiest = replicas(&service, |r| r["serving"] == true)
            .max_by_key(|r| r["in_flight"].as_u64())
            .unwrap();
        let victim = u32::try_from(busiest["pid"].as_u64().unwrap()).unwrap();
        signal(victim, Signal::KILL);
        load.more(40).await;
    }
    load.end().await;
    let lost = metric(&gateway, "preheat_retries_total").await;
    assert!(
        lost >= 1.0,
        "nobody was at the killed replicas: nothing was tested"
    );
    nobody_was_cold(&gateway).await;
}

/// The only one there is: its clients wait for the next.
#[tokio::test]
async fn the_last_replica_killed_under_load_is_waited_for() {
    let gateway = start("min = 1\nmax = 2\nspares = 0\nconcurrency = 8")
        .ready()
        .await;
    let service = until(&gateway, "one", |s| serving(s) == 1).await;
    let mut load = Load::on(&gateway);
    load.more(30).await;
    for process in processes(&service) {
        signal(process, Signal::KILL);
    }
    load.more(30).await;
    load.end().await;
    nobody_was_cold(&gateway).await;
}

/// It is not dead: it takes connections, and nobody answers on them.
#[tokio::test]
async fn a_replica_that_hangs_gets_nothing_new_until_it_is_heard_again() {
    let gateway = start("min = 2\nmax = 2\nconcurrency = 2").ready().await;
    let service = until(&gateway, "two", |s| serving(s) == 2).await;
    let victim = processes(&service)[0];
    let mut load = Load::on(&gateway);
    load.more(20).await;
    signal(victim, Signal::STOP);
    until(&gateway, "withdrawn", |s| serving(s) == 1).await;
    load.more(20).await;
    signal(victim, Signal::CONT);
    let service = until(&gateway, "two again", |s| serving(s) == 2).await;
    assert!(processes(&service).contains(&victim), "{service:#}");
    load.end().await;
}

/// Slow for its first users, it is warmed and proven again, and serves again.
#[tokio::test]
async fn a_newcomer_that_misses_the_objective_comes_back_from_warming() {
    let config = format!(
        "[drain]\ndelay = \"0s\"\n[slo]\np95 = \"500ms\"\n\
         [fleet]\nmin = 2\nmax = 2\nspares = 0\nconcurrency = 4\n{SIM}"
    );
    let gateway = Start::with(&config).gateway().ready().await;
    let service = until(&gateway, "two", |s| serving(s) == 2).await;
    let victim = processes(&service)[0];
    signal(victim, Signal::STOP);
    let asking = at_once(&gateway, 8);
    let meanwhile = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        signal(victim, Signal::CONT);
    };
    let (answers, ()) = tokio::join!(asking, meanwhile);
    assert!(answers.iter().any(|answer| answer.status == 200));
    until_decided(&gateway, "rewarm").await;
    let service = until(&gateway, "two again", |s| serving(s) == 2).await;
    assert!(processes(&service).contains(&victim), "{service:#}");
}

#[tokio::test]
async fn a_gateway_that_leaves_takes_its_replicas_along() {
    let mut gateway = start("min = 2\nspares = 1").ready().await;
    let service = until(&gateway, "three", |s| {
        replicas(s, |r| r["phase"] == "ready").count() == 3
    });
    let processes = processes(&service.await);
    gateway.terminate();
    assert_eq!(gateway.exit().await.code(), Some(0), "{}", gateway.log());
    for process in processes {
        assert!(!lives(process), "{process} was left");
    }
}

#[tokio::test]
async fn a_gateway_that_dies_and_has_no_successor_takes_its_replicas_along() {
    let fleet = "min = 2\nadopt_within = \"200ms\"";
    let mut gateway = start(fleet).ready().await;
    let service = until(&gateway, "two", |s| serving(s) == 2).await;
    gateway.kill();
    gateway.exit().await;
    gone(&processes(&service)).await;
}

async fn until_decided(gateway: &Replica, action: &str) {
    let deadline = Instant::now() + super::PATIENCE;
    loop {
        let decisions = client::get(gateway.admin, "/v1/decisions").await.unwrap();
        let decisions = decisions.json();
        let mut all = decisions.as_array().unwrap().iter();
        if all.any(|decision| decision["action"] == action) {
            return;
        }
        assert!(Instant::now() < deadline, "never: {action}: {decisions:#}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until none of them lives.
pub(super) async fn gone(processes: &[u32]) {
    let deadline = Instant::now() + super::PATIENCE;
    while processes.iter().any(|&process| lives(process)) {
        assert!(Instant::now() < deadline, "{processes:?} were left");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether there is such a process. One that has ended and that nobody has asked about is gone too.
pub(super) fn lives(process: u32) -> bool {
    let id = Pid::from_raw(i32::try_from(process).unwrap()).unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let ended = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .trim_start()
        .starts_with('Z');
    test_kill_process(id).is_ok() && !ended
}
