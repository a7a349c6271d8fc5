//! What a gateway says of its health, over gRPC and in its reports.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use tokio::time::{Instant, sleep, timeout};

use super::play::{Gateway, Play};
use super::{MILLI, SECOND};
use crate::data;

/// `HealthCheckRequest` for a service.
fn health_of(call: &str, service: &str) -> Request<Full<Bytes>> {
    let (name, length) = (service.as_bytes(), service.len() as u8);
    let field = if name.is_empty() {
        vec![]
    } else {
        vec![0x0a, length]
    };
    let message = [&field, name].concat();
    let body = [&[0, 0, 0, 0, message.len() as u8][..], &message].concat();
    let request = Request::post(format!("/grpc.health.v1.Health/{call}"))
        .header("host", "gateway")
        .header("content-type", "application/grpc");
    request.body(Full::new(Bytes::from(body))).unwrap()
}

/// `HealthCheckRequest` for a service, and the status in each answer; none where it is refused.
async fn health(gateway: &Gateway, call: &str, service: &str, answers: usize) -> Vec<u8> {
    let mut response = gateway.ask(health_of(call, service)).await.unwrap();
    let mut said = Vec::new();
    while said.len() < answers
        && let Some(frame) = response.body_mut().frame().await
    {
        let message = frame.unwrap().into_data().unwrap();
        assert_eq!(message[..6], [0, 0, 0, 0, 2, 8]);
        said.push(message[6]);
    }
    said
}

/// Orchestrators ask by gRPC too, long before anything is warm.
#[tokio::test(start_paused = true)]
async fn its_health_over_grpc_waits_for_nobody_and_wakes_nobody() {
    const SERVING: u8 = 1;
    const NOT_SERVING: u8 = 2;
    const UNKNOWN: u8 = 3;
    let play = Play {
        cold_start: 71 * SECOND,
        ..Play::default()
    };
    let gateway = play.gateway(|_, _| ());
    gateway.until(|report| report.replicas.len() == 1).await;
    let since = Instant::now();
    for (service, status) in [
        ("liveness", Some(SERVING)),
        ("", Some(NOT_SERVING)),
        ("readiness", Some(NOT_SERVING)),
        ("model", Some(NOT_SERVING)),
        ("stranger", None),
    ] {
        let said = health(&gateway, "Check", service, 1).await;
        assert_eq!(said.first().copied(), status, "{service}");
    }
    assert_eq!(health(&gateway, "Watch", "stranger", 1).await, [UNKNOWN]);
    assert!(since.elapsed() < SECOND);
    let watched = health(&gateway, "Watch", "model", 2).await;
    assert_eq!(watched, [NOT_SERVING, SERVING]);
    assert_eq!(health(&gateway, "Check", "", 1).await, [SERVING]);

    let asleep = Play::default();
    let gateway = asleep.gateway(|settings, _| {
        settings.scale.min = 0;
        settings.scale.to_zero_after = Some(SECOND);
    });
    gateway.until(|report| report.status == "idle").await;
    assert_eq!(health(&gateway, "Check", "", 1).await, [SERVING]);
    sleep(5 * SECOND).await;
    assert_eq!(asleep.started(), 0);
}

/// Each keeps a stream open, and is told of a change at the moment that it comes.
#[tokio::test(start_paused = true)]
async fn who_watches_its_health_is_told_at_once_and_there_are_not_too_many() {
    let play = Play {
        cold_start: 71 * SECOND + 60 * MILLI,
        ..Play::default()
    };
    let gateway = play.gateway(|_, _| ());
    let mut watching = Vec::new();
    for _ in 0..data::WATCHES {
        let mut response = gateway.ask(health_of("Watch", "model")).await.unwrap();
        response.body_mut().frame().await.unwrap().unwrap();
        watching.push(response);
    }
    let refused = gateway.ask(health_of("Watch", "model")).await.unwrap();
    assert_eq!(refused.headers()["grpc-status"], "8");
    let why = refused.headers()["grpc-message"].to_str().unwrap();
    assert!(why.starts_with("as many streams"), "{why}");
    assert_eq!(health(&gateway, "Check", "", 1).await, [2]);
    let mut last = watching.pop().unwrap();
    let told = async {
        let frame = last.body_mut().frame().await.unwrap().unwrap();
        (frame.into_data().unwrap()[6], Instant::now())
    };
    let ready = async {
        gateway.until(|report| report.status == "ready").await;
        Instant::now()
    };
    let ((status, told), ready) = tokio::join!(told, ready);
    assert_eq!(status, 1);
    assert!(told <= ready + 2 * MILLI, "{:?}", told - ready);
    drop(watching);
    let freed = async {
        while health(&gateway, "Watch", "model", 1).await != [1] {
            sleep(MILLI).await;
        }
    };
    let freed = timeout(60 * SECOND, freed).await;
    freed.expect("places are free again");
}

/// The loop lets a replica in and says so a moment later; whoever was answered meanwhile is not told that
/// nobody serves.
#[tokio::test(start_paused = true)]
async fn a_service_whose_replica_answers_is_ready_before_its_loop_has_said_so() {
    let gateway = Play::default().gateway(|_, _| {});
    gateway.until(|report| report.status == "ready").await;
    let mut said = gateway.service().status();
    said.report.status = "not_ready".into();
    said.report.detail = "no replica serves yet".into();
    gateway.service().publish(said.clone());
    assert!(gateway.service().is_ready() && gateway.service().has_been_ready());
    // Whoever watches hears each word of the loop, and so the last one too.
    let watched = health(&gateway, "Watch", "model", 2).await;
    assert_eq!(watched, [2, 1]);
    gateway.service().publish(said);
    assert_eq!(health(&gateway, "Check", "", 1).await, [1]);
    let report = gateway.report();
    assert_eq!(report.status, "ready");
    assert!(
        report.detail.starts_with("ready: 1 of"),
        "{}",
        report.detail
    );
}
