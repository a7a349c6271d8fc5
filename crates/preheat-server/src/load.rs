//! Synthetic load: planned requests through the replica's own front door, at a rate, every answer
//! checked. Part of a proof where it is asked for, and run on order when a set of replicas is to
//! show what it carries before users come.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use preheat_api::replica::{LoadReport, LoadRequest};
use preheat_core::warmup::Path;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep_until;

use crate::clock::millis;
use crate::door::Doors;
use crate::model::Loaded;
use crate::plan::Ready;
use crate::prove::matrix;
use crate::warm;

/// Nobody needs longer, and nothing runs for ever because it was told to.
const LONGEST: Duration = Duration::from_secs(600);

/// Requests at once: an order is not to be an attack.
const MOST_AT_ONCE: usize = 256;

/// Latencies that a report holds.
const REPORTED: usize = 1000;

/// What is asked, how often, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// Requests a second; none: as fast as they are answered.
    pub rate: Option<f64>,
    pub concurrency: usize,
    pub until: Until,
}

#[derive(Debug, Clone, Copy)]
pub enum Until {
    Requests(usize),
    Passed(Duration),
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Of right answers, the shortest first.
    pub latencies: Vec<Duration>,
    pub errors: usize,
    pub error: Option<String>,
    pub took: Duration,
}

impl Outcome {
    #[must_use]
    pub fn p95(&self) -> Duration {
        let at = self.latencies.len() * 95 / 100;
        self.latencies.get(at).copied().unwrap_or_default()
    }

    /// Right answers a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.took.as_secs_f64().max(1e-9)
    }

    fn note(&mut self, answer: Result<Duration, String>) {
        match answer {
            Ok(took) => self.latencies.push(took),
            Err(error) => {
                self.errors += 1;
                self.error.get_or_insert(error);
            }
        }
    }

    fn report(&self) -> LoadReport {
        let count = self.latencies.len();
        let some = count.min(REPORTED);
        let pick = |at: usize| millis(self.latencies[at * count / some]);
        LoadReport {
            requests: (count + self.errors) as u64,
            errors: self.errors as u64,
            error: self.error.clone(),
            rate: self.rate(),
            latencies_ms: (0..some).map(pick).collect(),
        }
    }
}

/// Runs `cases` in turn.
pub async fn run(doors: &Doors, cases: &[Ready], loaded: &Loaded, schedule: Schedule) -> Outcome {
    let began = Instant::now();
    let next = AtomicUsize::new(0);
    let client = || client(doors, cases, loaded, schedule, began, &next);
    let outcomes = join_all((0..schedule.concurrency).map(|_| client())).await;
    let mut whole = Outcome {
        took: began.elapsed(),
        ..Outcome::default()
    };
    for outcome in outcomes {
        whole.latencies.extend(outcome.latencies);
        whole.errors += outcome.errors;
        whole.error = whole.error.or(outcome.error);
    }
    whole.latencies.sort_unstable();
    whole
}

/// One connection, kept as long as it holds.
async fn client(
    doors: &Doors,
    cases: &[Ready],
    loaded: &Loaded,
    schedule: Schedule,
    began: Instant,
    next: &AtomicUsize,
) -> Outcome {
    let mut outcome = Outcome::default();
    let mut kept = None;
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let due = schedule
            .rate
            .map_or(Duration::ZERO, |rate| seconds(number as f64 / rate));
        let over = match schedule.until {
            Until::Requests(count) => number >= count,
            Until::Passed(limit) => due.max(began.elapsed()) >= limit,
        };
        let Some(ready) = cases.get(number % cases.len().max(1)).filter(|_| !over) else {
            return outcome;
        };
        sleep_until((began + due).into()).await;
        let mut door = match kept.take() {
            Some(door) => door,
            None => match doors.connect(Path::Http).await {
                Ok(door) => door,
                Err(error) => {
                    outcome.note(Err(error.chain()));
                    continue;
                }
            },
        };
        let asked = Instant::now();
        match door.ask(&ready.sample).await {
            Ok(vectors) => {
                let took = asked.elapsed();
                let right = warm::checked(&matrix(vectors), ready, loaded);
                outcome.note(right.map(|()| took));
                kept = Some(door);
            }
            Err(error) => outcome.note(Err(error.chain())),
        }
    }
}

/// An order from the admin listener.
#[derive(Debug)]
pub struct Order {
    pub wish: LoadRequest,
    pub answer: oneshot::Sender<Result<LoadReport, String>>,
}

/// Orders that may wait: none, one is worked on.
pub const ORDERS: usize = 1;

/// Carries orders out, one at a time, on the runtime that serves users and not on that of the
/// probes. `parts`: what a load is made of now; none while nothing is proven.
pub async fn serve(
    mut orders: mpsc::Receiver<Order>,
    doors: Doors,
    parts: impl Fn() -> Option<(Vec<Ready>, Loaded)>,
) {
    let token = doors.tasks.token().clone();
    let work = async {
        while let Some(Order { wish, answer }) = orders.recv().await {
            let done = match parts() {
                Some((cases, loaded)) => {
                    let schedule = schedule(&wish);
                    Ok(run(&doors, &cases, &loaded, schedule).await.report())
                }
                None => Err("nothing is proven that could be loaded".to_owned()),
            };
            // Whoever asked may have left.
            let _ = answer.send(done);
        }
    };
    tokio::select! {
        () = work => {}
        () = token.cancelled() => {}
    }
}

fn schedule(wish: &LoadRequest) -> Schedule {
    let rate = if wish.rate.is_finite() {
        wish.rate
    } else {
        1.0
    };
    Schedule {
        rate: Some(rate.clamp(0.01, 1e6)),
        concurrency: wish.concurrency.clamp(1, MOST_AT_ONCE),
        until: Until::Passed(seconds(wish.seconds).min(LONGEST)),
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(LONGEST)
}
