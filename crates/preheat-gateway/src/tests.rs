//! The whole gateway in simulated time: real loops, real HTTP over pipes in memory, and replicas that
//! say of themselves what the test wants. No process, no socket, no waiting.

mod answers;
mod bodies;
mod bounds;
mod faults;
mod health;
mod holding;
pub mod play;
mod replacing;
mod retry_after;
mod rollout;

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use tokio::task::JoinSet;
use tokio::time::Instant;

use play::Gateway;

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);

fn post(path: &str) -> Request<Full<Bytes>> {
    Request::post(path)
        .header("host", "gateway")
        .body(Full::new(Bytes::from_static(b"[\"x\"]")))
        .unwrap()
}

/// So many at once; their answers with the time that each took.
async fn at_once(gateway: &Gateway, count: usize) -> Vec<(StatusCode, Duration)> {
    let mut asking = JoinSet::new();
    for _ in 0..count {
        let gateway = gateway.clone();
        asking.spawn(async move {
            let since = Instant::now();
            let response = gateway.ask(post("/embed")).await.unwrap();
            (response.status(), since.elapsed())
        });
    }
    asking.join_all().await
}
