//! The simulator against a real fleet: the same arrivals on both, stretch by stretch.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use fastrand::Rng;
use serde_json::{Value, json};

use super::fleet::{Fleet, Replicas, serving};
use super::stats::{median, percentile, worst};
use super::users::{Outcome, Questions, Sample, at_random, undisturbed};
use super::{Table, ms};
use crate::shell;

/// Requests a second in each stretch.
const RATES: [f64; 16] = [
    20.0, 20.0, 20.0, 120.0, 120.0, 120.0, 120.0, 60.0, 60.0, 60.0, 160.0, 160.0, 20.0, 20.0, 20.0,
    20.0,
];
const STRETCH: Duration = Duration::from_secs(5);
const CLIENTS: usize = 192;
const LOAD: Duration = Duration::from_secs(1);

/// Between two looks at the real fleet.
const LOOK: Duration = Duration::from_millis(100);

/// How far the simulator may be off: as a share, of p95 and of replicas in rotation.
const OFF: f64 = 0.15;

const REPLICAS: usize = 6;
const SPARES: usize = 1;

pub(super) struct Run<'a> {
    pub(super) binary: &'a Path,
    pub(super) seed: u64,
}

/// `missed` takes what must not have happened.
pub(super) fn run(run: &Run<'_>, missed: &mut Vec<String>) -> Result<Table> {
    let folder = tempfile::Builder::new().prefix("ph").tempdir_in("/tmp")?;
    let arrivals = arrivals(run.seed);
    let real = real(run.binary, folder.path(), &arrivals)?;
    let simulated = simulated(run, folder.path(), &arrivals, &real)?;
    let mut rows = Vec::new();
    let (mut p95_off, mut apart, mut sum) = (Vec::new(), 0.0, 0.0);
    for (at, rate) in RATES.iter().enumerate() {
        let (one, other) = (real.stretch(at), simulated[at]);
        p95_off.push((other.0 / one.0 - 1.0).abs());
        apart += (other.1 - one.1).abs();
        sum += one.1;
        rows.push(vec![
            format!("{} s, {rate} requests/s", at as u64 * STRETCH.as_secs()),
            ms(one.0),
            ms(other.0),
            format!("{:.1}", one.1),
            format!("{:.1}", other.1),
        ]);
    }
    let replicas_off = apart / sum;
    let p95_median = median(&p95_off);
    for (what, off) in [("p95", p95_median), ("replicas", replicas_off)] {
        if off > OFF {
            missed.push(format!("{what}: {:.0} % off", off * 100.0));
        }
    }
    Ok(Table {
        name: "Simulator against a real fleet",
        about: format!(
            "The same arrivals, seed {}, on a gateway with sim replicas (four places, 80 ms, one to \
             {REPLICAS} and {SPARES} spare) and in simulated time, where a replica is as it was \
             measured: {:.1} ms for a request, {:.2} s for a start. p95 of each stretch is off by \
             {:.0} % in the median and {:.0} % at most, replicas in rotation over all by {:.0} %.",
            run.seed,
            real.quiet_ms,
            real.start_s,
            p95_median * 100.0,
            worst(&p95_off) * 100.0,
            replicas_off * 100.0
        ),
        columns: &[
            "from",
            "p95 real ms",
            "p95 simulated ms",
            "in rotation, real",
            "simulated",
        ],
        rows,
        samples: real.raw(),
    })
}

/// When requests come in each stretch, from its beginning.
fn arrivals(seed: u64) -> Vec<Vec<Duration>> {
    let mut dice = Rng::with_seed(seed);
    let stretch = |rate: &f64| at_random(&mut dice, *rate, STRETCH);
    RATES.iter().map(stretch).collect()
}

/// What the real fleet did.
struct Real {
    samples: Vec<Sample>,
    /// Replicas in rotation, at each look.
    looks: Vec<(Duration, usize)>,
    /// A request that meets nobody, and a start.
    quiet_ms: f64,
    start_s: f64,
}

fn real(binary: &Path, folder: &Path, arrivals: &[Vec<Duration>]) -> Result<Real> {
    let fleet = Fleet {
        most: REPLICAS,
        spares: SPARES,
        of: Replicas::Sleep { load: LOAD },
    };
    let gateway = fleet.start(binary, folder)?;
    let questions = Questions::learn(gateway.http)?;
    let starts = gateway.service()?.replicas.into_iter();
    let starts: Vec<f64> = starts.filter_map(|r| r.ready_after_ms).collect();
    let at: Vec<Duration> = arrivals
        .iter()
        .zip(0u32..)
        .flat_map(|(stretch, turn)| stretch.iter().map(move |at| STRETCH * turn + *at))
        .collect();
    let (stop, looks) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let began = Instant::now();
    let samples = thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                if let Ok(service) = gateway.service() {
                    let look = (began.elapsed(), serving(&service).len());
                    looks.lock().expect("nobody panics").push(look);
                }
                sleep(LOOK);
            }
        });
        let samples = undisturbed(&questions, gateway.http, CLIENTS, &at);
        stop.store(true, Ordering::Relaxed);
        samples
    });
    let quiet: Vec<f64> = samples
        .iter()
        .filter(|s| s.at < STRETCH)
        .map(|s| s.ms)
        .collect();
    Ok(Real {
        quiet_ms: percentile(&quiet, 0.2),
        samples,
        looks: looks.into_inner().expect("nobody panics"),
        start_s: median(&starts) / 1e3,
    })
}

impl Real {
    /// p95 of a stretch, and replicas in rotation in the mean.
    fn stretch(&self, at: usize) -> (f64, f64) {
        let of = |time: Duration| (time.as_secs_f64() / STRETCH.as_secs_f64()) as usize == at;
        let answered = |s: &&Sample| of(s.at) && s.outcome == Outcome::Answered;
        let times: Vec<f64> = self.samples.iter().filter(answered).map(|s| s.ms).collect();
        let counts = self.looks.iter().filter(|(time, _)| of(*time));
        let counts: Vec<f64> = counts.map(|(_, count)| *count as f64).collect();
        (percentile(&times, 0.95), mean(&counts))
    }

    fn raw(&self) -> Value {
        let one = |s: &Sample| json!([s.at.as_secs_f64(), s.ms]);
        let looks = self
            .looks
            .iter()
            .map(|(at, n)| json!([at.as_secs_f64(), n]));
        json!({
            "ms": self.samples.iter().map(one).collect::<Vec<_>>(),
            "in_rotation": looks.collect::<Vec<_>>(),
        })
    }
}

/// The same for each stretch in simulated time.
fn simulated(
    run: &Run<'_>,
    folder: &Path,
    arrivals: &[Vec<Duration>],
    real: &Real,
) -> Result<Vec<(f64, f64)>> {
    let mut scenario = format!(
        r#"
seed = {}
[slo]
p95 = "200ms"
[replica]
concurrency = 4
service = {{ median = "{}us", p95 = "{}us" }}
warm = "1ms"
[[replica.stage]]
name = "start"
takes = "{}ms"
[fleet]
max = {REPLICAS}
spares = {SPARES}
starting_at_once = 2
[[compare]]
strategy = "preheat"
"#,
        run.seed,
        (real.quiet_ms * 1e3) as u64,
        (real.quiet_ms * 1e3) as u64,
        (real.start_s * 1e3) as u64,
    );
    for (at, stretch) in arrivals.iter().enumerate() {
        let lines: Vec<_> = stretch
            .iter()
            .map(|a| a.as_secs_f64().to_string())
            .collect();
        fs::write(folder.join(format!("{at}.txt")), lines.join("\n"))?;
        let seconds = STRETCH.as_secs();
        scenario +=
            &format!("[[traffic]]\nname = \"{at}\"\nfile = \"{at}.txt\"\nfor = \"{seconds}s\"\n");
    }
    let file = folder.join("scenario.toml");
    fs::write(&file, scenario)?;
    let mut simulate = shell::command(run.binary, &["simulate", "--json"]);
    let report: Value = serde_json::from_str(&shell::output(simulate.arg(&file))?)?;
    let run = report["runs"].get(0).context("no run")?;
    let series = run["series"].as_array().context("no series")?;
    let stretch = |at: usize| -> Result<(f64, f64)> {
        let p95 = run["parts"][at]["p95_ms"].as_f64().context("no p95")?;
        let from = at as f64 * STRETCH.as_secs_f64();
        let of = |point: &&Value| {
            let at = point["at_seconds"].as_f64().unwrap_or_default();
            at > from && at <= from + STRETCH.as_secs_f64()
        };
        let counts = series
            .iter()
            .filter(of)
            .filter_map(|p| p["active"].as_f64());
        Ok((p95, mean(&counts.collect::<Vec<_>>())))
    };
    (0..arrivals.len()).map(stretch).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}
