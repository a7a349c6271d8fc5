//! Leaving: under load, nothing that was accepted is lost; past the limit, what is cut is counted.

use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode, Version};
use http_body_util::Full;
use preheat_runtime::{
    Drain, DrainLimits, Draining, EdgeConfig, Shutdown, Stage, Tasks, Urgency, bind,
};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;
use tonic::service::Routes;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::ServiceExt as _;

use crate::support::{Http2, Raw, Server, Service, echo_path, listen, service};

/// What became of the requests of one kind of client, and what the server did of them.
#[derive(Debug, Default)]
struct Outcome {
    executed: AtomicUsize,
    served: AtomicUsize,
    refused: AtomicUsize,
    /// The errors by which requests were lost.
    lost: Mutex<Vec<String>>,
}

impl Outcome {
    fn answered(&self, status: u16) {
        match status {
            200 => self.served.fetch_add(1, Ordering::Relaxed),
            503 => self.refused.fetch_add(1, Ordering::Relaxed),
            other => panic!("unexpected status {other}"),
        };
    }

    fn lost(&self, error: &dyn Error) {
        self.lost.lock().unwrap().push(format!("{error:?}"));
    }

    fn check(&self) {
        assert_eq!(*self.lost.lock().unwrap(), [""; 0]);
        let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        assert_eq!(
            count(&self.executed),
            count(&self.served) + count(&self.refused)
        );
    }
}

/// Hyper fails a request that it did not send when it sees, in the same moment, that it should go.
/// That the server has seen none of these is for [`Outcome::check`] to say.
fn was_told_to_go(error: &(dyn Error + 'static)) -> bool {
    let hyper = error.downcast_ref::<hyper::Error>();
    let told = hyper.is_some_and(|error| {
        error.is_canceled()
            || error.is_closed()
            || format!("{error:?}").contains("GoAway(b\"\", NO_ERROR, Remote)")
    });
    told || error.source().is_some_and(was_told_to_go)
}

/// Works for a moment, and refuses when the drain says so.
fn works(draining: Draining, [one, two]: [Arc<Outcome>; 2]) -> Service {
    service(move |request| {
        let stage = draining.stage();
        let outcome = if request.version() == Version::HTTP_2 {
            &two
        } else {
            &one
        };
        outcome.executed.fetch_add(1, Ordering::Relaxed);
        async move {
            tokio::time::sleep(Duration::from_millis(2)).await;
            let mut response = Response::new(Full::new(Bytes::from_static(b"ok")));
            if stage >= Stage::Refusing {
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            }
            response
        }
    })
}

/// A new connection, until nobody listens. Who comes when the listener is sealed hears nothing for
/// a second, and is not made to wait for that here.
async fn connect(address: &str) -> Option<TcpStream> {
    timeout(Duration::from_millis(200), TcpStream::connect(address))
        .await
        .ok()?
        .ok()
}

async fn hammer_http1(address: String, outcome: Arc<Outcome>) {
    while let Some(stream) = connect(&address).await {
        let mut client = Raw(stream);
        loop {
            match client.get("/").await {
                Ok(answer) => {
                    outcome.answered(answer.status);
                    if answer.says_close() {
                        break;
                    }
                }
                Err(error) => {
                    outcome.lost(&error);
                    break;
                }
            }
        }
    }
}

async fn hammer_http2(tasks: Tasks, address: String, outcome: Arc<Outcome>) {
    while let Some(stream) = connect(&address).await {
        let Ok(mut client) = Http2::connect(&tasks, stream).await else {
            continue;
        };
        while client.sender.ready().await.is_ok() {
            match client.get("/").await {
                Ok(answer) => outcome.answered(answer.status),
                Err(error) if was_told_to_go(&error) => break,
                Err(error) => {
                    outcome.lost(&error);
                    break;
                }
            }
        }
    }
}

async fn hammer_grpc(address: String, outcome: Arc<Outcome>) {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let channel = endpoint
        .connect_timeout(Duration::from_millis(200))
        .connect_lazy();
    let mut client = HealthClient::new(channel);
    loop {
        match client.check(HealthCheckRequest::default()).await {
            Ok(_) => outcome.answered(200),
            Err(status) if status.message() == "tcp connect error" => break,
            Err(status) if was_told_to_go(&status) => {}
            Err(status) => {
                outcome.lost(&status);
                break;
            }
        }
    }
}

const LIMITS: DrainLimits = DrainLimits {
    settle: Duration::from_millis(40),
    timeout: Duration::from_secs(60),
};

/// Thirty-three clients hammer two listeners; the process drains; whatever anyone was promised, he
/// gets.
async fn drain_under_load() {
    let (drain, tasks, clients) = (Drain::new(), Tasks::new(), Tasks::new());
    let (http, grpc) = (bind("127.0.0.1:0").unwrap(), bind("127.0.0.1:0").unwrap());
    let (at, grpc_at) = (http.address().to_string(), grpc.address().to_string());
    let outcomes: [Arc<Outcome>; 3] = Default::default();
    let [one, two, three] = outcomes.clone();
    let (_, health) = tonic_health::server::health_reporter();
    let health = Routes::new(health).prepare().map_request(move |request| {
        three.executed.fetch_add(1, Ordering::Relaxed);
        request
    });
    listen(
        &tasks,
        &drain,
        http,
        works(drain.draining(), [one, two]),
        EdgeConfig::default(),
    );
    listen(&tasks, &drain, grpc, health, EdgeConfig::default());

    for _ in 0..11 {
        let [one, two, three] = outcomes.clone();
        clients.spawn("http1", hammer_http1(at.clone(), one));
        clients.spawn("http2", hammer_http2(clients.clone(), at.clone(), two));
        clients.spawn("grpc", hammer_grpc(grpc_at.clone(), three));
    }
    while outcomes
        .iter()
        .any(|outcome| outcome.served.load(Ordering::Relaxed) < 22)
    {
        tokio::task::yield_now().await;
    }
    let report = drain.run(LIMITS, &Shutdown::new()).await;
    clients
        .close_and_wait(Duration::from_secs(60))
        .await
        .unwrap();

    assert_eq!(report.cut, 0);
    outcomes.iter().for_each(|outcome| outcome.check());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_accepted_request_is_lost_under_load() {
    for _ in 0..25 {
        tokio::join!(drain_under_load(), drain_under_load());
    }
}

#[tokio::test]
async fn what_the_kernel_has_accepted_is_served_before_the_listener_goes() {
    let (drain, tasks) = (Drain::new(), Tasks::new());
    let listener = bind("127.0.0.1:0").unwrap();
    let address = listener.address().to_string();
    let mut clients = Vec::new();
    for _ in 0..100 {
        let mut client = Raw(TcpStream::connect(&address).await.unwrap());
        client.send("GET /queued HTTP/1.1\r\nhost: a\r\n\r\n").await;
        clients.push(client);
    }
    let limits = DrainLimits {
        settle: Duration::ZERO,
        timeout: Duration::from_secs(10),
    };
    listen(&tasks, &drain, listener, echo_path(), EdgeConfig::default());
    let leaving = tasks.spawn(
        "drain",
        async move { drain.run(limits, &Shutdown::new()).await },
    );
    for client in &mut clients {
        let answer = client.answer().await.unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, "/queued"));
    }
    drop(clients);
    assert_eq!(leaving.await.unwrap().cut, 0);
    assert!(connect(&address).await.is_none());
}

/// A service whose requests end when the test says so.
fn held(release: &Arc<Notify>) -> Service {
    let release = Arc::clone(release);
    service(move |_| {
        let release = Arc::clone(&release);
        async move {
            release.notified().await;
            Response::new(Full::new(Bytes::from_static(b"done")))
        }
    })
}

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn what_does_not_finish_within_the_limit_is_cut_and_counted() {
    let (server, dialer) = Server::in_memory(held(&Arc::default()), EdgeConfig::default());
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = Raw(dialer.connect().await.unwrap());
        client.send(GET).await;
        clients.push(client);
    }
    let limits = DrainLimits::default();
    let report = server.drain.run(limits, &Shutdown::new()).await;
    assert_eq!(report.cut, 3);
    assert!(report.took >= limits.settle + limits.timeout, "{report:?}");
    for client in &mut clients {
        assert_eq!(client.closed().await, b"");
    }
    server
        .tasks
        .close_and_wait(Duration::from_secs(1))
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_urgent_stop_cuts_at_once() {
    for wait in [
        Duration::from_secs(1),
        DrainLimits::default().settle + Duration::from_secs(1),
    ] {
        let (server, dialer) = Server::in_memory(held(&Arc::default()), EdgeConfig::default());
        let mut client = Raw(dialer.connect().await.unwrap());
        client.send(GET).await;
        let shutdown = Shutdown::new();
        let (report, ()) =
            tokio::join!(server.drain.run(DrainLimits::default(), &shutdown), async {
                tokio::time::sleep(wait).await;
                shutdown.request(Urgency::Stop);
            });
        assert_eq!(report.cut, 1);
        assert!(
            report.took < wait + Duration::from_millis(100),
            "{report:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn each_stage_treats_clients_as_promised() {
    let drain = Drain::new();
    let (listener, dialer) = preheat_runtime::edge::memory();
    let tasks = Tasks::new();
    listen(
        &tasks,
        &drain,
        listener,
        works(drain.draining(), Default::default()),
        EdgeConfig::default(),
    );
    let draining = drain.draining();
    let mut idle = Raw(dialer.connect().await.unwrap());
    assert!(!idle.get("/").await.unwrap().says_close());
    let mut half = Raw(dialer.connect().await.unwrap());
    half.send("GET / HTTP/1.1\r\nho").await;
    let mut active = Http2::connect(&tasks, dialer.connect().await.unwrap())
        .await
        .unwrap();
    assert_eq!(active.get("/").await.unwrap().status, 200);

    let shutdown = Shutdown::new();
    let limits = DrainLimits {
        settle: Duration::from_secs(4),
        timeout: Duration::from_secs(4),
    };
    let (report, ()) = tokio::join!(drain.run(limits, &shutdown), async {
        draining.reached(Stage::Settling).await;
        half.send("st: a\r\n\r\n").await;
        let answer = half.answer().await.unwrap();
        assert_eq!((answer.status, answer.says_close()), (200, true));
        // The answer comes together with the goodbye.
        assert_eq!(active.get("/").await.unwrap().status, 200);
        active.connection.await.unwrap().unwrap();
        let mut late = Raw(dialer.connect().await.unwrap());
        assert_eq!(late.get("/").await.unwrap().status, 200);

        draining.reached(Stage::Refusing).await;
        let answer = idle.get("/").await.unwrap();
        assert_eq!((answer.status, answer.says_close()), (503, true));
    });
    assert_eq!(report.cut, 0);
    assert!(report.took < Duration::from_secs(6), "{report:?}");
    assert!(dialer.connect().await.is_err());
}
