//! What one listener promises: time limits, framing, protocols, bounds.

use std::sync::atomic::Ordering;
use std::time::Duration;

use preheat_runtime::EdgeConfig;
use tokio::time::Instant;

use crate::support::{Raw, Server, echo_path};

const PREFACE: &str = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long a connection lives that sends this and then nothing.
async fn lifetime(bytes: &str) -> (Duration, Server) {
    let (server, dialer) = Server::in_memory(echo_path(), EdgeConfig::default());
    let mut client = Raw(dialer.connect().await.unwrap());
    let start = Instant::now();
    client.send(bytes).await;
    client.closed().await;
    (start.elapsed(), server)
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_end_is_cut_at_its_limit() {
    for (what, bytes) in [
        ("nothing at all", ""),
        ("one byte", "G"),
        ("empty lines", "\r\n\r\n"),
        ("half a head", "GET / HTTP/1.1\r\nhost: a\r\nx-slow: "),
        ("half an http/2 preface", &PREFACE[..10]),
        (
            "half of the second head",
            "GET / HTTP/1.1\r\nhost: a\r\n\r\nGET /2 HT",
        ),
    ] {
        let (lived, server) = lifetime(bytes).await;
        let limit = EdgeConfig::default().header_timeout;
        assert!(
            lived >= limit && lived < limit + Duration::from_secs(1),
            "{what}: {lived:?}"
        );
        assert_eq!(
            server.connections.timed_out.load(Ordering::Relaxed),
            1,
            "{what}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn dripping_bytes_does_not_buy_time() {
    let (_server, dialer) = Server::in_memory(echo_path(), EdgeConfig::default());
    let client = dialer.connect().await.unwrap();
    let start = Instant::now();
    let (mut read, mut write) = tokio::io::split(client);
    let drip = async {
        use tokio::io::AsyncWriteExt as _;
        while write.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
    };
    let closed = async {
        use tokio::io::AsyncReadExt as _;
        let _ = read.read_to_end(&mut Vec::new()).await;
    };
    tokio::select! { () = drip => {}, () = closed => {} }
    let limit = EdgeConfig::default().header_timeout;
    assert!(start.elapsed() >= limit && start.elapsed() < limit + Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_at_its_own_limit() {
    let (_server, dialer) = Server::in_memory(echo_path(), EdgeConfig::default());
    let mut client = Raw(dialer.connect().await.unwrap());
    // Idling for longer than a head may take is fine.
    for _ in 0..3 {
        assert_eq!(client.get("/a").await.unwrap().status, 200);
        tokio::time::sleep(Duration::from_secs(100)).await;
    }
    assert_eq!(client.get("/a").await.unwrap().status, 200);
    let start = Instant::now();
    client.closed().await;
    let limit = EdgeConfig::default().idle_timeout;
    assert!(start.elapsed() >= limit && start.elapsed() < limit + Duration::from_secs(2));
}
