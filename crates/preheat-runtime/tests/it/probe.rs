//! Probes answer when nothing else in the process does.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use preheat_runtime::{EdgeConfig, ProbeThread, bind};
use tokio::net::TcpStream;

use crate::support::{Raw, echo_path};

fn start() -> (ProbeThread, String) {
    let listener = bind("127.0.0.1:0").unwrap();
    let probe = ProbeThread::start(listener, echo_path(), EdgeConfig::default()).unwrap();
    let address = probe.address().to_string();
    (probe, address)
}

/// Takes every worker of a runtime away until it is dropped.
struct Busy(Arc<AtomicBool>);

impl Busy {
    fn new(runtime: &tokio::runtime::Runtime, workers: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        for _ in 0..workers {
            let stop = Arc::clone(&stop);
            runtime.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        Busy(stop)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn probes_are_answered_while_every_worker_computes() {
    let (probe, address) = start();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    let busy = Busy::new(&runtime, 2);
    for _ in 0..10 {
        let mut client = std::net::TcpStream::connect(&address).unwrap();
        client
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        client
            .write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("\r\n\r\n/livez"), "{answer}");
    }
    drop(busy);
    probe.stop();
}

#[tokio::test]
async fn a_stopped_probe_thread_leaves_nothing_behind() {
    let (probe, address) = start();
    let mut client = Raw(TcpStream::connect(&address).await.unwrap());
    assert_eq!(client.get("/").await.unwrap().status, 200);
    tokio::task::spawn_blocking(|| probe.stop()).await.unwrap();
    assert_eq!(client.closed().await, b"");
    assert!(TcpStream::connect(&address).await.is_err());
    bind(&address).unwrap();
}
