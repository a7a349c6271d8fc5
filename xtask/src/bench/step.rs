//! A load that becomes six times as much at one moment: with spares at hand, and with too few.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use fastrand::Rng;
use serde_json::{Value, json};

use super::fleet::{Fleet, Replicas, metric};
use super::stats::{median, percentile, worst};
use super::users::{Outcome, Questions, Sample, at_random, undisturbed};
use super::{Table, ms};

/// What becomes of the load.
const STEP: f64 = 6.0;
const CLIENTS: usize = 192;

/// Long enough for p95 to mean something on either side.
const ASLEEP: Load = Load {
    rate: 30.0,
    before: Duration::from_secs(8),
    after: Duration::from_secs(10),
};
/// Without a spare: until as many have been started as it takes.
const POOR: Load = Load {
    after: Duration::from_secs(30),
    ..ASLEEP
};
/// A short text takes both of two cores for a millisecond: at 60 a second they are at work for a
/// fifteenth of the time, and hardly anybody waits for another's text.
const LIGHT: Load = Load {
    rate: 10.0,
    before: Duration::from_secs(20),
    after: Duration::from_secs(10),
};

/// Requests that arrive at random, so many a second, and then `STEP` times as many.
#[derive(Clone, Copy)]
struct Load {
    rate: f64,
    before: Duration,
    after: Duration,
}

const REPLICAS: usize = 6;

/// Turns at most of what takes long, or is promised nothing.
const FEW: usize = 3;

/// Loading, where it does not matter and where it is to be waited for.
const QUICK: Duration = Duration::from_millis(20);
const SLOW: Duration = Duration::from_secs(2);

/// What p95 may be after the step: of that before, and in milliseconds.
const RATIO: f64 = 1.1;
const MOST_MS: f64 = 200.0;

/// A refusal takes at most so long, and its time to come back is at most so wrong.
const REFUSED_MS: f64 = 5.0;
const WRONG: f64 = 0.25;

pub(super) struct Run<'a> {
    pub(super) binary: &'a Path,
    /// What those compute that do not sleep.
    pub(super) model: &'a Path,
    pub(super) times: usize,
    pub(super) seed: u64,
}

/// `missed` takes what must not have happened.
pub(super) fn run(run: &Run<'_>, missed: &mut Vec<String>) -> Result<Table> {
    let mut rows = Vec::new();
    let mut raw = Vec::new();
    let native = || Replicas::Compute(run.model);
    let few = run.times.min(FEW);
    // What six replicas on two cores make of the load that six of their own would carry is shown, and
    // says nothing of spares.
    let kinds = [
        (
            "sim",
            Replicas::Sleep { load: QUICK },
            ASLEEP,
            run.times,
            true,
        ),
        ("native", native(), LIGHT, run.times, true),
        ("native, busy cores", native(), ASLEEP, few, false),
    ];
    for (name, of, load, times, is_promised) in kinds {
        let fleet = Fleet {
            most: REPLICAS,
            spares: REPLICAS - 1,
            of,
        };
        for turn in 0..times {
            let seed = run.seed + turn as u64;
            let name = format!("{name}, five spares, seed {seed}");
            let met = play(run.binary, &fleet, seed, load)?;
            let offences = if is_promised {
                met.offences()
            } else {
                met.wrong()
            };
            missed.extend(offences.into_iter().map(|o| format!("{name}: {o}")));
            rows.push(met.row(&name));
            raw.push(met.raw());
        }
    }
    let mut refusals = Refusals::default();
    let fleet = Fleet {
        most: REPLICAS,
        spares: 0,
        of: Replicas::Sleep { load: SLOW },
    };
    for turn in 0..few {
        let seed = run.seed + turn as u64;
        let poor = play(run.binary, &fleet, seed, POOR)?;
        missed.extend(poor.wrong());
        refusals.add(&poor);
        rows.push(poor.row(&format!("no spare, seed {seed}")));
        raw.push(poor.raw());
    }
    missed.extend(refusals.missed());
    Ok(Table {
        name: "Step",
        about: format!(
            "Requests that arrive at random, six times as many from one moment on; {REPLICAS} replicas at \
             most, one in rotation and the others spares, {} times of each kind. Of the sim engine, with \
             four places and 80 ms a request, since six that compute all the time cannot be shown on two \
             cores: {ASLEEP}. Of the default model, with one place and a short text a request: {LIGHT}. \
             The same, {few} times, where the cores are busy: {ASLEEP}. Then sim without a spare, where \
             loading takes {} s: {POOR}. {}",
            run.times,
            SLOW.as_secs(),
            refusals.said()
        ),
        columns: &[
            "",
            "p95 before ms",
            "p95 after ms",
            "ratio",
            "worst after ms",
            "refused",
            "promoted within ms",
        ],
        rows,
        samples: json!(raw),
    })
}

/// What users met of one step.
struct Met {
    samples: Vec<Sample>,
    /// When the load grew.
    before: Duration,
    /// Mean time from the request that found no permit to a spare in rotation, in milliseconds.
    promoted: Option<f64>,
}

fn play(binary: &Path, fleet: &Fleet<'_>, seed: u64, load: Load) -> Result<Met> {
    let folder = tempfile::Builder::new().prefix("ph").tempdir_in("/tmp")?;
    let gateway = fleet.start(binary, folder.path())?;
    let questions = Questions::learn(gateway.http)?;
    let samples = undisturbed(&questions, gateway.http, CLIENTS, &load.arrivals(seed));
    let [sum, count] = ["sum", "count"]
        .map(|what| metric(gateway.admin, &format!("preheat_promotion_seconds_{what}")));
    let (sum, count) = (sum?, count?);
    let promoted = (count > 0.0).then(|| sum / count * 1e3);
    Ok(Met {
        samples,
        before: load.before,
        promoted,
    })
}

impl Load {
    fn arrivals(self, seed: u64) -> Vec<Duration> {
        let mut dice = Rng::with_seed(seed);
        let mut all = at_random(&mut dice, self.rate, self.before);
        let then = at_random(&mut dice, self.rate * STEP, self.after);
        all.extend(then.into_iter().map(|at| self.before + at));
        all
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.rate, self.rate * STEP);
        let [before, after] = [self.before, self.after].map(|time| time.as_secs());
        write!(f, "{from} a second for {before} s and {to} for {after} s")
    }
}

impl Met {
    fn times(&self, after: bool) -> Vec<f64> {
        let of = |s: &&Sample| (s.at >= self.before) == after && s.outcome == Outcome::Answered;
        self.samples.iter().filter(of).map(|s| s.ms).collect()
    }

    fn p95(&self) -> (f64, f64) {
        let p95 = |after| percentile(&self.times(after), 0.95);
        (p95(false), p95(true))
    }

    fn row(&self, name: &str) -> Vec<String> {
        let (before, after) = self.p95();
        vec![
            name.to_owned(),
            ms(before),
            ms(after),
            format!("{:.2}", after / before),
            ms(worst(&self.times(true))),
            self.refusals().count().to_string(),
            self.promoted.map_or_else(String::new, ms),
        ]
    }

    fn wrong(&self) -> Vec<String> {
        let wrong = self.samples.iter().filter_map(|s| match &s.outcome {
            Outcome::Wrong(what) => Some(what.clone()),
            _ => None,
        });
        wrong.take(10).collect()
    }

    fn offences(&self) -> Vec<String> {
        let mut offences = self.wrong();
        let refused = self.refusals().count();
        if refused > 0 {
            offences.push(format!("{refused} were refused"));
        }
        let (before, after) = self.p95();
        if after > before * RATIO || after >= MOST_MS {
            offences.push(format!("p95 was {before:.1} ms and became {after:.1} ms"));
        }
        offences
    }

    /// Each refusal with the milliseconds after which it said to come back.
    fn refusals(&self) -> impl Iterator<Item = (&Sample, f64)> {
        self.samples
            .iter()
            .filter_map(|sample| match &sample.outcome {
                Outcome::Refused { retry_after, .. } => {
                    Some((sample, retry_after.unwrap_or_default() as f64))
                }
                _ => None,
            })
    }

    /// How wrong each time to come back was, as a share: it is right at the last refusal, after
    /// which everybody was served.
    fn errors(&self) -> Vec<f64> {
        let last = self.refusals().map(|(s, _)| s.at.as_secs_f64() * 1e3);
        let last = last.fold(0.0, f64::max);
        let errors = self.refusals().filter_map(|(sample, told)| {
            let right = last - sample.at.as_secs_f64() * 1e3 - sample.ms;
            (right > 0.0).then(|| (told - right).abs() / right)
        });
        errors.collect()
    }

    /// Milliseconds on either side. Where some were refused, each with when it came, and the refused
    /// with the milliseconds after which to come back. As coarse as a file of them may be large.
    fn raw(&self) -> Value {
        if self.refusals().next().is_none() {
            let coarse = |after| -> Vec<f64> {
                let times = self.times(after).into_iter();
                times.map(|ms| rounded(ms, 1e2)).collect()
            };
            return json!({"before_ms": coarse(false), "after_ms": coarse(true)});
        }
        let one = |s: &Sample| {
            let at = s.at.as_secs_f64();
            match &s.outcome {
                Outcome::Refused { retry_after, .. } => {
                    json!([rounded(at, 1e3), rounded(s.ms, 1e3), retry_after])
                }
                _ => json!([rounded(at, 1e2), rounded(s.ms, 1e1)]),
            }
        };
        self.samples.iter().map(one).collect()
    }
}

/// To so many parts of one.
fn rounded(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}

/// What all that were refused met.
#[derive(Default)]
struct Refusals {
    ms: Vec<f64>,
    errors: Vec<f64>,
}

impl Refusals {
    fn add(&mut self, met: &Met) {
        self.ms.extend(met.refusals().map(|(sample, _)| sample.ms));
        self.errors.extend(met.errors());
    }

    fn said(&self) -> String {
        format!(
            "Refused in {:.2} ms in the median, {:.2} at p99; the time to come back was wrong by \
             {:.0} % in the median, {:.0} % at p90.",
            median(&self.ms),
            percentile(&self.ms, 0.99),
            median(&self.errors) * 100.0,
            percentile(&self.errors, 0.9) * 100.0
        )
    }

    fn missed(&self) -> Vec<String> {
        let mut missed = Vec::new();
        let slow = percentile(&self.ms, 0.99);
        if slow.is_nan() || slow > REFUSED_MS {
            missed.push(format!("no spare: p99 of a refusal is {slow:.1} ms"));
        }
        let wrong = percentile(&self.errors, 0.9);
        if wrong.is_nan() || wrong > WRONG {
            let wrong = wrong * 100.0;
            missed.push(format!(
                "no spare: times to come back are {wrong:.0} % wrong at p90"
            ));
        }
        missed
    }
}
