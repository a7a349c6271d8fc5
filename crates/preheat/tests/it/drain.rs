//! Stopping under load: nothing that was accepted is lost, and what had to be cut is told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use http::{Method, Version};
use serde_json::json;
use tokio::task::JoinSet;

use crate::client::{self, Connection};
use crate::replica::{SIM, Start};

const CLIENTS: usize = 32;

/// What the clients saw together.
#[derive(Default)]
struct Seen {
    served: AtomicUsize,
    /// Set before the signal is sent: from then on refusals are in order.
    stopping: AtomicBool,
}

#[tokio::test]
async fn http1_clients_lose_nothing() {
    lose_nothing(Version::HTTP_11).await;
}

#[tokio::test]
async fn http2_clients_lose_nothing() {
    lose_nothing(Version::HTTP_2).await;
}

async fn lose_nothing(version: Version) {
    // The race between the signal and a request has many outcomes; one stop sees few of them.
    for _ in 0..3 {
        let config = format!("[drain]\ndelay = \"300ms\"\ntimeout = \"20s\"\n{SIM}");
        let mut replica = Start::with(&config).ready().await;
        let seen = Arc::new(Seen::default());
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            clients.spawn(ask_until_stopped(replica.http, version, seen.clone()));
        }
        while seen.served.load(Ordering::SeqCst) < 10 * CLIENTS {
            tokio::task::yield_now().await;
            assert!(
                clients.try_join_next().is_none(),
                "a client gave up before the stop"
            );
        }
        seen.stopping.store(true, Ordering::SeqCst);
        replica.terminate();
        while let Some(client) = clients.join_next().await {
            client.unwrap();
        }
        assert_eq!(replica.exit().await.code(), Some(0));
    }
}

/// Sends one request after another until the replica is gone; panics when one is lost.
async fn ask_until_stopped(address: SocketAddr, version: Version, seen: Arc<Seen>) {
    loop {
        let Ok(mut connection) = Connection::open(address, version).await else {
            assert!(
                seen.stopping.load(Ordering::SeqCst),
                "refused a connection before the stop"
            );
            return;
        };
        if !ask_until_closed(&mut connection, &seen).await {
            return;
        }
    }
}

/// Uses one connection as long as it lasts. False: the replica did not take it any more.
async fn ask_until_closed(connection: &mut Connection, seen: &Seen) -> bool {
    let mut answered = false;
    loop {
        if !connection.is_usable().await {
            // Never taken from the listener's backlog, or closed when nothing was under way.
            return answered;
        }
        let request = client::request(Method::POST, "/embed", json!(["x"]).to_string());
        match connection.send(request).await {
            Ok(answer) if answer.status == 200 => {
                seen.served.fetch_add(1, Ordering::SeqCst);
                answered = true;
                if answer.header("connection") == "close" {
                    return true;
                }
            }
            Ok(answer) => {
                assert_eq!(answer.status, 503, "{answer:?}");
                assert!(
                    seen.stopping.load(Ordering::SeqCst),
                    "refused before the stop"
                );
                assert!(!answer.header("retry-after").is_empty(), "{answer:?}");
                return false;
            }
            Err(error) => {
                let stopping = seen.stopping.load(Ordering::SeqCst);
                assert!(stopping && !answered, "lost a request: {error} ({error:?})");
                return false;
            }
        }
    }
}

#[tokio::test]
async fn readiness_goes_first_and_liveness_last() {
    let config = format!("[drain]\ndelay = \"2s\"\n{SIM}");
    let mut replica = Start::with(&config).ready().await;
    replica.terminate();
    let draining = replica
        .wait_for("not ready", |ready| ready.status == 503)
        .await;
    assert_eq!(draining.json()["phase"], "draining");
    assert_eq!(replica.get("/health").await.status, 200);
    // Load balancers have not all noticed yet: whoever still comes is served.
    assert_eq!(replica.post("/embed", &json!(["x"])).await.status, 200);
    assert_eq!(replica.exit().await.code(), Some(0));
}

#[tokio::test]
async fn what_is_in_flight_is_finished() {
    let config = format!(
        "[drain]\ndelay = \"0s\"\n{}",
        SIM.replace("run = \"1ms\"", "run = \"400ms\"")
    );
    // Unwarmed, as a warm-up of slow runs would only take time.
    let mut replica = Start::with(&config)
        .env("SKIP_WARMUP", "true")
        .ready()
        .await;
    let address = replica.http;
    let mut clients = JoinSet::new();
    clients.spawn(async move { client::post(address, "/embed", &json!(["x"])).await });
    replica.wait_for_inflight(1).await;
    replica.terminate();
    assert_eq!(
        clients.join_next().await.unwrap().unwrap().unwrap().status,
        200
    );
    assert_eq!(replica.exit().await.code(), Some(0));
}

#[tokio::test]
async fn what_does_not_end_in_time_is_cut_and_the_exit_code_says_so() {
    let config = format!(
        "[drain]\ndelay = \"0s\"\ntimeout = \"200ms\"\n[limits]\nrequest_timeout = \"10m\"\n{}",
        SIM.replace("run = \"1ms\"", "run = \"10m\"")
    );
    let mut replica = Start::with(&config)
        .env("SKIP_WARMUP", "true")
        .ready()
        .await;
    let address = replica.http;
    let mut clients = JoinSet::new();
    clients.spawn(async move { client::post(address, "/embed", &json!(["x"])).await });
    replica.wait_for_inflight(1).await;
    replica.terminate();
    assert_eq!(replica.exit().await.code(), Some(17));
    let cut = clients.join_next().await.unwrap().unwrap();
    assert!(cut.is_err() || cut.is_ok_and(|answer| answer.status == 503));
}
