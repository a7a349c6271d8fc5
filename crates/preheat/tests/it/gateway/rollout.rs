//! One revision gives way to the next, with real processes and users who must not notice.

use http::Method;
use serde_json::{Value, json};

use super::chaos::{Load, gone};
use super::{SIM, at_once, metric, nobody_was_cold, processes, replicas, service, serving, until};
use crate::cli::{Called, Shell};
use crate::client;
use crate::replica::{Replica, Start};

/// Short, and not to be disturbed by other tests on the same cores.
pub(super) const QUICK: &str = "[fleet.rollout]\nload_for = \"1s\"\nwatch_for = \"1s\"\n\
                                keep_for = \"1s\"\nslack = \"400ms\"\n";

fn config(sim: &str) -> String {
    let head = "[drain]\ndelay = \"0s\"\n[slo]\np95 = \"5s\"\n[memory]\nlimit = \"400MB\"\n";
    format!("{head}[fleet]\nmin = 2\nmax = 3\nspares = 0\n{QUICK}{sim}")
}

pub(super) fn rollout_stage(service: &Value) -> &str {
    service["rollout"]["stage"].as_str().unwrap_or_default()
}

/// Asks for a rollout to this model, over the wire.
pub(super) async fn roll(gateway: &Replica, sim: &str) {
    let config = format!("[memory]\nlimit = \"400MB\"\n{sim}");
    let config: toml::Table = toml::from_str(&config).unwrap();
    let body = json!({ "config": config }).to_string();
    let path = "/v1/services/embedder:rollout";
    let answer = client::send(gateway.admin, client::request(Method::POST, path, body));
    let answer = answer.await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
}

async fn call(args: &[&str]) -> Called {
    let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
    let ran = tokio::task::spawn_blocking(move || Shell::new().call(args));
    ran.await.unwrap()
}

#[tokio::test]
async fn a_good_rollout_under_load_loses_nothing() {
    let gateway = Start::with(&config(SIM)).gateway().ready().await;
    let blue = processes(&until(&gateway, "two", |s| serving(s) == 2).await);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("new.toml");
    let new = SIM.replace("run = \"20ms\"", "run = \"18ms\"");
    std::fs::write(&file, config(&new)).unwrap();
    let mut load = Load::on(&gateway);
    load.more(30).await;

    let admin = gateway.admin.to_string();
    let ran = call(&["rollout", "--url", &admin, "--to", file.to_str().unwrap()]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    for stage in ["proving", "loading", "watching", "keeping"] {
        assert!(ran.stderr.contains(stage), "{stage} is shown: {ran:?}");
    }
    load.more(30).await;
    let after = until(&gateway, "promoted", |s| {
        rollout_stage(s) == "promoted" && s["replicas"].as_array().unwrap().len() == 2
    })
    .await;
    gone(&blue).await;
    load.more(30).await;
    load.end().await;
    assert_eq!(after["revision"], after["rollout"]["to"]);
    assert_eq!(
        replicas(&after, |r| r["revision"] == after["revision"]).count(),
        2
    );
    let promoted = "preheat_rollouts_total{model=\"embedder\",result=\"promoted\"}";
    assert_eq!(metric(&gateway, promoted).await, 1.0);
    nobody_was_cold(&gateway).await;
    let verified = client::post(gateway.admin, "/v1/verify", &json!({}))
        .await
        .unwrap();
    assert_eq!(verified.status, 200, "{verified:?}");
}

#[tokio::test]
async fn a_bad_green_never_meets_a_user() {
    let fixed = config(SIM).replace("max = 3", "max = 2");
    let gateway = Start::with(&fixed).gateway().ready().await;
    let before = until(&gateway, "two", |s| serving(s) == 2).await;
    let mut load = Load::on(&gateway);
    let sim = |line: &str| format!("{SIM}{line}\n");
    let slow = SIM.replace("run = \"20ms\"", "run = \"200ms\"");
    for (green, reason) in [
        (
            sim("dim = 16"),
            "its answers have 16 numbers, blue's have 8",
        ),
        (sim("fault = { kind = \"load\" }"), "simulated load fails"),
        (sim("fault = { kind = \"dim\" }"), "wrong output"),
        (sim("memory = \"340MB\""), "peak memory"),
        (slow, "green is slower than blue"),
    ] {
        load.more(20).await;
        roll(&gateway, &green).await;
        let service = until(&gateway, "refused", |s| rollout_stage(s) == "refused").await;
        let said = service["rollout"]["detail"].as_str().unwrap();
        assert!(said.contains(reason), "{reason}: {said}");
        let clean = |s: &Value| s["replicas"].as_array().unwrap().len() == 2;
        let service = until(&gateway, "clean", clean).await;
        assert_eq!(processes(&service), processes(&before), "{reason}");
    }
    load.end().await;
    let service = service(&gateway).await;
    let met: u64 = replicas(&service, |_| true)
        .map(|r| r["answered"].as_u64().unwrap())
        .sum();
    assert!(met >= 100, "blue answered them all: {service:#}");
    nobody_was_cold(&gateway).await;
    let verified = client::post(gateway.admin, "/v1/verify", &json!({}))
        .await
        .unwrap();
    assert_eq!(verified.status, 409, "{verified:?}");
}

#[tokio::test]
async fn a_green_that_fails_users_gives_way_by_itself() {
    let watched = config(SIM).replace("watch_for = \"1s\"", "watch_for = \"60s\"");
    let gateway = Start::with(&watched).gateway().ready().await;
    until(&gateway, "two", |s| serving(s) == 2).await;
    // Good for a while: longer than its proof and its load take.
    let green = format!("{SIM}fault = {{ kind = \"run\", after_runs = 200 }}\n");
    roll(&gateway, &green).await;
    until(&gateway, "watching", |s| rollout_stage(s) == "watching").await;
    let mut failed = 0;
    let ended = loop {
        let answers = at_once(&gateway, 4).await;
        failed += answers.iter().filter(|answer| answer.status != 200).count();
        let now = service(&gateway).await;
        if ["rolled_back", "promoted", "refused"].contains(&rollout_stage(&now)) {
            break now;
        }
    };
    assert_eq!(rollout_stage(&ended), "rolled_back", "{ended:#}");
    assert!(failed > 0, "it was found out by users");
    assert_eq!(ended["revision"], ended["rollout"]["from"]);
    for answer in at_once(&gateway, 4).await {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

#[tokio::test]
async fn a_rollout_is_called_off_by_hand() {
    let gateway = Start::with(&config(SIM)).gateway().ready().await;
    let before = until(&gateway, "two", |s| serving(s) == 2).await;
    let admin = gateway.admin.to_string();
    let none = call(&["promote", "--url", &admin]).await;
    assert_eq!(none.code, 1, "{none:?}");
    assert!(none.stderr.contains("no rollout is under way"), "{none:?}");

    let slow = SIM.replace("weights = \"20ms\"", "weights = \"60s\"");
    roll(&gateway, &slow).await;
    let all = until(&gateway, "four", |s| processes(s).len() == 4).await;
    let early = call(&["promote", "--url", &admin]).await;
    assert_eq!(early.code, 1, "{early:?}");
    let aborted = call(&["abort", "--url", &admin]).await;
    assert_eq!(aborted.code, 0, "{aborted:?}");
    until(&gateway, "refused", |s| rollout_stage(s) == "refused").await;
    let green: Vec<u32> = processes(&all)
        .into_iter()
        .filter(|p| !processes(&before).contains(p))
        .collect();
    gone(&green).await;
    let shown = call(&["rollout", "--url", &admin, "--detach"]).await;
    assert_eq!(shown.code, 1, "{shown:?}");
    assert!(shown.stdout.contains("called off by hand"), "{shown:?}");
}
