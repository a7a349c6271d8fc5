//! A gateway under a steady load while one thing after another breaks, by a seed.
//!
//! Users check every answer. Between two faults the fleet must be whole again; in the end nothing
//! may be left behind, and the gateway must not have grown.

mod faults;
mod schedule;
mod verdict;
mod watch;
mod way;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::Table;
use super::fleet::{Gateway, serving, warm};
use super::users::{Questions, Users};
use crate::shell;
use faults::{Disk, Stage};
use schedule::{FAULTS, Fault, rounds};
use verdict::{COLUMNS, Seen};
use way::State;

/// Requests a second: far below what three replicas carry, so that two are enough.
const RATE: f64 = 60.0;

/// As many users as never to be late: nobody waits longer than 30 s for a gateway.
const CLIENTS: usize = 96;

/// In rotation, and out of it.
const REPLICAS: (usize, usize) = (3, 1);

/// How long a fleet may take to be whole again.
const WHOLE: Duration = Duration::from_secs(45);

/// How long processes may take to end after their gateway.
const ENDED: Duration = Duration::from_secs(10);

/// One piece in so many is the last on a user's connection, while its way is bad.
const CUT: u64 = 12;

const DISK_MB: usize = 8;

/// What a run is made of.
pub(super) struct Run<'a> {
    pub(super) binary: &'a Path,
    pub(super) length: Duration,
    pub(super) seed: u64,
}

/// Plays it. `missed` takes what must not have happened.
pub(super) fn run(run: &Run<'_>, missed: &mut Vec<String>) -> Result<Table> {
    let folder = tempfile::Builder::new().prefix("ph").tempdir_in("/tmp")?;
    let dir = folder.path().join("run");
    fs::create_dir(&dir)?;
    // Its own copy, which can be made unfit to run.
    let binary = folder.path().join("preheat");
    fs::copy(run.binary, &binary).with_context(|| run.binary.display().to_string())?;
    let disk = Disk::mount(&dir, DISK_MB);
    let skipped = disk.as_ref().err().map(|error| format!("{error:#}"));
    let played = play(run, folder.path(), &binary, &dir, skipped.is_none());
    // What the gateway said tells why, if anything was amiss.
    let log = shell::root().join("target/chaos.log");
    fs::copy(folder.path().join("log"), &log)?;
    let seen = played.with_context(|| format!("see {}", log.display()))?;
    missed.extend(seen.offences());
    let skipped = skipped.map_or_else(String::new, |why| {
        format!(" The disk was not filled: there is none of its own ({why}).")
    });
    let grown = seen.watch.thirds().map_or_else(String::new, |[mb, open]| {
        format!(
            " The gateway that lived to the end, first third and last: {:.1} and {:.1} MB resident, \
             {:.0} and {:.0} descriptors.",
            mb.0, mb.1, open.0, open.1
        )
    });
    Ok(Table {
        name: "Chaos",
        about: format!(
            "{:.1} minutes, seed {}: a gateway with {} replicas of the sim engine (5 ms each, one \
             after the other) and {} spare, {RATE} requests a second, every answer compared. One \
             fault after another, each once the fleet is whole again; the gateway is killed in the \
             first third only, so that one process can be watched. Requests that may take 3 s, then \
             they are refused as late. Connections to replicas that were cut: {}. Cold requests: \
             {}.{grown}{skipped}",
            run.length.as_secs_f64() / 60.0,
            run.seed,
            REPLICAS.0,
            REPLICAS.1,
            seen.cut_behind,
            seen.watch.cold(),
        ),
        columns: COLUMNS,
        rows: seen.rows(),
        samples: seen.samples(),
    })
}

fn play(run: &Run<'_>, folder: &Path, binary: &Path, dir: &Path, own_disk: bool) -> Result<Seen> {
    let gateway = Gateway::start(binary, folder, &config(dir))?;
    gateway.until("the first replicas", WHOLE, |s| {
        serving(s).len() >= REPLICAS.0
    })?;
    let questions = Questions::learn(gateway.http)?;
    let (gone, label) = (AtomicUsize::new(0), AtomicUsize::new(FAULTS.len()));
    let (stop, process) = (AtomicBool::new(false), AtomicU32::new(gateway.id()));
    let users_way = State::cutting(CUT);
    thread::scope(|scope| {
        let way = way::open(scope, gateway.http, &users_way, run.seed)?;
        let users = Users {
            questions: &questions,
            addresses: (gateway.http, Some(way)),
            gone: &gone,
            label: &label,
            stop: &stop,
        };
        let (stop, process, admin) = (&stop, &process, gateway.admin);
        let every = |turn: usize| Some(Duration::from_secs_f64(turn as f64 / RATE));
        let users = scope.spawn(move || users.come(CLIENTS, every));
        let watching = scope.spawn(move || watch::watch(admin, process, stop));
        let mut stage = Stage {
            gateway,
            dir: dir.to_owned(),
            binary: binary.to_owned(),
            gone: &gone,
            process,
            users_way: &users_way,
            own_disk,
            cut: 0,
        };
        let mut whole = BTreeMap::new();
        let faults = all_faults(run, &mut stage, &label, &mut whole);
        stop.store(true, Ordering::Relaxed);
        let samples = users.join().expect("no user panics");
        users_way.over.store(true, Ordering::Relaxed);
        let watch = watching.join().expect("watching does not panic");
        let mut failed: Vec<String> = faults.err().map(|e| format!("{e:#}")).into_iter().collect();
        let cut_behind = stage.cut;
        let status = stage.gateway.leave()?;
        if !status.success() {
            failed.push(format!("the gateway left with {status}"));
        }
        Ok(Seen {
            samples,
            whole,
            watch,
            cut: users_way.cut.load(Ordering::Relaxed),
            cut_behind,
            left: left(folder),
            failed,
        })
    })
}

/// One after another until the time is over, and each once at least.
fn all_faults(
    run: &Run<'_>,
    stage: &mut Stage<'_>,
    label: &AtomicUsize,
    whole: &mut BTreeMap<usize, Vec<Duration>>,
) -> Result<()> {
    let began = Instant::now();
    for (turn, event) in rounds(run.seed).flatten().enumerate() {
        if turn >= FAULTS.len() && began.elapsed() >= run.length {
            break;
        }
        // A gateway that is to be watched for growing must live.
        let early = turn < FAULTS.len() || began.elapsed() < run.length / 3;
        if (event.fault == Fault::KillGateway && !early)
            || (event.fault == Fault::DiskFull && !stage.own_disk)
        {
            continue;
        }
        sleep(event.pause);
        let place = FAULTS.iter().position(|fault| *fault == event.fault);
        let place = place.unwrap_or(FAULTS.len());
        label.store(place, Ordering::Relaxed);
        let what = || format!("{} after {:?}", event.fault.name(), began.elapsed());
        eprintln!(
            "{:7.1} s  {}",
            began.elapsed().as_secs_f64(),
            event.fault.name()
        );
        let killed = stage.play(event).with_context(what)?;
        let again = stage.gateway.until("whole again", WHOLE, |s| {
            let gone = |pid: &u32| s.replicas.iter().all(|r| r.pid != *pid);
            let whole = serving(s).len() >= REPLICAS.0 && warm(s) >= REPLICAS.0 + REPLICAS.1;
            whole && killed.iter().all(gone)
        });
        whole
            .entry(place)
            .or_default()
            .push(again.with_context(what)?);
        label.store(FAULTS.len(), Ordering::Relaxed);
    }
    Ok(())
}

/// Processes of the fleet that outlive it.
fn left(folder: &Path) -> Vec<u32> {
    let deadline = Instant::now() + ENDED;
    let folder = folder.display().to_string();
    loop {
        let left = watch::living(&folder);
        if left.is_empty() || Instant::now() >= deadline {
            return left;
        }
        sleep(Duration::from_millis(50));
    }
}

fn config(dir: &Path) -> String {
    format!(
        r#"
[limits]
request_timeout = "3s"
[drain]
delay = "0s"
[slo]
p95 = "1s"
[fleet]
min = {}
max = 6
spares = {}
concurrency = 4
adopt_within = "20s"
dir = '{}'
[[model]]
name = "embedder"
engine = "sim"
[model.batching]
max_batch = 4
buckets = {{ batch = [1, 4], tokens = [16] }}
[model.sim]
weights = "150ms"
first_run = "5ms"
run = "5ms"
"#,
        REPLICAS.0,
        REPLICAS.1,
        dir.display()
    )
}
