//! A gateway and its fleet: real processes, real signals, and users who must not notice.

mod adopt;
mod cell;
mod certificates;
mod chaos;
mod fleet;
mod flood;
mod interface;
mod priority;
mod rollout;

use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::client::{self, Answer};
use crate::replica::{Replica, Start};

const PATIENCE: Duration = Duration::from_secs(60);

/// Replicas that take 20 ms for a request, one after the other.
const SIM: &str = r#"
[[model]]
name = "embedder"
engine = "sim"
[model.batching]
max_batch = 1
buckets = { batch = [1], tokens = [16] }
[model.sim]
weights = "20ms"
first_run = "5ms"
run = "20ms"
"#;

fn start(fleet: &str) -> Start {
    start_with(fleet, SIM)
}

fn start_with(fleet: &str, model: &str) -> Start {
    // A machine that runs other tests at the same time is no reason to refuse anybody.
    let patient = "[drain]\ndelay = \"0s\"\n[slo]\np95 = \"5s\"\n";
    let config = format!("{patient}[fleet]\n{fleet}\n{model}");
    Start::with(&config).gateway()
}

async fn service(gateway: &Replica) -> Value {
    let answer = client::get(gateway.admin, "/v1/services/embedder").await;
    answer.unwrap().json()
}

/// Asks for the service until it is as wanted.
async fn until(gateway: &Replica, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let service = service(gateway).await;
        if wanted(&service) {
            return service;
        }
        assert!(Instant::now() < deadline, "never {what}: {service:#}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn serving(service: &Value) -> usize {
    replicas(service, |r| r["serving"] == true).count()
}

fn replicas(service: &Value, are: impl Fn(&Value) -> bool) -> impl Iterator<Item = &Value> {
    let all = service["replicas"].as_array().unwrap();
    all.iter().filter(move |replica| are(replica))
}

/// Asks for so many replicas, no more and no less.
async fn scale(gateway: &Replica, to: usize) {
    let wish = json!({ "min": to, "max": to }).to_string();
    let order = client::request(Method::POST, "/v1/services/embedder:scale", wish);
    let answer = client::send(gateway.admin, order).await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
}

fn processes(service: &Value) -> Vec<u32> {
    let id = |replica: &Value| u32::try_from(replica["pid"].as_u64().unwrap()).unwrap();
    replicas(service, |_| true).map(id).collect()
}

/// So many requests at once, each on a connection of its own.
async fn at_once(gateway: &Replica, count: usize) -> Vec<Answer> {
    let mut asking = JoinSet::new();
    for at in 0..count {
        let request = client::request(
            Method::POST,
            "/embed",
            json!([format!("text {at}")]).to_string(),
        );
        asking.spawn(client::send(gateway.http, request));
    }
    let mut answers = Vec::new();
    while let Some(answer) = asking.join_next().await {
        answers.push(answer.unwrap().unwrap());
    }
    answers
}

/// A number on the gateway's page of metrics; 0 where there is no such line.
async fn metric(gateway: &Replica, start: &str) -> f64 {
    let page = client::get(gateway.admin, "/metrics").await.unwrap().text();
    let lines = page.lines().filter(|line| line.starts_with(start));
    let value = |line: &str| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
    lines.map(value).sum()
}

async fn nobody_was_cold(gateway: &Replica) {
    assert_eq!(metric(gateway, "preheat_cold_requests_total").await, 0.0);
}
