//! The whole gateway in simulated time: real loops, real HTTP over pipes in memory, and replicas that
//! say of themselves what the test wants. No process, no socket, no waiting.

pub mod play;
mod retry_after;
mod rollout;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{Request, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use preheat_api::config::Upkeep;
use preheat_api::service::ScaleRequest;
use preheat_core::balance::{BalancePolicy, Credentials, Entry};
use preheat_core::hold::HoldPolicy;
use preheat_core::pool::PoolSize;
use preheat_core::{ReplicaId, Slo};
use preheat_runtime::upstream::Place;
use preheat_runtime::{Tasks, edge};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::clock::Clock;
use crate::data::{self, Upstream};
use crate::rotation::Rotation;
use crate::service::Order;
use play::{Gateway, Later, Manner, Play};

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

#[tokio::test(start_paused = true)]
async fn a_long_cold_start_is_waited_for_and_let_go_one_by_one() {
    let play = Play {
        cold_start: 71 * SECOND,
        manner: Manner::Takes(80 * MILLI),
        ..Play::default()
    };
    let gateway = play.gateway(|settings, hold| {
        settings.scale.to_zero_after = Some(300 * SECOND);
        settings.concurrency = 4;
        hold.longest = 120 * SECOND;
    });
    let answers = at_once(&gateway, 40).await;
    for (status, took) in &answers {
        assert_eq!(*status, 200);
        assert!(*took >= 71 * SECOND && *took < 75 * SECOND, "{took:?}");
    }
    assert!(
        play.most_in_flight() <= 4,
        "{} at once",
        play.most_in_flight()
    );
    // What was held arrived once: it is no demand for more.
    assert_eq!(play.started(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_spare_is_in_rotation_within_5_ms_of_the_request_that_found_no_permit() {
    let play = Play {
        cold_start: 71 * SECOND,
        manner: Manner::Takes(80 * MILLI),
        ..Play::default()
    };
    let gateway = play.gateway(|settings, _| {
        settings.concurrency = 2;
        settings.spares = PoolSize::Fixed(2);
        settings.scale.max = 4;
    });
    gateway
        .until(|report| {
            report
                .replicas
                .iter()
                .filter(|r| r.phase == "ready")
                .count()
                == 3
        })
        .await;
    // A newcomer alone takes two at once.
    let answers = at_once(&gateway, 6).await;
    let slowest = answers.iter().map(|(_, took)| *took).max().unwrap();
    assert!(
        answers.iter().all(|(status, _)| *status == 200),
        "{answers:?}"
    );
    assert!(
        slowest < 85 * MILLI,
        "nobody waited for a round: {slowest:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_refused_at_once() {
    let play = Play {
        manner: Manner::Takes(100 * MILLI),
        ..Play::default()
    };
    let gateway = play.gateway(|settings, _| {
        settings.concurrency = 1;
        settings.scale.max = 1;
    });
    gateway.until(|report| report.status == "ready").await;
    let answers = at_once(&gateway, 20).await;
    let (served, refused): (Vec<_>, Vec<_>) = answers.iter().copied().partition(|(s, _)| *s == 200);
    assert!(!served.is_empty() && !refused.is_empty(), "{answers:?}");
    for (status, took) in refused {
        assert_eq!(status, 429);
        assert!(took < 5 * MILLI, "refused after {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_passes_piece_by_piece_and_keeps_its_permit_until_its_end() {
    let play = Play {
        manner: Manner::Streams(5, SECOND),
        ..Play::default()
    };
    let gateway = play.gateway(|settings, _| settings.concurrency = 1);
    gateway.until(|report| report.status == "ready").await;
    let since = Instant::now();
    let mut response = gateway.ask(post("/embed")).await.unwrap();
    for piece in 1..=5 {
        let frame = response.body_mut().frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "piece\n");
        assert_eq!(since.elapsed().as_secs(), piece);
        if piece < 5 {
            let busy = gateway.report().replicas[0].in_flight;
            assert_eq!(busy, 1, "after {piece} pieces");
        }
    }
    assert!(response.body_mut().frame().await.is_none());
    gateway
        .until(|report| report.replicas[0].in_flight == 0)
        .await;
}

/// Its head comes at once, and its place is taken until its end: that is what replicas are needed for.
#[tokio::test(start_paused = true)]
async fn streams_count_for_as_long_as_they_last() {
    let play = Play {
        manner: Manner::Streams(20, SECOND),
        ..Play::default()
    };
    let gateway = play.gateway(|settings, _| {
        settings.concurrency = 2;
        settings.scale.max = 6;
    });
    gateway.until(|report| report.status == "ready").await;
    let mut asking = JoinSet::new();
    // Four at once on average.
    for _ in 0..60 {
        let gateway = gateway.clone();
        asking.spawn(async move {
            let response = gateway.ask(post("/embed")).await.unwrap();
            let status = response.status();
            response.into_body().collect().await.unwrap();
            status
        });
        sleep(5 * SECOND).await;
    }
    let wanted = gateway.report().wanted;
    assert!((2..=4).contains(&wanted), "{:#?}", gateway.report());
    let answers = asking.join_all().await;
    let late = &answers[answers.len() / 2..];
    assert!(late.iter().all(|status| *status == 200), "{answers:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_cancels_its_work() {
    let play = Play {
        manner: Manner::Takes(3600 * SECOND),
        ..Play::default()
    };
    let gateway = play.gateway(|_, _| ());
    gateway.until(|report| report.status == "ready").await;
    let asking = gateway.clone();
    let mut client = JoinSet::new();
    client.spawn(async move { asking.ask(post("/embed")).await.map(drop) });
    gateway
        .until(|report| report.replicas[0].in_flight == 1)
        .await;
    client.abort_all();
    gateway
        .until(|report| report.replicas[0].in_flight == 0)
        .await;
    while play.in_flight() > 0 {
        sleep(MILLI).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_replica_breaks_is_answered_by_another() {
    let play = Play {
        manner: Manner::BreaksFirst,
        ..Play::default()
    };
    let gateway = play.gateway(|settings, _| settings.scale.min = 2);
    gateway
        .until(|report| report.replicas.iter().filter(|r| r.serving).count() == 2)
        .await;
    let response = gateway.ask(post("/embed")).await.unwrap();
    assert_eq!(response.status(), 200);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "[\"x\"]", "its body was sent twice");
    assert_eq!(gateway.failures("broken"), 1, "and the failure is counted");
    assert_eq!(play.asked(), 2);
}

/// It is tried less and less often; whoever meets it is answered by another.
#[tokio::test(start_paused = true)]
async fn a_replica_that_lives_and_breaks_each_request_is_left_alone() {
    let play = Play {
        breaks: Some(0),
        ..Play::default()
    };
    let gateway = play.gateway(|settings, _| {
        settings.scale.min = 2;
        settings.scale.max = 2;
        settings.concurrency = 1;
    });
    gateway
        .until(|report| report.replicas.iter().filter(|r| r.serving).count() == 2)
        .await;
    for _ in 0..500 {
        // The second one finds the other taken.
        let answers = at_once(&gateway, 2).await;
        assert!(
            answers.iter().all(|(status, _)| *status == 200),
            "{answers:?}"
        );
        sleep(100 * MILLI).await;
    }
    let met = gateway.failures("broken");
    assert!((5..50).contains(&met), "{met} of 1000");
}

/// The loop alone brings back who left the rotation: what it does not hear of is lost for good.
#[tokio::test(start_paused = true)]
async fn the_loop_hears_of_each_replica_that_left_the_rotation() {
    let slo = Slo::p95(200 * MILLI);
    let (policy, hold) = (BalancePolicy::under(slo), HoldPolicy::default());
    let rotation = Arc::new(Rotation::new(policy, hold, SECOND, Clock::new()));
    let (_listener, dialer) = edge::memory();
    let place = || Place::Memory(dialer.clone());
    let ids: Vec<_> = (0..1000).map(|n| ReplicaId::new(format!("r{n}"))).collect();
    for id in &ids {
        let upstream = Arc::new(Upstream::new(place(), place(), Tasks::new()));
        let credentials = Credentials {
            steady: MILLI,
            concurrency: 1,
            degraded: false,
            entry: Entry::Tried,
        };
        rotation.admit((id.clone(), credentials, upstream));
    }
    ids.iter().for_each(|id| rotation.unreachable(id));
    assert!(rotation.is_empty());
    assert_eq!(rotation.observe().facts.len(), 1000);
}

/// There is nobody else to ask, and nothing else is under way that would end.
#[tokio::test(start_paused = true)]
async fn who_is_turned_away_by_the_only_replica_comes_back_to_it() {
    let play = Play {
        manner: Manner::TurnsAwayFirst,
        ..Play::default()
    };
    let gateway = play.gateway(|settings, _| settings.scale.max = 1);
    gateway.until(|report| report.status == "ready").await;
    let since = Instant::now();
    let response = gateway.ask(post("/embed")).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(since.elapsed() < SECOND, "{:?}", since.elapsed());
    assert_eq!(play.asked(), 2);
}

/// An offer to speak something else may be ignored: what comes then is an answer like any other, however
/// long, and tells as much about its replica.
#[tokio::test(start_paused = true)]
async fn an_upgrade_that_is_not_agreed_to_is_a_request_like_any_other() {
    let offer = || {
        let request = Request::get("/embed").header("host", "gateway");
        let request = request.header("connection", "upgrade");
        let request = request.header("upgrade", "other/1");
        request.body(Full::<Bytes>::default()).unwrap()
    };
    let play = Play {
        manner: Manner::Streams(20_000, MILLI),
        ..Play::default()
    };
    let gateway = play.gateway(|_, _| {});
    gateway.until(|report| report.status == "ready").await;
    let response = gateway.ask(offer()).await.unwrap();
    assert_eq!(response.status(), 200);
    let whole = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(whole.len(), 20_000 * "piece\n".len());

    let failing = Play {
        manner: Manner::Says(StatusCode::BAD_GATEWAY),
        ..Play::default()
    };
    let gateway = failing.gateway(|_, _| {});
    gateway.until(|report| report.status == "ready").await;
    assert_eq!(gateway.ask(offer()).await.unwrap().status(), 502);
    while gateway.failures("status") == 0 {
        sleep(MILLI).await;
    }

    let leaving = Play {
        manner: Manner::TurnsAwayFirst,
        ..Play::default()
    };
    let gateway = leaving.gateway(|settings, _| settings.scale.max = 1);
    gateway.until(|report| report.status == "ready").await;
    assert_eq!(gateway.ask(offer()).await.unwrap().status(), 200);
}

/// Whoever gives less time than was promised learns that it was too little, and nothing else follows.
#[tokio::test(start_paused = true)]
async fn clients_in_a_hurry_send_no_replica_away() {
    let too_late = Manner::Says(StatusCode::GATEWAY_TIMEOUT);
    for (manner, limit, is_to_blame) in [
        (Manner::Takes(100 * MILLI), "50m", false),
        (Manner::Takes(300 * MILLI), "250m", true),
        (too_late, "50m", false),
        (too_late, "250m", true),
    ] {
        let play = Play {
            manner,
            ..Play::default()
        };
        let gateway = play.gateway(|settings, _| settings.scale.min = 2);
        gateway
            .until(|report| report.replicas.iter().filter(|r| r.serving).count() == 2)
            .await;
        for _ in 0..20 {
            let mut hasty = post("/embed");
            let limit = limit.parse().unwrap();
            hasty.headers_mut().insert("grpc-timeout", limit);
            assert_eq!(gateway.ask(hasty).await.unwrap().status(), 504);
        }
        let decisions = gateway.decisions();
        let mut decided = decisions.iter().map(|d| d.action.as_str());
        let blamed = decided.any(|action| action == "eject" || action == "rewarm");
        assert_eq!(blamed, is_to_blame, "{limit}: {decisions:#?}");
    }
}

/// Its next request would lie behind a body that nobody reads.
#[tokio::test(start_paused = true)]
async fn who_is_refused_before_the_body_came_is_told_that_the_connection_ends() {
    let gateway = Play::default().gateway(|_, _| {});
    let never = StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>());
    let request = Request::post("/embed").header("content-length", "999999999");
    let request = request.header("host", "gateway").body(never).unwrap();
    let response = gateway.ask(request).await.unwrap();
    assert_eq!(response.status(), 413);
    assert_eq!(response.headers()["connection"], "close");
    gateway.until(|report| report.status == "ready").await;
    let response = gateway.ask(post("/embed")).await.unwrap();
    assert!(!response.headers().contains_key("connection"));
}

/// One whose body never comes.
fn bodiless(path: &str) -> Request<impl http_body::Body<Data = Bytes, Error = Infallible> + use<>> {
    let never = StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>());
    let request = Request::post(path).header("host", "gateway");
    request.header("content-length", "9").body(never).unwrap()
}

/// What can be said by the head alone is said before a byte of the body is read.
#[tokio::test(start_paused = true)]
async fn a_refusal_costs_no_body() {
    let play = Play {
        rate: Some(1.0),
        ..Play::default()
    };
    let gateway = play.gateway(|_, _| {});
    gateway.until(|report| report.status == "ready").await;
    while gateway.ask(post("/embed")).await.unwrap().status() == 200 {}
    let without = Play::default().gateway(|_, _| {});
    without.until(|report| report.status == "ready").await;
    let since = Instant::now();
    for (gateway, path, status) in [(gateway, "/embed", 429), (without, "/nowhere", 404)] {
        let response = gateway.ask(bodiless(path)).await.unwrap();
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(response.headers()["connection"], "close");
    }
    assert!(since.elapsed() < SECOND, "{:?}", since.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_body_has_as_long_as_its_own_service_gives_a_request() {
    let play = Play {
        request_timeout: 5 * SECOND,
        ..Play::default()
    };
    let gateway = play.gateway(|_, _| {});
    gateway.until(|report| report.status == "ready").await;
    let pieces = stream::unfold((), |()| async {
        sleep(SECOND).await;
        let frame = Frame::data(Bytes::from_static(b"x"));
        Some((Ok::<_, Infallible>(frame), ()))
    });
    let slow = Request::post("/embed").header("host", "gateway");
    let slow = slow.header("content-length", "60");
    let since = Instant::now();
    let response = gateway.ask(slow.body(StreamBody::new(pieces)).unwrap());
    assert_eq!(response.await.unwrap().status(), 408);
    assert!(since.elapsed() < 6 * SECOND, "{:?}", since.elapsed());
}

/// A client on a slow line takes its own time, and no place of a replica.
#[tokio::test(start_paused = true)]
async fn a_body_that_trickles_takes_nobodys_place() {
    let play = Play::default();
    let gateway = play.gateway(|settings, _| {
        settings.concurrency = 1;
        settings.scale.max = 1;
    });
    gateway.until(|report| report.status == "ready").await;
    let slow = |length: Option<&str>| {
        let mut request = Request::post("/embed").header("host", "gateway");
        if let Some(length) = length {
            request = request.header("content-length", length);
        }
        let pieces = stream::unfold(0, |piece| async move {
            sleep(SECOND).await;
            let frame = Frame::data(Bytes::from_static(b"x"));
            (piece < 5).then_some((Ok::<_, Infallible>(frame), piece + 1))
        });
        request.body(StreamBody::new(pieces)).unwrap()
    };
    let mut slowly = JoinSet::new();
    for request in [slow(Some("5")), slow(None), slow(None)] {
        let gateway = gateway.clone();
        slowly.spawn(async move { gateway.ask(request).await.unwrap() });
    }
    sleep(2 * SECOND).await;
    for _ in 0..20 {
        let since = Instant::now();
        let response = gateway.ask(post("/embed")).await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(since.elapsed() < 20 * MILLI, "{:?}", since.elapsed());
    }
    for response in slowly.join_all().await {
        assert_eq!(response.status(), 200);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "xxxxx");
    }
}

/// A process that hangs takes connections and answers nothing.
#[tokio::test(start_paused = true)]
async fn a_replica_that_says_nothing_any_more_is_replaced() {
    let play = Play {
        later: Some((10 * SECOND, Later::Hangs)),
        ..Play::default()
    };
    let gateway = play.gateway(|settings, _| settings.scale.max = 1);
    gateway.until(|report| report.status == "ready").await;
    gateway.until(|report| report.status == "not_ready").await;
    assert_eq!(play.started(), 1, "it may come back to itself");
    let response = gateway.ask(post("/embed")).await.unwrap();
    assert_eq!(response.status(), 200, "held until there is another one");
    assert_eq!(play.started(), 2);
    let decisions = gateway.decisions();
    let lost = decisions.iter().find(|d| d.action == "silent").unwrap();
    assert_eq!(lost.replica.as_deref(), Some("r1"));
}

/// It is a start that failed, and the next one is told apart from it.
#[tokio::test(start_paused = true)]
async fn a_replica_that_never_said_a_word_is_replaced() {
    let play = Play {
        later: Some((Duration::ZERO, Later::NeverSpoke)),
        ..Play::default()
    };
    let gateway = play.gateway(|settings, _| settings.scale.max = 1);
    gateway.until(|report| report.status == "ready").await;
    assert_eq!(play.started(), 2);
    let decisions = gateway.decisions();
    let failed = decisions.iter().find(|d| d.action == "failed").unwrap();
    assert_eq!(failed.replica.as_deref(), Some("r1"));
    let cause = "did not answer for 35 s and was ended before it was ready";
    assert!(failed.detail.contains(cause), "{}", failed.detail);
}

/// Whoever writes over a model's files meets nobody with them until all replicas are to have them.
#[tokio::test(start_paused = true)]
async fn a_replica_of_other_files_is_not_let_in_beside_those_who_serve() {
    let play = Play {
        files: |nth| if nth == 0 { "old" } else { "new" },
        ..Play::default()
    };
    let gateway = play.gateway(|settings, _| settings.scale.max = 3);
    gateway.until(|report| report.status == "ready").await;
    let two = ScaleRequest {
        min: Some(2),
        ..ScaleRequest::default()
    };
    gateway.order(Order::Scale(two)).await.unwrap();
    gateway.until(|report| report.error.is_some()).await;
    let error = gateway.report().error.unwrap();
    assert!(error.cause.contains("files have changed"), "{error:?}");
    sleep(5 * SECOND).await;
    let serving = gateway.report().replicas;
    let serving: Vec<_> = serving.iter().filter(|r| r.serving).collect();
    assert_eq!(serving.len(), 1, "{serving:?}");
    assert_eq!(serving[0].id, "r1");
    assert_eq!(gateway.ask(post("/embed")).await.unwrap().status(), 200);
}

/// One that serves nobody any more has no say in what the others are made of.
#[tokio::test(start_paused = true)]
async fn a_replica_of_other_files_serves_where_no_other_does() {
    let play = Play {
        files: |nth| if nth == 0 { "old" } else { "new" },
        later: Some((10 * SECOND, Later::Hangs)),
        ..Play::default()
    };
    let gateway = play.gateway(|settings, _| settings.scale.max = 3);
    gateway.until(|report| report.status == "ready").await;
    gateway.until(|report| report.status == "not_ready").await;
    let two = ScaleRequest {
        min: Some(2),
        ..ScaleRequest::default()
    };
    gateway.order(Order::Scale(two)).await.unwrap();
    gateway.until(|report| report.status == "ready").await;
    let report = gateway.report();
    assert!(report.error.is_none(), "{:?}", report.error);
    let serving: Vec<_> = report.replicas.iter().filter(|r| r.serving).collect();
    assert_eq!(serving[0].id, "r2", "{serving:?}");
}

/// It had served: the next one is waited for, as for one whose process dies.
#[tokio::test(start_paused = true)]
async fn users_of_a_replica_that_cannot_go_on_are_held_for_the_next() {
    let play = Play {
        later: Some((30 * SECOND, Later::Fails)),
        ..Play::default()
    };
    let gateway = play.gateway(|settings, _| settings.scale.max = 1);
    gateway.until(|report| report.status == "ready").await;
    let began = Instant::now();
    while began.elapsed() < 40 * SECOND {
        let since = Instant::now();
        let response = gateway.ask(post("/embed")).await.unwrap();
        assert_eq!(response.status(), 200, "after {:?}", began.elapsed());
        assert!(since.elapsed() < 2 * SECOND, "{:?}", since.elapsed());
        sleep(20 * MILLI).await;
    }
    assert_eq!(play.started(), 2);
    let decisions = gateway.decisions();
    assert!(decisions.iter().any(|d| d.action == "lost"));
    assert!(decisions.iter().all(|d| d.action != "failed"));
}

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
    // Places are free again.
    while health(&gateway, "Watch", "model", 1).await != [1] {
        sleep(MILLI).await;
    }
}

/// Who wants to see first what the load would ask for.
#[tokio::test(start_paused = true)]
async fn a_gateway_that_only_advises_changes_nothing() {
    let play = Play {
        manner: Manner::Takes(50 * MILLI),
        ..Play::default()
    };
    let gateway = play.gateway(|settings, _| settings.scaling = Upkeep::Advise);
    gateway.until(|report| report.status == "ready").await;
    for _ in 0..40 {
        at_once(&gateway, 60).await;
        sleep(SECOND / 4).await;
    }
    assert_eq!((play.started(), gateway.report().wanted), (1, 1));
    let reason = gateway.report().reason;
    assert!(reason.contains("the load would want"), "{reason}");
    let advice = gateway.decisions();
    let advice = advice.iter().filter(|d| d.action == "advise_want");
    let most = advice.map(|d| d.inputs["advised"] as usize).max();
    assert!(most > Some(1), "{most:?}");
}

/// Whatever the load does, there are never more than the maximum and never more in flight at one
/// replica than it takes; and nobody is lost.
#[tokio::test(start_paused = true)]
async fn bounds_hold_through_bursts() {
    let play = Play {
        cold_start: 10 * SECOND,
        manner: Manner::Takes(50 * MILLI),
        ..Play::default()
    };
    let gateway = play.gateway(|settings, _| {
        settings.concurrency = 3;
        settings.scale.max = 4;
    });
    gateway.until(|report| report.status == "ready").await;
    for burst in [1, 30, 5, 60, 2] {
        let answers = at_once(&gateway, burst).await;
        let odd: Vec<_> = answers
            .iter()
            .filter(|(s, _)| *s != 200 && *s != 429)
            .collect();
        assert!(odd.is_empty(), "{odd:?}");
        sleep(5 * SECOND).await;
    }
    assert!(
        play.most_in_flight() <= 3,
        "{} at once",
        play.most_in_flight()
    );
    assert!(play.most_alive() <= 4, "{} replicas", play.most_alive());
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
    gateway.service().publish(said);
    let report = gateway.report();
    assert_eq!(report.status, "ready");
    assert!(
        report.detail.starts_with("ready: 1 of"),
        "{}",
        report.detail
    );
}
