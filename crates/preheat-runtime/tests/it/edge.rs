//! What one listener promises: time limits, framing, protocols, bounds.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt as _, Full};
use preheat_runtime::{EdgeConfig, Peer, bind};
use proptest::prelude::*;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::support::{Http2, Raw, Server, echo_path, service};

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

#[tokio::test(start_paused = true)]
async fn an_idle_http2_connection_is_closed_at_its_limit() {
    let (server, dialer) = Server::in_memory(echo_path(), EdgeConfig::default());
    let mut client = Http2::connect(&server.tasks, dialer.connect().await.unwrap())
        .await
        .unwrap();
    for _ in 0..3 {
        assert_eq!(client.get("/a").await.unwrap().body, "/a");
        tokio::time::sleep(Duration::from_secs(100)).await;
    }
    let start = Instant::now();
    let _ = client.connection.await.unwrap();
    let left = EdgeConfig::default().idle_timeout - Duration::from_secs(100);
    assert!(start.elapsed() >= left && start.elapsed() < left + Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_request_may_take_as_long_as_it_takes() {
    let slow = service(|_| async {
        tokio::time::sleep(Duration::from_secs(3600)).await;
        Response::new(Full::new(Bytes::from_static(b"done")))
    });
    let config = EdgeConfig {
        ping_interval: Duration::from_secs(30),
        ..EdgeConfig::default()
    };
    let (server, dialer) = Server::in_memory(slow, config);
    let mut one = Raw(dialer.connect().await.unwrap());
    let mut two = Http2::connect(&server.tasks, dialer.connect().await.unwrap())
        .await
        .unwrap();
    let (one, two) = tokio::join!(one.get("/"), two.get("/"));
    assert_eq!(
        (one.unwrap().body.as_str(), two.unwrap().body.as_str()),
        ("done", "done")
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_its_answer_is_cut() {
    let large = service(|_| async { Response::new(Full::new(Bytes::from(vec![0; 1 << 20]))) });
    let (server, dialer) = Server::in_memory(large, EdgeConfig::default());
    let mut client = Raw(dialer.connect().await.unwrap());
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let start = Instant::now();
    while server.connections.open.load(Ordering::Relaxed) > 0 || start.elapsed().is_zero() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let limit = EdgeConfig::default().idle_timeout;
    assert!(start.elapsed() >= limit && start.elapsed() < limit + Duration::from_secs(2));
    assert_eq!(server.in_flight().count(), 0);
}

#[tokio::test]
async fn a_length_stated_twice_is_refused_and_never_reaches_the_service() {
    let (_server, dialer) = Server::in_memory(echo_path(), EdgeConfig::default());
    let mut client = Raw(dialer.connect().await.unwrap());
    client
        .send(
            "POST /good HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi\
             POST /bad HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n\
             0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n",
        )
        .await;
    assert_eq!(client.answer().await.unwrap().body, "/good");
    let refusal = client.answer().await.unwrap();
    assert_eq!(refusal.status, 400);
    assert!(refusal.says_close(), "{}", refusal.head);
    assert_eq!(client.closed().await, b"");
}

#[tokio::test]
async fn lengths_that_differ_are_refused() {
    let (_server, dialer) = Server::in_memory(echo_path(), EdgeConfig::default());
    let mut client = Raw(dialer.connect().await.unwrap());
    client
        .send("POST / HTTP/1.1\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nabc")
        .await;
    assert_eq!(client.answer().await.unwrap().status, 400);
    client.closed().await;
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 40,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// What we read along and what hyper reads must be the same requests.
    #[test]
    fn pipelined_requests_are_counted_as_hyper_counts_them(
        bodies in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..60)), 1..8),
        cuts in prop::collection::vec(1_usize..200, 0..12),
    ) {
        let mut bytes = Vec::new();
        for (index, (chunked, body)) in bodies.iter().enumerate() {
            write_request(&mut bytes, index, *chunked, body);
        }
        let bad = "GET /bad HTTP/1.1\r\ncontent-length: 0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
        bytes.extend_from_slice(bad.as_bytes());

        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let statuses = runtime.block_on(statuses(&bytes, &cuts));

        let mut expected = vec![200; bodies.len()];
        expected.push(400);
        prop_assert_eq!(statuses, expected);
    }
}

fn write_request(out: &mut Vec<u8>, index: usize, chunked: bool, body: &[u8]) {
    out.extend_from_slice(format!("POST /{index} HTTP/1.1\r\n").as_bytes());
    if chunked {
        out.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
        for chunk in body.chunks(17) {
            out.extend_from_slice(format!("{:X};a=b\r\n", chunk.len()).as_bytes());
            out.extend_from_slice(chunk);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"0\r\n\r\n");
    } else {
        out.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
        out.extend_from_slice(body);
    }
}

/// Sends the bytes in parts to a service that reads every body, and collects the answers.
async fn statuses(bytes: &[u8], cuts: &[usize]) -> Vec<u16> {
    let reads_all = service(|request| async move {
        request.into_body().collect().await.unwrap();
        Response::new(Full::default())
    });
    let (_server, dialer) = Server::in_memory(reads_all, EdgeConfig::default());
    let (read, mut write) = tokio::io::split(dialer.connect().await.unwrap());
    let send = async {
        use tokio::io::AsyncWriteExt as _;
        let mut rest = bytes;
        for cut in cuts {
            let (part, next) = rest.split_at((*cut).min(rest.len()));
            write.write_all(part).await.unwrap();
            tokio::task::yield_now().await;
            rest = next;
        }
        write.write_all(rest).await.unwrap();
    };
    let mut client = Raw(tokio::io::join(read, tokio::io::sink()));
    let receive = async {
        let mut statuses = Vec::new();
        while let Ok(answer) = client.answer().await {
            statuses.push(answer.status);
        }
        statuses
    };
    tokio::join!(send, receive).1
}

#[tokio::test]
async fn heads_that_are_too_large_are_refused() {
    let (_server, dialer) = Server::in_memory(echo_path(), EdgeConfig::default());
    for head in [
        format!("x: {}\r\n", "y".repeat(20_000)),
        (0..200)
            .map(|i| format!("x-{i}: y\r\n"))
            .collect::<String>(),
    ] {
        let mut client = Raw(dialer.connect().await.unwrap());
        client
            .send(&format!("GET / HTTP/1.1\r\nhost: a\r\n{head}\r\n"))
            .await;
        assert_eq!(client.answer().await.unwrap().status, 431);
        client.closed().await;
    }
}

#[tokio::test]
async fn too_many_connections_are_closed_at_once_and_room_is_reused() {
    let listener = bind("127.0.0.1:0").unwrap();
    let address = listener.address().to_string();
    let config = EdgeConfig {
        max_connections: 2,
        ..EdgeConfig::default()
    };
    let server = Server::start(listener, echo_path(), config);

    let mut first = Raw(TcpStream::connect(&address).await.unwrap());
    let mut second = Raw(TcpStream::connect(&address).await.unwrap());
    assert_eq!(first.get("/").await.unwrap().status, 200);
    assert_eq!(second.get("/").await.unwrap().status, 200);

    let mut third = Raw(TcpStream::connect(&address).await.unwrap());
    assert_eq!(third.closed().await, b"");
    assert_eq!(server.connections.refused.load(Ordering::Relaxed), 1);

    drop(first);
    loop {
        let mut again = Raw(TcpStream::connect(&address).await.unwrap());
        if again.get("/").await.is_ok() {
            break;
        }
    }
    assert_eq!(second.get("/").await.unwrap().status, 200);
}

#[tokio::test]
async fn an_answer_is_not_lost_because_the_body_was_not_read() {
    let refuses = service(|_| async {
        let mut response = Response::new(Full::new(Bytes::from_static(b"too large")));
        *response.status_mut() = http::StatusCode::PAYLOAD_TOO_LARGE;
        response
    });
    let listener = bind("127.0.0.1:0").unwrap();
    let address = listener.address().to_string();
    let _server = Server::start(listener, refuses, EdgeConfig::default());
    for _ in 0..20 {
        let mut client = Raw(TcpStream::connect(&address).await.unwrap());
        // The client sends all it has before it looks for an answer.
        client
            .send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4000000\r\n\r\n")
            .await;
        client.send(&"x".repeat(4_000_000)).await;
        let answer = client.answer().await.unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (413, "too large"));
    }
}

#[tokio::test]
async fn a_unix_socket_is_served_and_its_file_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.sock");
    let address = format!("unix:{}", path.display());
    // A file that a crash left behind is no obstacle.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let listener = bind(&address).unwrap();
    assert!(
        bind(&address)
            .unwrap_err()
            .to_string()
            .ends_with("is already in use")
    );

    let peer = service(|request| async move {
        let peer = request.extensions().get::<Peer>().unwrap();
        Response::new(Full::new(Bytes::from(format!("{peer:?}"))))
    });
    let server = Server::start(listener, peer, EdgeConfig::default());
    let mut client = Raw(UnixStream::connect(&path).await.unwrap());
    assert_eq!(
        client.get("/").await.unwrap().body,
        "Peer { address: None, tls: false }"
    );

    server
        .tasks
        .close_and_wait(Duration::from_secs(5))
        .await
        .unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn addresses_that_cannot_be_bound_say_why() {
    let taken = bind("127.0.0.1:0").unwrap();
    for (address, message) in [
        (
            taken.address().to_string(),
            format!("{} is already in use", taken.address()),
        ),
        (
            "8000".to_owned(),
            "8000 is neither host:port nor unix:/path".to_owned(),
        ),
        (
            "203.0.113.1:0".to_owned(),
            "203.0.113.1:0 is not an address of this machine".to_owned(),
        ),
        (
            "unix:/proc/no.sock".to_owned(),
            "cannot listen on unix:/proc/no.sock".to_owned(),
        ),
    ] {
        let error = bind(&address).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert!(!error.remedy().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_is_in_flight_until_its_body_is_out() {
    let release = Arc::new(Notify::new());
    let waits = Arc::clone(&release);
    let held = service(move |_| {
        let waits = Arc::clone(&waits);
        async move {
            waits.notified().await;
            Response::new(Full::default())
        }
    });
    let (server, dialer) = Server::in_memory(held, EdgeConfig::default());
    let mut client = Raw(dialer.connect().await.unwrap());
    let (answer, ()) = tokio::join!(client.get("/"), async {
        while server.in_flight().count() == 0 {
            tokio::task::yield_now().await;
        }
        release.notify_one();
    });
    assert_eq!(answer.unwrap().status, 200);
    server
        .in_flight()
        .wait_idle(Duration::from_secs(1))
        .await
        .unwrap();
}
