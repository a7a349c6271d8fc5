//! Blue and green in simulated time: who may meet a user, and when.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{HeaderValue, StatusCode};
use preheat_api::service::{RolloutReport, RolloutRequest};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::play::{Gateway, Green, Manner, NEW, Play};
use super::{MILLI, SECOND, post};
use crate::service::Order;

/// Users who ask without a pause until they are told to stop.
struct Users {
    stop: Arc<AtomicBool>,
    asking: JoinSet<Vec<(StatusCode, Duration)>>,
}

impl Users {
    fn of(gateway: &Gateway, count: usize) -> Self {
        Users::asking(gateway, count, "application/json")
    }

    fn asking(gateway: &Gateway, count: usize, kind: &'static str) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let mut asking = JoinSet::new();
        for _ in 0..count {
            let (stop, gateway) = (stop.clone(), gateway.clone());
            asking.spawn(async move {
                let mut answers = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let since = Instant::now();
                    let mut request = post("/embed");
                    let kind = HeaderValue::from_static(kind);
                    request.headers_mut().insert("content-type", kind);
                    let answer = gateway.ask(request).await.unwrap();
                    answers.push((answer.status(), since.elapsed()));
                    sleep(100 * MILLI).await;
                }
                answers
            });
        }
        Users { stop, asking }
    }

    async fn leave(self) -> Vec<(StatusCode, Duration)> {
        self.stop.store(true, Ordering::Relaxed);
        self.asking.join_all().await.concat()
    }
}

fn play(green: Green) -> Play {
    Play {
        green,
        ..Play::default()
    }
}

async fn begun(play: &Play) -> Gateway {
    let gateway = play.gateway(|settings, _| {
        settings.scale.min = 2;
        settings.rollout.load_for = 3 * SECOND;
        settings.rollout.watch_for = 10 * SECOND;
        settings.rollout.keep_blue = 20 * SECOND;
    });
    gateway
        .until(|report| report.replicas.iter().filter(|r| r.serving).count() == 2)
        .await;
    gateway
}

fn to_new() -> Order {
    Order::Rollout {
        wish: RolloutRequest {
            source: Some(NEW.into()),
            ..RolloutRequest::default()
        },
        keyed: false,
    }
}

fn rollout(gateway: &Gateway) -> RolloutReport {
    gateway.report().rollout.unwrap()
}

async fn until(gateway: &Gateway, stage: &str) {
    let is = |r: &RolloutReport| r.stage == stage;
    gateway
        .until(|report| report.rollout.as_ref().is_some_and(is))
        .await;
}

fn of_green(gateway: &Gateway) -> usize {
    let report = gateway.report();
    let green = &report.rollout.as_ref().unwrap().to;
    report
        .replicas
        .iter()
        .filter(|r| r.revision == *green)
        .count()
}

#[tokio::test(start_paused = true)]
async fn a_good_green_takes_over_and_nobody_notices() {
    let play = play(Play::default().green);
    let gateway = begun(&play).await;
    let users = Users::of(&gateway, 2);
    sleep(5 * SECOND).await;
    gateway.order(to_new()).await.unwrap();

    until(&gateway, "loading").await;
    assert_eq!(gateway.report().replicas.len(), 4, "green is beside blue");
    let limits = rollout(&gateway).limits;
    assert!(
        limits.slo_p95_ms > 0.0 && limits.max_ratio > 1.0,
        "{limits:?}"
    );
    until(&gateway, "watching").await;
    assert_eq!(play.loads(), 2, "each of green was loaded");
    assert_eq!(gateway.report().revision, rollout(&gateway).to);
    let before = play.green_asked();
    sleep(10 * SECOND).await;
    assert!(play.green_asked() > before);

    until(&gateway, "keeping").await;
    assert_eq!(gateway.report().replicas.len(), 4, "blue is kept warm");
    until(&gateway, "promoted").await;
    gateway.until(|report| report.replicas.len() == 2).await;
    for (status, took) in users.leave().await {
        assert_eq!(status, 200);
        assert!(took < 40 * MILLI, "{took:?}");
    }
    assert_eq!(of_green(&gateway), 2);
}

#[tokio::test(start_paused = true)]
async fn a_green_that_misses_anything_never_meets_a_user() {
    let good = Play::default().green;
    let slow = Green {
        under_load: 50 * MILLI,
        ..good
    };
    let failing = Green {
        errors_under_load: 1,
        ..good
    };
    let broken = Green {
        phase: "failed",
        ..good
    };
    let other = Green { width: 16, ..good };
    for (green, reason) in [
        (slow, "green is slower than blue"),
        (failing, "green failed under load"),
        (broken, "green failed"),
        (other, "its answers have 16 numbers, blue's have 8"),
    ] {
        let play = play(green);
        let gateway = begun(&play).await;
        let users = Users::of(&gateway, 2);
        sleep(5 * SECOND).await;
        gateway.order(to_new()).await.unwrap();
        until(&gateway, "refused").await;
        let said = rollout(&gateway).detail;
        assert!(said.contains(reason), "{said}");
        gateway.until(|report| report.replicas.len() == 2).await;
        assert_eq!(of_green(&gateway), 0);
        for (status, took) in users.leave().await {
            assert_eq!(status, 200, "{reason}");
            assert!(took < 40 * MILLI, "{reason}: {took:?}");
        }
        assert_eq!(play.green_asked(), 0, "{reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_green_that_is_slow_for_users_gives_way_by_itself() {
    let play = play(Green {
        manner: Manner::Takes(30 * MILLI),
        ..Play::default().green
    });
    let gateway = begun(&play).await;
    let users = Users::of(&gateway, 2);
    sleep(5 * SECOND).await;
    gateway.order(to_new()).await.unwrap();
    until(&gateway, "rolled_back").await;
    let said = rollout(&gateway).detail;
    assert!(said.contains("green is slower than blue"), "{said}");
    assert_eq!(gateway.report().revision, rollout(&gateway).from);
    let met = play.green_asked();
    assert!(met > 0, "it was found out by users");
    sleep(10 * SECOND).await;
    assert_eq!(play.green_asked(), met, "and nobody meets it any more");
    for (status, _) in users.leave().await {
        assert_eq!(status, 200);
    }
}

/// Whatever the way in which it says that it cannot.
#[tokio::test(start_paused = true)]
async fn a_green_that_fails_users_gives_way_by_itself() {
    let (json, grpc) = ("application/json", "application/grpc");
    let (fails, declines) = ("green fails requests", "green does not take");
    for (manner, kind, reason) in [
        (Manner::Says(StatusCode::BAD_GATEWAY), json, fails),
        (Manner::Says(StatusCode::SERVICE_UNAVAILABLE), json, fails),
        (Manner::EndsWith("13"), grpc, fails),
        (Manner::Breaks, json, fails),
        (Manner::Says(StatusCode::NOT_FOUND), json, declines),
    ] {
        let play = play(Green {
            manner,
            ..Play::default().green
        });
        let gateway = begun(&play).await;
        let users = Users::asking(&gateway, 2, kind);
        sleep(5 * SECOND).await;
        gateway.order(to_new()).await.unwrap();
        let over = |r: &RolloutReport| r.stage == "rolled_back" || r.stage == "promoted";
        gateway
            .until(|report| report.rollout.as_ref().is_some_and(over))
            .await;
        let ended = rollout(&gateway);
        assert_eq!(ended.stage, "rolled_back", "{manner:?}: {ended:#?}");
        assert!(ended.detail.contains(reason), "{ended:#?}");
        users.leave().await;
    }
}

#[tokio::test(start_paused = true)]
async fn people_may_call_it_off_bring_blue_back_or_let_it_go() {
    let play = play(Play::default().green);
    let gateway = begun(&play).await;
    assert!(
        gateway.order(Order::Promote).await.is_err(),
        "there is none"
    );

    gateway.order(to_new()).await.unwrap();
    let twice = gateway.order(to_new()).await.unwrap_err();
    assert!(twice.contains("under way"), "{twice}");
    let early = gateway.order(Order::Promote).await.unwrap_err();
    assert!(early.contains("nothing was changed"), "{early}");
    gateway.order(Order::Abort).await.unwrap();
    until(&gateway, "refused").await;
    assert_eq!(play.green_asked(), 0);

    gateway.order(to_new()).await.unwrap();
    until(&gateway, "keeping").await;
    // To abort would be to go back, which is not what who wants the next one wants.
    let next = gateway.order(to_new()).await.unwrap_err();
    assert!(
        next.contains("`promote`") && !next.contains("abort"),
        "{next}"
    );
    gateway.order(Order::Rollback).await.unwrap();
    until(&gateway, "rolled_back").await;
    assert_eq!(gateway.report().revision, rollout(&gateway).from);

    gateway.order(to_new()).await.unwrap();
    until(&gateway, "watching").await;
    gateway.order(Order::Promote).await.unwrap();
    until(&gateway, "promoted").await;
    gateway.until(|report| report.replicas.len() == 2).await;
    assert_eq!(of_green(&gateway), 2);
    let same = gateway.order(to_new()).await.unwrap_err();
    assert!(same.contains("serves this already"), "{same}");
}

/// With nobody there, green comes up, is switched to, and goes to sleep as blue would have.
#[tokio::test(start_paused = true)]
async fn a_service_at_zero_changes_too() {
    let play = play(Play::default().green);
    let gateway = play.gateway(|settings, _| {
        settings.scale.min = 0;
        settings.scale.to_zero_after = Some(60 * SECOND);
    });
    gateway.until(|report| report.status == "idle").await;
    gateway.order(to_new()).await.unwrap();
    until(&gateway, "promoted").await;
    gateway.until(|report| report.replicas.is_empty()).await;
    let answer = gateway.ask(post("/embed")).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(play.green_asked(), 1);
}
