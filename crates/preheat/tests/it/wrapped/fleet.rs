//! A gateway whose replicas are wrapped servers.

use http::Method;
use serde_json::json;
use tokio::task::JoinSet;

use super::{EMBED, fastapi, living, server, until};
use crate::client;
use crate::replica::{Replica, Start, root, signal};

fn config(fleet: &str, http: &str) -> String {
    let model = EMBED.replace(
        "name = \"plain\"\n",
        &format!(
            "name = \"plain\"\nengine = \"http\"\n[model.http]\n{http}\ncommand = [\"node\", '{}']\n",
            server("plain.mjs")
        ),
    );
    format!("[slo]\np95 = \"5s\"\n[fleet]\n{fleet}\n{model}")
}

async fn service(gateway: &Replica) -> serde_json::Value {
    let answer = client::get(gateway.admin, "/v1/services/plain").await;
    answer.unwrap().json()
}

#[tokio::test]
async fn scales_from_zero_and_loses_no_request() {
    let fleet = "min = 0\nmax = 2\nspares = 0\nscale_to_zero = true";
    let mut gateway = Start::with(&config(fleet, "")).gateway().ready().await;
    // Held while a server is started, warmed and proven.
    let mut asking = JoinSet::new();
    for length in 1..=3 {
        let body = json!(["x".repeat(length)]).to_string();
        let request = client::request(Method::POST, "/embed", body);
        let http = gateway.http;
        asking.spawn(async move { (length, client::send(http, request).await.unwrap()) });
    }
    while let Some(answered) = asking.join_next().await {
        let (length, answer) = answered.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["embeddings"], json!([[length, 1]]));
        assert_eq!(answer.header("preheat-warm"), "proven");
    }
    gateway.terminate();
    assert_eq!(gateway.exit().await.code(), Some(0));
}

#[tokio::test]
async fn what_may_have_been_executed_is_sent_again_only_where_that_is_declared_harmless() {
    for (pure, status) in [(false, 503), (true, 200)] {
        let http = format!("pure = {pure}");
        let gateway = Start::with(&config("min = 2\nmax = 2\nspares = 0", &http)).gateway();
        let gateway = gateway.ready().await;
        let two = async || {
            let service = service(&gateway).await;
            service["replicas"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|r| r["serving"] == true)
                .count()
        };
        while two().await < 2 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let request = client::request(Method::POST, "/embed?slow=1", json!(["abc"]).to_string());
        let mut asking = JoinSet::new();
        asking.spawn(client::send(gateway.http, request));
        let mut busy = None;
        while busy.is_none() {
            let service = service(&gateway).await;
            let replicas = service["replicas"].as_array().unwrap();
            busy = replicas
                .iter()
                .find(|r| r["in_flight"] == 1)
                .and_then(|r| r["pid"].as_u64());
        }
        signal(
            u32::try_from(busy.unwrap()).unwrap(),
            rustix::process::Signal::KILL,
        );
        let answer = asking.join_next().await.unwrap().unwrap().unwrap();
        assert_eq!(answer.status, status, "pure = {pure}: {answer:?}");
    }
}

#[tokio::test]
async fn its_servers_end_with_a_gateway_that_is_killed() {
    let mark = format!("fleet-{}", std::process::id());
    let http = format!("env = {{ MARK = \"{mark}\" }}");
    let config = config("min = 1\nmax = 1\nspares = 0", &http)
        .replace("\"node\", ", &format!("\"node\", \"--title={mark}\", "));
    let mut gateway = Start::with(&config).gateway().ready().await;
    assert!(!living(&mark).is_empty());
    gateway.kill();
    gateway.exit().await;
    until("no orphan", || living(&mark).is_empty()).await;
}

#[tokio::test]
async fn a_websocket_is_spoken_through_gateway_and_replica() {
    let (plan, command) = fastapi();
    let command = serde_json::to_string(&command).unwrap();
    let plan = plan.replace(
        "[model.http]\n",
        &format!("engine = \"http\"\n[model.http]\ncommand = {command}\n"),
    );
    let config = format!("[slo]\np95 = \"5s\"\n[fleet]\nmin = 1\nmax = 1\nspares = 0\n{plan}");
    let mut gateway = Start::with(&config).gateway().ready().await;
    // It describes itself, too: our own routes are not what is served here.
    let described = client::get(gateway.http, "/openapi.json")
        .await
        .unwrap()
        .json();
    assert!(described["paths"]["/speech"].is_object(), "{described}");
    let http = gateway.http.to_string();
    let spoken = tokio::task::spawn_blocking(move || {
        std::process::Command::new(root().join("target/venv/bin/python"))
            .arg(root().join("tests/clients/websocket_client.py"))
            .env("PREHEAT_TEST_HTTP", http)
            .env("NO_PROXY", "*")
            .output()
            .unwrap()
    });
    let spoken = spoken.await.unwrap();
    let said = String::from_utf8_lossy(&spoken.stdout).into_owned();
    let complained = String::from_utf8_lossy(&spoken.stderr).into_owned();
    assert_eq!(said, "ok\n", "{complained}");
    // Its end was an end: nothing is left that a drain would have to cut.
    gateway.terminate();
    assert_eq!(gateway.exit().await.code(), Some(0));
}
