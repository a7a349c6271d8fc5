//! Replicas that break, turn away or are too slow, and who is asked instead.

use std::sync::Arc;

use http::StatusCode;
use http_body_util::BodyExt as _;
use preheat_core::balance::{BalancePolicy, Credentials, Entry};
use preheat_core::hold::HoldPolicy;
use preheat_core::{ReplicaId, Slo};
use preheat_runtime::upstream::Place;
use preheat_runtime::{Tasks, edge};
use tokio::time::{Instant, sleep};

use super::play::{Manner, Play};
use super::{MILLI, SECOND, at_once, post};
use crate::clock::Clock;
use crate::data::Upstream;
use crate::rotation::Rotation;

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
