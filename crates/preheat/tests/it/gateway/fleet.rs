//! From zero, to many, and back.

use serde_json::json;

use super::{at_once, metric, nobody_was_cold, replicas, service, serving, start, until};
use crate::client;
use crate::replica::{Start, real_model};

#[tokio::test]
async fn requests_at_zero_are_held_and_all_are_answered() {
    let mut gateway = start("scale_to_zero = true\nlinger = \"1s\"").spawn();
    gateway.wait_for("idle", |ready| ready.status == 200).await;
    let idle = service(&gateway).await;
    assert_eq!(idle["status"], "idle", "{idle:#}");
    assert_eq!(idle["replicas"], json!([]));

    let answers = at_once(&gateway, 20).await;
    for answer in &answers {
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("preheat-warm"), "proven");
        assert_eq!(answer.header("preheat-replica"), "r1");
    }
    let held = metric(&gateway, "preheat_hold_seconds_count").await;
    assert!(held >= 20.0, "{held} were held");
    nobody_was_cold(&gateway).await;

    until(&gateway, "zero again", |s| {
        s["status"] == "idle" && s["replicas"] == json!([])
    })
    .await;
    assert_eq!(at_once(&gateway, 1).await[0].status, 200);
}

#[tokio::test]
async fn a_burst_takes_the_spares_at_once_and_loses_nobody() {
    let fleet = "min = 1\nmax = 4\nspares = 2\nconcurrency = 2";
    let config = format!("[slo]\np95 = \"5s\"\n[fleet]\n{fleet}\n{}", super::SIM);
    let gateway = Start::with(&config).gateway().ready().await;
    let spare = |r: &serde_json::Value| r["role"] == "spare" && r["phase"] == "ready";
    until(&gateway, "two spares", |s| replicas(s, spare).count() == 2).await;

    for _ in 0..5 {
        for answer in at_once(&gateway, 12).await {
            assert_eq!(answer.status, 200, "{answer:?}");
        }
    }
    let service = until(&gateway, "promoted", |s| serving(s) >= 2).await;
    assert!(service["wanted"].as_u64().unwrap() >= 2, "{service:#}");
    assert!(metric(&gateway, "preheat_promotion_seconds_count").await >= 1.0);
    // The pool is refilled, within the maximum.
    until(&gateway, "whole", |s| {
        replicas(s, |r| r["phase"] == "ready").count() == 4
    })
    .await;
    nobody_was_cold(&gateway).await;

    let decisions = client::get(gateway.admin, "/v1/decisions")
        .await
        .unwrap()
        .json();
    let decisions = decisions.as_array().unwrap();
    let promoted = decisions
        .iter()
        .find(|d| d["action"] == "promote" && d["reason"] == "a request found every permit taken");
    assert!(
        promoted.unwrap()["inputs"]["active"].is_number(),
        "{decisions:?}"
    );
}

#[tokio::test]
async fn the_default_model_comes_from_zero_for_the_first_request() {
    let config = format!("[fleet]\nscale_to_zero = true\n{}", real_model());
    let mut gateway = Start::with(&config).gateway().spawn();
    gateway.wait_for("idle", |ready| ready.status == 200).await;
    let answer = gateway.post("/embed", &json!(["hello world"])).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let vector = answer.json()["embeddings"][0].as_array().unwrap().len();
    assert_eq!(vector, 384);
    nobody_was_cold(&gateway).await;
}

#[tokio::test]
async fn a_flood_at_zero_is_bounded_and_told_when_to_come_back() {
    let slow = super::SIM.replace("weights = \"20ms\"", "weights = \"2s\"");
    let fleet = "scale_to_zero = true\nhold_requests = 16";
    let config = format!("[fleet]\n{fleet}\n{slow}");
    let mut gateway = Start::with(&config).gateway().spawn();
    gateway.wait_for("idle", |ready| ready.status == 200).await;
    let answers = at_once(&gateway, 100).await;
    let (served, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|a| a.status == 200);
    assert_eq!(served.len(), 16, "as many as may wait");
    for answer in refused {
        assert_eq!(answer.status, 503, "{answer:?}");
        assert_eq!(answer.json()["code"], "hold_full", "{answer:?}");
        assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
        let millis: u64 = answer.header("retry-after-ms").parse().unwrap();
        assert!((50..=30_000).contains(&millis), "{answer:?}");
    }
    let count = metric(&gateway, "preheat_rejected_total{reason=\"hold_full\"}").await;
    assert_eq!(count, 84.0);
}

#[tokio::test]
async fn an_unproven_replica_never_gets_a_request() {
    let skipping = |fleet: &str| {
        let config = format!("[warmup]\nskip = true\n[fleet]\n{fleet}\n{}", super::SIM);
        Start::with(&config).gateway()
    };
    let gateway = skipping("max = 1").spawn();
    until_listening(&gateway).await;
    let refused = gateway.post("/embed", &json!(["x"])).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(refused.json()["code"], "start_failed", "{refused:?}");
    assert!(
        refused.json()["detail"]
            .as_str()
            .unwrap()
            .contains("fleet.allow_unproven")
    );
    assert_eq!(gateway.get("/ready").await.status, 503);
    let service = service(&gateway).await;
    assert_eq!(
        replicas(&service, |r| r["answered"] != 0).count(),
        0,
        "{service:#}"
    );

    let allowed = skipping("allow_unproven = true").ready().await;
    let answer = allowed.post("/embed", &json!(["x"])).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("preheat-warm")),
        (200, "skipped")
    );
    assert_eq!(
        metric(&allowed, "preheat_cold_requests_total").await,
        1.0,
        "and it is counted"
    );
}

async fn until_listening(gateway: &crate::replica::Replica) {
    while client::get(gateway.admin, "/livez").await.is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
}

/// A start that fails tells those who wait for it, with its reason.
#[tokio::test]
async fn a_failed_start_is_told_to_those_who_wait() {
    let faulty = format!("{}fault = {{ kind = \"load\" }}\n", super::SIM);
    let config = format!("[fleet]\nscale_to_zero = true\n{faulty}");
    let mut gateway = Start::with(&config).gateway().spawn();
    gateway.wait_for("idle", |ready| ready.status == 200).await;
    let refused = gateway.post("/embed", &json!(["x"])).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    let problem = refused.json();
    assert_eq!(problem["code"], "start_failed", "{problem:#}");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("simulated load fails"),
        "{problem:#}"
    );
}
