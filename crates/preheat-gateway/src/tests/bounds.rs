//! How many replicas there are, and how much each has to do.

use std::sync::Arc;

use preheat_api::config::Upkeep;
use preheat_api::service::ScaleRequest;
use preheat_core::balance::{BalancePolicy, Credentials, Entry};
use preheat_core::hold::HoldPolicy;
use preheat_core::{ReplicaId, Slo};
use preheat_runtime::upstream::Place;
use preheat_runtime::{Tasks, edge};
use tokio::time::{Instant, sleep};

use super::play::{Manner, Play};
use super::{MILLI, SECOND, at_once};
use crate::clock::Clock;
use crate::data::Upstream;
use crate::rotation::{Asking, Rotation};
use crate::service::Order;

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

/// It broke a connection, or was out of rotation for a while, and still works on what it had.
#[tokio::test(start_paused = true)]
async fn a_replica_that_comes_back_still_has_what_it_works_on() {
    let (policy, hold) = (
        BalancePolicy::under(Slo::p95(SECOND)),
        HoldPolicy::default(),
    );
    let rotation = Arc::new(Rotation::new(policy, hold, SECOND, Clock::new()));
    let (_listener, dialer) = edge::memory();
    let place = || Place::Memory(dialer.clone());
    let upstream = Arc::new(Upstream::new(place(), place(), Tasks::new()));
    let id = ReplicaId::new("r1");
    let newcomer = || {
        let credentials = Credentials {
            steady: MILLI,
            concurrency: 2,
            degraded: false,
            entry: Entry::Tried,
        };
        (id.clone(), credentials, Arc::clone(&upstream))
    };
    let asking = || Asking {
        bytes: 0,
        deadline: Instant::now() + SECOND,
        except: None,
        again: false,
    };
    rotation.admit(newcomer());
    let mut permits = Vec::new();
    for _ in 0..2 {
        permits.push(rotation.acquire(asking()).await.unwrap());
    }
    let ways: [&dyn Fn(); 4] = [
        &|| rotation.unreachable(&id),
        &|| rotation.withdraw(&id),
        &|| rotation.switch(Vec::new()),
        &|| {},
    ];
    for leave in ways {
        leave();
        rotation.admit(newcomer());
        assert_eq!(rotation.look(&id).unwrap().in_flight, 2);
        let third = rotation.acquire(asking());
        assert!(third.await.is_err(), "more than it takes");
    }
    rotation.switch(vec![newcomer()]);
    drop(permits.pop());
    assert_eq!(rotation.look(&id).unwrap().in_flight, 1);
    rotation.acquire(asking()).await.unwrap();
    drop(permits);
    assert_eq!(rotation.look(&id).unwrap().in_flight, 0);
}

/// Several servers cannot have one address.
#[tokio::test(start_paused = true)]
async fn more_are_not_asked_for_where_all_would_start_at_one_address() {
    for (url, goes) in [("http://127.0.0.1:9", false), ("", true)] {
        let play = Play {
            url,
            ..Play::default()
        };
        let gateway = play.gateway(|settings, _| settings.scale.max = 1);
        gateway.until(|report| report.status == "ready").await;
        let to = |max| {
            Order::Scale(ScaleRequest {
                max: Some(max),
                ..ScaleRequest::default()
            })
        };
        gateway.order(to(1)).await.unwrap();
        let asked = gateway.order(to(2)).await;
        assert_eq!(asked.is_ok(), goes, "{asked:?}");
        assert_eq!(gateway.report().max, 1 + usize::from(goes));
        if let Err(said) = asked {
            assert!(said.contains("write {port}"), "{said}");
        }
    }
}

/// Whatever bounds a configuration or a gateway before this one has left beside it.
#[tokio::test(start_paused = true)]
async fn one_address_has_one_server() {
    let play = Play {
        url: "http://127.0.0.1:9",
        ..Play::default()
    };
    let gateway = play.gateway(|settings, _| {
        (settings.scale.min, settings.scale.max) = (2, 3);
    });
    gateway.until(|report| report.status == "ready").await;
    assert_eq!(gateway.report().max, 1);
}
