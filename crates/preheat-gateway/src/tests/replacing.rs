//! Replicas that hang, cannot go on, or have another model than the rest.

use std::time::Duration;

use preheat_api::service::ScaleRequest;
use tokio::time::{Instant, sleep};

use super::play::{Later, Play};
use super::{MILLI, SECOND, post};
use crate::service::Order;

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
    // Five seconds of a start are no news.
    assert!(!decisions.iter().any(|d| d.action == "silent"));
    let told: Vec<_> = decisions.iter().filter(|d| d.action == "unheard").collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].detail.contains("for 20.0 s"), "{}", told[0].detail);
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
