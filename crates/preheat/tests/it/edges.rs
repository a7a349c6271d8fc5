//! Connections that misbehave: half open, too slow, too many, ambiguous.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client;
use crate::replica::{SIM, Start};

/// A connection that the replica does not end is a failure after this.
const PATIENCE: Duration = Duration::from_secs(60);

async fn open(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

/// Everything the replica sends until it closes the connection.
async fn until_closed(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let read = tokio::time::timeout(PATIENCE, read)
        .await
        .expect("the replica closes it");
    // A reset is as good an end as any other.
    drop(read);
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn half_open_connections_keep_nobody_out_and_are_closed() {
    let config = format!("[server]\nheader_timeout = \"500ms\"\n{SIM}");
    let replica = Start::with(&config).ready().await;
    let mut half_open = Vec::new();
    for _ in 0..300 {
        half_open.push(
            open(
                replica.http,
                b"POST /embed HTTP/1.1\r\nhost: preheat.test\r\n",
            )
            .await,
        );
    }
    for _ in 0..20 {
        assert_eq!(replica.post("/embed", &json!(["x"])).await.status, 200);
        assert_eq!(
            client::get(replica.http, "/ready").await.unwrap().status,
            200
        );
    }
    for stream in half_open {
        let answer = until_closed(stream).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 408"),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_a_time_out() {
    let config = format!("[server]\nbody_timeout = \"300ms\"\n{SIM}");
    let replica = Start::with(&config).ready().await;
    let head = b"POST /embed HTTP/1.1\r\nhost: preheat.test\r\n\
                 content-type: application/json\r\ncontent-length: 100\r\n\r\n[\"x";
    let answer = until_closed(open(replica.http, head).await).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    is_cut_in_time(replica.admin, "/v1/load").await;
    is_cut_in_time(replica.admin, "/v2/repository/index").await;
}

/// An order whose body does not come.
pub async fn is_cut_in_time(door: SocketAddr, path: &str) {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n\
         content-length: 100\r\n\r\n{{"
    );
    let answer = until_closed(open(door, head.as_bytes()).await).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

/// Many clients send head and body in two pieces, and keep the connection for what comes next.
#[tokio::test]
async fn a_refusal_before_the_body_does_not_end_the_connection() {
    let replica = Start::with(SIM).ready().await;
    for door in [replica.http, replica.admin] {
        goes_on_behind_a_refusal(door).await;
    }
}

/// A body that comes a moment after its head, and the next request right behind it.
pub async fn goes_on_behind_a_refusal(door: SocketAddr) {
    let refused = "POST /nowhere HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 5\r\n\r\n";
    let mut stream = open(door, refused.as_bytes()).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    let rest = "[\"x\"]GET /livez HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n";
    stream.write_all(rest.as_bytes()).await.unwrap();
    let answers = until_closed(stream).await;
    let heads: Vec<&str> = answers.matches("HTTP/1.1 ").collect();
    assert!(answers.starts_with("HTTP/1.1 404"), "{answers}");
    assert!(answers.contains("HTTP/1.1 200"), "{answers}");
    assert_eq!(heads.len(), 2, "{answers}");
}

/// Whoever is told sends the next request on another connection; it would be lost on this one.
#[tokio::test]
async fn who_is_refused_and_sends_no_body_is_told_that_the_connection_ends() {
    let replica = Start::with(SIM).ready().await;
    let (http, admin) = (replica.http, replica.admin);
    for (door, path, length, more, status) in [
        (http, "/nowhere", 5, "", 404),
        (admin, "/nowhere", 5, "", 404),
        (http, "/nowhere", 5, "expect: 100-continue\r\n", 404),
        (http, "/embed", 1_000_000_000, "", 413),
        (admin, "/v1/load", 5, "", 400),
    ] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {length}\r\n{more}\r\n"
        );
        let answer = until_closed(open(door, head.as_bytes()).await).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    }
}

/// Where two lengths disagree, two programs may see two different requests.
#[tokio::test]
async fn ambiguous_lengths_are_refused() {
    let replica = Start::with(SIM).ready().await;
    let cases = [
        "content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n5\r\n[\"x\"]\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n5\r\n[\"x\"]\r\n0\r\n\r\n",
        "content-length: 5\r\ncontent-length: 6\r\n\r\n[\"x\"] ",
        "content-length: +5\r\n\r\n[\"x\"]",
        "transfer-encoding: gzip, chunked, gzip\r\n\r\n5\r\n[\"x\"]\r\n0\r\n\r\n",
    ];
    for case in cases {
        let head =
            "POST /embed HTTP/1.1\r\nhost: preheat.test\r\ncontent-type: application/json\r\n";
        let answer =
            until_closed(open(replica.http, format!("{head}{case}").as_bytes()).await).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{case:?}: {answer}");
    }
}

#[tokio::test]
async fn connections_over_the_limit_wait_or_are_refused_but_harm_nobody() {
    let config = format!("[server]\nmax_connections = 8\nheader_timeout = \"60s\"\n{SIM}");
    let replica = Start::with(&config).ready().await;
    let mut open_ones = Vec::new();
    for _ in 0..8 {
        open_ones.push(open(replica.http, b"GET /health HTTP/1.1\r\n").await);
    }
    // The admin listener is another door: probes and metrics still answer.
    assert_eq!(
        client::get(replica.admin, "/readyz").await.unwrap().status,
        200
    );
    drop(open_ones);
    // Their places are free again.
    let mut answer = client::get(replica.http, "/health").await;
    while answer.is_err() {
        answer = client::get(replica.http, "/health").await;
    }
    assert_eq!(answer.unwrap().status, 200);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let replica = Start::with(SIM).ready().await;
    let head = format!(
        "GET /health HTTP/1.1\r\nhost: preheat.test\r\nx: {}\r\n\r\n",
        "a".repeat(1 << 20)
    );
    let mut stream = TcpStream::connect(replica.http).await.unwrap();
    // The replica may close before it has read everything.
    drop(stream.write_all(head.as_bytes()).await);
    let answer = until_closed(stream).await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
        "{answer}"
    );
    assert_eq!(replica.get("/health").await.status, 200);
}
