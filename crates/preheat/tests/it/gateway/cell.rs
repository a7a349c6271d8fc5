//! Control groups of replicas, on machines where this process may make some.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{SIM, replicas, scale, serving, start_with, until};

/// The group of a process for CPUs, or for memory, if it has one of its own.
fn cell(pid: u64, controller: &str) -> Option<PathBuf> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let path = groups.lines().find_map(|line| {
        let (_, line) = line.split_once(':')?;
        let (controllers, path) = line.split_once(':')?;
        let (_, name) = path.rsplit_once('/')?;
        let ours = name.starts_with("preheat-") && name != "preheat-gateway";
        let found = ours
            && controllers
                .split(',')
                .any(|c| c == controller || c.is_empty());
        found.then(|| path.trim_start_matches('/').to_owned())
    })?;
    let roots = [
        format!("/sys/fs/cgroup/{controller}"),
        "/sys/fs/cgroup".into(),
    ];
    let dirs = roots.iter().map(|root| Path::new(root).join(&path));
    dirs.into_iter().find(|dir| dir.exists())
}

/// Whether replicas can have groups at all is the machine's to say.
fn can_be_made(controller: &str) -> bool {
    let trial = Path::new("/sys/fs/cgroup")
        .join(controller)
        .join("preheat-trial-of-a-test");
    fs::create_dir(&trial)
        .and_then(|()| fs::remove_dir(&trial))
        .is_ok()
}

fn weight(cell: &Path) -> u64 {
    let text = fs::read_to_string(cell.join("cpu.shares"));
    text.unwrap().trim().parse().unwrap()
}

fn pid(service: &Value, phase: &str) -> Option<u64> {
    let found = replicas(service, |r| r["phase"] == phase).last()?;
    found["pid"].as_u64()
}

#[tokio::test]
async fn one_that_warms_beside_others_weighs_a_tenth_until_its_proof() {
    if !can_be_made("cpu") {
        eprintln!("skipped: no group for cpu can be made here");
        return;
    }
    let model = SIM.replace("weights = \"20ms\"", "weights = \"2s\"");
    let gateway = start_with("min = 1\nmax = 3\nspares = 0", &model)
        .ready()
        .await;
    let first = pid(&super::service(&gateway).await, "ready").unwrap();
    assert_eq!(cell(first, "cpu"), None, "nobody served before it");

    scale(&gateway, 2).await;
    let service = until(&gateway, "one that loads", |s| pid(s, "loading").is_some()).await;
    let second = pid(&service, "loading").unwrap();
    let group = cell(second, "cpu").unwrap();
    assert_eq!(weight(&group), 102);
    until(&gateway, "two", |s| serving(s) == 2).await;
    assert_eq!(weight(&group), 1024);

    scale(&gateway, 1).await;
    let gone = |s: &Value| replicas(s, |_| true).count() == 1;
    let service = until(&gateway, "one", gone).await;
    let left = pid(&service, "ready").unwrap();
    assert!(
        left == second || !group.exists(),
        "{} is left",
        group.display()
    );
}

#[tokio::test]
async fn a_replica_that_wants_more_memory_than_it_may_have_is_ended_and_says_so() {
    if !can_be_made("memory") {
        eprintln!("skipped: no group for memory can be made here");
        return;
    }
    let model = SIM.replace("[model.sim]\n", "[model.sim]\nmemory = \"400MB\"\n");
    let model = format!("[memory]\nlimit = \"100MB\"\n{model}");
    let mut gateway = start_with("min = 1\nmax = 1", &model).spawn();
    gateway.wait_for("there", |ready| ready.status == 503).await;
    let told = |s: &Value| {
        s.to_string()
            .contains("1 of its processes killed for want of memory")
    };
    until(&gateway, "told why", told).await;
}
