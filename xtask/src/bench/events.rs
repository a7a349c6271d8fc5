//! Scale events and rollouts under load, one after another: what users notice of them.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, sleep};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use preheat_api::service::ServiceReport;
use serde_json::{Value, json};

use super::fleet::{Gateway, metric, serving};
use super::stats::{median, percentile, worst};
use super::users::{Outcome, Questions, Sample, Users};
use super::{Table, ms};

/// Requests a second: two replicas carry them with ease.
const RATE: f64 = 40.0;
const CLIENTS: usize = 32;

/// Undisturbed, before anything happens.
const BEFORE: Duration = Duration::from_secs(20);

/// How long one event may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What p95 may be, as a multiple of that before.
const RATIO: f64 = 1.1;

/// What was going on when a request was sent: labels of samples.
const QUIET: usize = 0;
const SCALING: usize = 1;
const GREEN_WARMS: usize = 2;
const ROLLING: usize = 3;

pub(super) struct Run<'a> {
    pub(super) binary: &'a Path,
    pub(super) events: usize,
    pub(super) rollouts: usize,
}

/// `missed` takes what must not have happened.
pub(super) fn run(run: &Run<'_>, missed: &mut Vec<String>) -> Result<Table> {
    let folder = tempfile::Builder::new().prefix("ph").tempdir_in("/tmp")?;
    let dir = folder.path().join("run");
    fs::create_dir(&dir)?;
    let fleet = fleet(&dir);
    let gateway = Gateway::start(run.binary, folder.path(), &format!("{fleet}{}", model(20)))?;
    let two = |s: &ServiceReport| serving(s).len() == 2;
    gateway.until("two replicas", PATIENCE, two)?;
    let questions = Questions::learn(gateway.http)?;
    let (gone, label, stop) = (
        AtomicUsize::new(0),
        AtomicUsize::new(QUIET),
        AtomicBool::new(false),
    );
    let users = Users {
        questions: &questions,
        addresses: (gateway.http, None),
        gone: &gone,
        label: &label,
        stop: &stop,
    };
    let every = |turn: usize| Some(Duration::from_secs_f64(turn as f64 / RATE));
    let (samples, took) = thread::scope(|scope| {
        let asking = scope.spawn(|| users.come(CLIENTS, every));
        let events = all_events(run, &gateway, &label);
        stop.store(true, Ordering::Relaxed);
        (asking.join().expect("no user panics"), events)
    });
    let took = took.with_context(|| tail(gateway.log()))?;
    let cold = metric(gateway.admin, "preheat_cold_requests_total")?;
    let met = Met { samples, cold };
    missed.extend(met.offences());
    let (scaled, rolled) = took;
    Ok(Table {
        name: "Scale events and rollouts",
        about: format!(
            "{} scale events (two replicas become three, three become two) and {} rollouts, one \
             after another, under {RATE} requests a second of 10 ms each (sim engine, answers \
             compared). An event took {:.2} s in the median and {:.2} s at most, a rollout {:.2} and \
             {:.2} s, of which 0.9 s are its own load and watch. Requests that met something cold: \
             {cold}. Users, gateway and replicas share the cores.",
            scaled.len(),
            rolled.len(),
            median(&scaled),
            worst(&scaled),
            median(&rolled),
            worst(&rolled),
        ),
        columns: &[
            "",
            "requests",
            "not answered",
            "p50 ms",
            "p95 ms",
            "p99 ms",
            "p95 ratio",
        ],
        rows: met.rows(),
        samples: json!({"event_s": scaled, "rollout_s": rolled, "ms": met.raw()}),
    })
}

/// Seconds that each scale event took, and each rollout.
fn all_events(
    run: &Run<'_>,
    gateway: &Gateway,
    label: &AtomicUsize,
) -> Result<(Vec<f64>, Vec<f64>)> {
    sleep(BEFORE);
    label.store(SCALING, Ordering::Relaxed);
    let scaled = (0..run.events).map(|turn| scale(gateway, 3 - turn % 2));
    let scaled = scaled.collect::<Result<_>>()?;
    scale(gateway, 2)?;
    // Each to a revision of its own: to the one that serves there is nothing to roll.
    let rolled = (0..run.rollouts).map(|turn| roll(gateway, turn % 2 == 0, label));
    Ok((scaled, rolled.collect::<Result<_>>()?))
}

fn scale(gateway: &Gateway, to: usize) -> Result<f64> {
    gateway.order("scale", &format!(r#"{{"min":{to},"max":{to},"spares":0}}"#))?;
    let there = |s: &ServiceReport| serving(s).len() == to && s.replicas.len() == to;
    let took = gateway.until(&format!("{to} replicas"), PATIENCE, there)?;
    Ok(took.as_secs_f64())
}

fn roll(gateway: &Gateway, changed: bool, label: &AtomicUsize) -> Result<f64> {
    label.store(GREEN_WARMS, Ordering::Relaxed);
    let config: toml::Table = toml::from_str(&model(if changed { 21 } else { 22 }))?;
    gateway.order("rollout", &json!({ "config": config }).to_string())?;
    let mut ended = String::new();
    let over = |s: &ServiceReport| {
        let stage = s.rollout.as_ref().map_or("", |r| r.stage.as_str());
        if stage != "proving" {
            label.store(ROLLING, Ordering::Relaxed);
        }
        ["promoted", "refused", "rolled_back"].contains(&stage) && s.replicas.len() == 2
    };
    let took = gateway.until("the end of a rollout", PATIENCE, over)?;
    if let Some(rollout) = gateway.service()?.rollout {
        ended = format!("{}: {}", rollout.stage, rollout.detail);
    }
    ensure!(ended.starts_with("promoted"), "a rollout was {ended}");
    Ok(took.as_secs_f64())
}

/// What users met.
struct Met {
    samples: Vec<Sample>,
    cold: f64,
}

impl Met {
    fn of(&self, labels: &Range<usize>) -> (Vec<f64>, usize) {
        let of = self.samples.iter().filter(|s| labels.contains(&s.label));
        let (answered, others): (Vec<_>, Vec<_>) = of.partition(|s| s.outcome == Outcome::Answered);
        (answered.iter().map(|s| s.ms).collect(), others.len())
    }

    fn kinds() -> [(&'static str, Range<usize>); 4] {
        [
            ("before", QUIET..SCALING),
            ("scale events", SCALING..GREEN_WARMS),
            ("while green warms", GREEN_WARMS..ROLLING),
            ("the rest of the rollouts", ROLLING..ROLLING + 1),
        ]
    }

    fn ratio(&self, labels: &Range<usize>) -> f64 {
        let (before, _) = self.of(&(QUIET..SCALING));
        percentile(&self.of(labels).0, 0.95) / percentile(&before, 0.95)
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let row = |(name, labels): (&str, Range<usize>)| {
            let (times, others) = self.of(&labels);
            vec![
                name.to_owned(),
                (times.len() + others).to_string(),
                others.to_string(),
                ms(median(&times)),
                ms(percentile(&times, 0.95)),
                ms(percentile(&times, 0.99)),
                format!("{:.2}", self.ratio(&labels)),
            ]
        };
        Met::kinds().map(row).to_vec()
    }

    fn offences(&self) -> Vec<String> {
        let mut offences = Vec::new();
        let lost = self
            .samples
            .iter()
            .filter(|s| s.outcome != Outcome::Answered);
        offences.extend(lost.take(10).map(|s| format!("{:?}", s.outcome)));
        if self.cold > 0.0 {
            offences.push(format!("{} met something cold", self.cold));
        }
        for (name, labels) in Met::kinds() {
            let ratio = self.ratio(&labels);
            if ratio > RATIO {
                offences.push(format!("{name}: p95 is {ratio:.2} × that before"));
            }
        }
        offences
    }

    fn raw(&self) -> Value {
        // Tens of thousands: a hundredth of a millisecond is enough of each.
        let short = |ms: &f64| (ms * 100.0).round() / 100.0;
        let kinds = Met::kinds().map(|(name, labels)| {
            let times: Vec<f64> = self.of(&labels).0.iter().map(short).collect();
            (name.to_owned(), times.into())
        });
        Value::Object(kinds.into_iter().collect())
    }
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

fn fleet(dir: &Path) -> String {
    format!(
        r#"
[drain]
delay = "0s"
[slo]
p95 = "1s"
[fleet]
min = 2
max = 2
spares = 0
concurrency = 4
dir = '{}'
[fleet.rollout]
load_for = "500ms"
watch_for = "300ms"
keep_for = "100ms"
slack = "30ms"
"#,
        dir.display()
    )
}

/// Revisions differ in how long they load.
fn model(load_ms: u64) -> String {
    format!(
        r#"
[[model]]
name = "embedder"
engine = "sim"
instances = 4
[model.batching]
max_batch = 1
buckets = {{ batch = [1], tokens = [16] }}
[model.sim]
weights = "{load_ms}ms"
engine = "1ms"
tokenizer = "1ms"
first_run = "5ms"
run = "10ms"
"#
    )
}
