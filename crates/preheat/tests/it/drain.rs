//! Stopping under load: nothing that was accepted is lost, and what had to be cut is told.

use std::error::Error as _;
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::{Method, Version};
use rustix::process::Signal;
use serde_json::json;
use tokio::task::JoinSet;
use tonic::Code;

use crate::client::{self, Connection};
use crate::grpc;
use crate::replica::{PATIENCE, Replica, SIM, Start, hangups_are_ignored, signal};

const CLIENTS: usize = 32;

/// Stops of each door. The race between a signal and a request has many outcomes; few stops see few
/// of them.
const STOPS: usize = 17;

/// What the clients saw together.
#[derive(Default)]
struct Seen {
    served: AtomicUsize,
    /// Set before the signal is sent: from then on refusals are in order.
    stopping: AtomicBool,
}

#[tokio::test]
async fn http1_clients_lose_nothing() {
    lose_nothing(Door::Http(Version::HTTP_11)).await;
}

#[tokio::test]
async fn http2_clients_lose_nothing() {
    lose_nothing(Door::Http(Version::HTTP_2)).await;
}

#[tokio::test]
async fn grpc_clients_lose_nothing() {
    lose_nothing(Door::Grpc).await;
}

async fn lose_nothing(door: Door) {
    for _ in 0..STOPS {
        let config = format!("[drain]\ndelay = \"300ms\"\ntimeout = \"20s\"\n{SIM}");
        let mut replica = Start::with(&config).ready().await;
        let address = door.address(&replica);
        let seen = Arc::new(Seen::default());
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            clients.spawn(ask_until_stopped(address, door, seen.clone()));
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
async fn ask_until_stopped(address: SocketAddr, door: Door, seen: Arc<Seen>) {
    loop {
        let Ok(mut line) = door.open(address).await else {
            assert!(
                seen.stopping.load(Ordering::SeqCst),
                "refused a connection before the stop"
            );
            return;
        };
        if !ask_until_closed(&mut line, &seen).await {
            return;
        }
    }
}

/// Uses one connection as long as it lasts. False: the replica did not take it any more.
async fn ask_until_closed(line: &mut Line, seen: &Seen) -> bool {
    let mut answered = false;
    loop {
        if !line.is_usable().await {
            // Never taken from the listener's backlog, or closed when nothing was under way.
            return answered;
        }
        let outcome = line.ask().await;
        let stopping = seen.stopping.load(Ordering::SeqCst);
        match outcome {
            Outcome::Served { last } => {
                seen.served.fetch_add(1, Ordering::SeqCst);
                answered = true;
                if last {
                    return true;
                }
            }
            Outcome::Refused => {
                assert!(stopping, "refused before the stop");
                return false;
            }
            Outcome::Unsent => {}
            Outcome::Broken(error) => {
                assert!(stopping && !answered, "lost a request: {error}");
                return false;
            }
        }
    }
}

/// A way into the replica.
#[derive(Clone, Copy)]
enum Door {
    Http(Version),
    Grpc,
}

/// One connection through it.
enum Line {
    Http(Connection),
    Grpc(grpc::Connection),
}

/// What came of one request.
enum Outcome {
    Served {
        /// The replica said that it will close the connection.
        last: bool,
    },
    Refused,
    /// The connection ended while the request was still with the client.
    Unsent,
    Broken(String),
}

impl Door {
    fn address(self, replica: &Replica) -> SocketAddr {
        match self {
            Door::Http(_) => replica.http,
            Door::Grpc => replica.grpc,
        }
    }

    async fn open(self, address: SocketAddr) -> Result<Line, client::Error> {
        Ok(match self {
            Door::Http(version) => Line::Http(Connection::open(address, version).await?),
            Door::Grpc => Line::Grpc(grpc::Connection::open(address).await?),
        })
    }
}

impl Line {
    async fn is_usable(&mut self) -> bool {
        match self {
            Line::Http(connection) => connection.is_usable().await,
            Line::Grpc(connection) => connection.is_usable().await,
        }
    }

    async fn ask(&mut self) -> Outcome {
        match self {
            Line::Http(connection) => ask_http(connection).await,
            Line::Grpc(connection) => match connection.infer("x").await {
                Ok(()) => Outcome::Served { last: false },
                // Without a source: the replica's own word, not what broke on the way to it.
                Err(status) if status.code() == Code::Unavailable && status.source().is_none() => {
                    Outcome::Refused
                }
                Err(status) if never_left(status.source()) => Outcome::Unsent,
                Err(status) => Outcome::Broken(format!("{status:?}")),
            },
        }
    }
}

async fn ask_http(connection: &mut Connection) -> Outcome {
    let request = client::request(Method::POST, "/embed", json!(["x"]).to_string());
    match connection.send(request).await {
        Ok(answer) if answer.status == 200 => Outcome::Served {
            last: answer.header("connection") == "close",
        },
        Ok(answer) => {
            assert_eq!(answer.status, 503, "{answer:?}");
            assert!(!answer.header("retry-after").is_empty(), "{answer:?}");
            Outcome::Refused
        }
        Err(error) if never_left(Some(&*error)) => Outcome::Unsent,
        Err(error) => Outcome::Broken(format!("{error} ({error:?})")),
    }
}

/// hyper hands a request back as cancelled when its connection had closed before it was written.
fn never_left(error: Option<&(dyn std::error::Error + 'static)>) -> bool {
    let error = error.and_then(|error| error.downcast_ref::<hyper::Error>());
    error.is_some_and(hyper::Error::is_canceled)
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

/// Where there is nothing to read again it is a wish to stop, and as polite as any.
#[tokio::test]
async fn a_hangup_drains() {
    let mut replica = Start::with(SIM).ready().await;
    signal(replica.pid(), Signal::HUP);
    if hangups_are_ignored() {
        // Under `nohup`, as these tests may run too, it is no wish at all.
        assert_eq!(replica.get("/ready").await.status, 200);
        replica.terminate();
    }
    assert_eq!(replica.exit().await.code(), Some(0));
}

/// What orchestrators rotate is taken over by a replica that serves.
#[tokio::test]
async fn a_hangup_has_keys_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    fs::write(&keys, "old\n").unwrap();
    let config = format!("[auth]\napi_keys_file = '{}'\n{SIM}", keys.display());
    let replica = Start::with(&config).ready().await;
    let ask = async |key: &str| {
        let mut request = client::request(Method::POST, "/embed", json!(["x"]).to_string());
        request
            .headers_mut()
            .insert("x-api-key", key.parse().unwrap());
        client::send(replica.http, request)
            .await
            .unwrap()
            .status
            .as_u16()
    };
    assert_eq!((ask("old").await, ask("new").await), (200, 403));
    replica.hang_up().await;
    assert_eq!((ask("old").await, ask("new").await), (200, 403));
    fs::write(&keys, "new\n").unwrap();
    signal(replica.pid(), Signal::HUP);
    let deadline = Instant::now() + PATIENCE;
    while ask("new").await != 200 {
        assert!(Instant::now() < deadline, "never taken: {}", replica.log());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(ask("old").await, 403);
}
