//! A gateway is killed and another takes its place: what lives is taken over.

use serde_json::{Value, json};

use super::chaos::{Load, gone, lives};
use super::rollout::{QUICK, roll, rollout_stage};
use super::{SIM, nobody_was_cold, processes, replicas, scale, service, serving, until};
use crate::client;
use crate::replica::{Replica, Start};

const FLEET: &str = "[drain]\ndelay = \"0s\"\n[slo]\np95 = \"5s\"\n[fleet]\nmin = 2\nspares = 1\n";

fn config(sim: &str) -> String {
    format!("{FLEET}{QUICK}{sim}")
}

/// Kills it as the kernel would, and starts another one in its place.
async fn succeed(mut gateway: Replica, config: &str) -> Replica {
    let addresses = [gateway.http, gateway.grpc, gateway.admin];
    gateway.kill();
    gateway.exit().await;
    Start::with(config).at(addresses).gateway().ready().await
}

async fn three(gateway: &Replica) -> Value {
    until(gateway, "three", |s| {
        serving(s) == 2 && replicas(s, |r| r["phase"] == "ready").count() == 3
    })
    .await
}

fn sorted(mut processes: Vec<u32>) -> Vec<u32> {
    processes.sort_unstable();
    processes
}

#[tokio::test]
async fn a_gateway_takes_over_the_replicas_of_one_that_was_killed() {
    let config = config(SIM);
    let first = Start::with(&config).gateway().ready().await;
    let before = sorted(processes(&three(&first).await));
    let mut second = succeed(first, &config).await;
    let service = three(&second).await;
    assert_eq!(sorted(processes(&service)), before);
    let mut load = Load::on(&second);
    load.more(30).await;
    load.end().await;
    nobody_was_cold(&second).await;
    let decisions = client::get(second.admin, "/v1/decisions").await.unwrap();
    let decisions = decisions.json();
    let adopted = decisions.as_array().unwrap().iter();
    assert_eq!(adopted.filter(|d| d["action"] == "adopt").count(), 3);

    // They are its own now: it restarts what dies, and takes all along when it leaves.
    crate::replica::signal(before[0], rustix::process::Signal::KILL);
    let service = until(&second, "three again", |s| {
        let ready = replicas(s, |r| r["phase"] == "ready").count() == 3;
        ready && !processes(s).contains(&before[0])
    });
    let after = processes(&service.await);
    second.terminate();
    assert_eq!(second.exit().await.code(), Some(0), "{}", second.log());
    gone(&after).await;
}

#[tokio::test]
async fn what_was_changed_meanwhile_is_started_anew_and_nothing_is_left() {
    let first = Start::with(&config(SIM)).gateway().ready().await;
    let before = processes(&three(&first).await);
    let changed = config(&SIM.replace("run = \"20ms\"", "run = \"10ms\""));
    let second = succeed(first, &changed).await;
    gone(&before).await;
    let service = three(&second).await;
    assert!(processes(&service).iter().all(|&process| lives(process)));
}

/// What was set by hand goes on; what the file says since then goes before it.
#[tokio::test]
async fn bounds_of_a_changed_configuration_hold() {
    let config = config(SIM);
    let first = Start::with(&config).gateway().ready().await;
    three(&first).await;
    scale(&first, 1).await;
    until(&first, "one by hand", |s| s["max"] == 1).await;
    let second = succeed(first, &config).await;
    let service = service(&second).await;
    assert_eq!((&service["min"], &service["max"]), (&json!(1), &json!(1)));
    let wider = config.replace("min = 2", "min = 3\nmax = 5");
    let third = succeed(second, &wider).await;
    let service = until(&third, "three", |s| serving(s) == 3).await;
    assert_eq!((&service["min"], &service["max"]), (&json!(3), &json!(5)));
}

#[tokio::test]
async fn a_rollout_in_the_middle_goes_on() {
    let config = config(SIM);
    let slow = SIM.replace("weights = \"20ms\"", "weights = \"1500ms\"");
    let mut gateway = Start::with(&config).gateway().ready().await;
    let blue = processes(&three(&gateway).await);
    roll(&gateway, &slow).await;
    let all = until(&gateway, "green starts", |s| processes(s).len() == 5).await;
    let all = sorted(processes(&all));
    gateway = succeed(gateway, &config).await;
    let service = until(&gateway, "switched", |s| {
        ["watching", "keeping", "promoted"].contains(&rollout_stage(s))
    });
    let service = service.await;
    let green: Vec<u32> = all.iter().copied().filter(|p| !blue.contains(p)).collect();
    let serving = replicas(&service, |r| r["serving"] == true);
    let serving: Vec<u32> = serving
        .map(|r| u32::try_from(r["pid"].as_u64().unwrap()).unwrap())
        .collect();
    assert_eq!(sorted(serving), sorted(green), "those who began serve");

    // And once more, while green is watched or blue kept.
    let gateway = succeed(gateway, &config).await;
    let service = until(&gateway, "promoted", |s| {
        rollout_stage(s) == "promoted" || s["rollout"].is_null()
    });
    let service = service.await;
    let answer = gateway.post("/embed", &json!(["x"])).await;
    assert_eq!(answer.status, 200, "{answer:?} {service:#}");
    gone(&blue).await;
    nobody_was_cold(&gateway).await;
}

#[tokio::test]
async fn a_promoted_revision_outlives_an_orderly_end() {
    let config = config(SIM);
    let mut first = Start::with(&config).gateway().ready().await;
    let base = three(&first).await["revision"].clone();
    roll(&first, &SIM.replace("run = \"20ms\"", "run = \"18ms\"")).await;
    let promoted = until(&first, "promoted", |s| rollout_stage(s) == "promoted").await;
    assert_ne!(promoted["revision"], base);
    let addresses = [first.http, first.grpc, first.admin];
    first.terminate();
    assert_eq!(first.exit().await.code(), Some(0), "{}", first.log());

    let second = Start::with(&config).at(addresses).gateway().ready().await;
    let service = three(&second).await;
    assert_eq!(service["revision"], promoted["revision"], "{service:#}");
    // A configuration that was changed since is the last word.
    let addresses = [second.http, second.grpc, second.admin];
    let mut second = second;
    second.terminate();
    second.exit().await;
    let changed = self::config(&SIM.replace("run = \"20ms\"", "run = \"10ms\""));
    let third = Start::with(&changed).at(addresses).gateway().ready().await;
    let service = three(&third).await;
    assert_ne!(service["revision"], promoted["revision"]);
    assert_ne!(service["revision"], base);
}
