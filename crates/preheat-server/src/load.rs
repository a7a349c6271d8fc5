//! Synthetic load: planned requests through the replica's own front door, at a rate, every answer
//! checked. Part of a proof where it is asked for, and run on order when a set of replicas is to
//! show what it carries before users come.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use preheat_api::replica::{LoadReport, LoadRequest};
use preheat_core::proof::LoadEvidence;
use preheat_core::warmup::Path;
use preheat_runtime::Tasks;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep_until;

use crate::clock::millis;
use crate::door::{Connection, Doors};
use crate::model::Loaded;
use crate::plan::Ready;
use crate::prove::matrix;
use crate::settings::LoadTest;
use crate::warm;

/// What a load is put on.
pub trait Target: Send + Sync {
    type Connection: Send;

    fn connect(&self) -> impl Future<Output = Result<Self::Connection, String>> + Send;

    /// Asks once; an answer that is not right is an error. `number` counts the requests.
    fn ask(
        &self,
        connection: &mut Self::Connection,
        number: usize,
    ) -> impl Future<Output = Result<(), String>> + Send;
}

/// A model of ours: its cases in turn.
pub struct ModelTarget {
    pub doors: Doors,
    pub cases: Vec<Ready>,
    pub loaded: Loaded,
}

impl Target for ModelTarget {
    type Connection = Connection;

    async fn connect(&self) -> Result<Connection, String> {
        let connection = self.doors.connect(Path::Http).await;
        connection.map_err(|error| error.chain())
    }

    async fn ask(&self, connection: &mut Connection, number: usize) -> Result<(), String> {
        let Some(ready) = self.cases.get(number % self.cases.len().max(1)) else {
            return Err("there is no case".to_owned());
        };
        let vectors = connection.ask(&ready.sample).await;
        let vectors = vectors.map_err(|error| error.chain())?;
        warm::checked(&matrix(vectors), ready, &self.loaded)
    }
}

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

    #[must_use]
    pub fn evidence(&self) -> LoadEvidence {
        LoadEvidence {
            requests: self.latencies.len() + self.errors,
            errors: self.errors,
            p95: self.p95(),
            rate: self.rate(),
        }
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

impl From<LoadTest> for Schedule {
    fn from(test: LoadTest) -> Self {
        Schedule {
            rate: None,
            concurrency: test.concurrency,
            until: Until::Requests(test.requests),
        }
    }
}

/// Puts the load on.
pub async fn run(target: &impl Target, schedule: Schedule) -> Outcome {
    let began = Instant::now();
    let next = AtomicUsize::new(0);
    let client = || client(target, schedule, began, &next);
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
    target: &impl Target,
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
        if over {
            return outcome;
        }
        sleep_until((began + due).into()).await;
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => match target.connect().await {
                Ok(connection) => connection,
                Err(error) => {
                    outcome.note(Err(error));
                    continue;
                }
            },
        };
        let asked = Instant::now();
        let answer = target.ask(&mut connection, number).await;
        if answer.is_ok() {
            kept = Some(connection);
        }
        outcome.note(answer.map(|()| asked.elapsed()));
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
/// probes. `target`: what there is to load now; none while nothing is proven.
pub async fn serve<T: Target>(
    mut orders: mpsc::Receiver<Order>,
    tasks: Tasks,
    target: impl Fn() -> Option<T>,
) {
    let token = tasks.token().clone();
    let work = async {
        while let Some(Order { wish, answer }) = orders.recv().await {
            let done = match target() {
                Some(target) => Ok(run(&target, schedule(&wish)).await.report()),
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
