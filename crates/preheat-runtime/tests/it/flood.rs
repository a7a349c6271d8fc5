//! Two thousand clients that hold a connection and say nothing, beside one that wants an answer.

use std::sync::atomic::Ordering;
use std::time::Duration;

use preheat_runtime::{EdgeConfig, bind};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::support::{Raw, Server, echo_path};

const CLIENTS: u64 = 2000;

/// What each of them sends before it falls silent.
const BEGINNINGS: [&[u8]; 4] = [
    b"",
    b"G",
    b"GET / HTTP/1.1\r\nhost: a\r\nx-",
    b"PRI * HTTP/2.0\r\n",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_open_connections_hurt_nobody_and_are_closed() {
    raise_descriptor_limit();
    let listener = bind("127.0.0.1:0").unwrap();
    let address = listener.address().to_string();
    // Long enough for all of them to be there at once.
    let config = EdgeConfig {
        header_timeout: Duration::from_secs(3),
        ..EdgeConfig::default()
    };
    let server = Server::start(listener, echo_path(), config);
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);

    let mut flood = Vec::new();
    for index in 0..CLIENTS {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream
            .write_all(BEGINNINGS[index as usize % BEGINNINGS.len()])
            .await
            .unwrap();
        flood.push(Raw(stream));
    }
    let mut honest = 0;
    while count(&server.connections.timed_out) < CLIENTS {
        let mut client = Raw(TcpStream::connect(&address).await.unwrap());
        assert_eq!(client.get("/fine").await.unwrap().body, "/fine");
        honest += 1;
    }
    for client in &mut flood {
        assert_eq!(client.closed().await, b"");
    }
    assert_eq!(count(&server.connections.refused), 0);
    assert_eq!(count(&server.connections.accepted), CLIENTS + honest);
    assert!(honest > 100, "{honest} requests answered");
}

/// Both ends of every connection are in this process.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = 3 * CLIENTS;
    if limit.current.is_some_and(|current| current < wanted) {
        let raised = Rlimit {
            current: Some(wanted),
            ..limit
        };
        setrlimit(Resource::Nofile, raised).unwrap();
    }
}
