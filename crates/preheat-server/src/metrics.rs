//! What is counted. Names live in `preheat_api::metrics`; synthetic runs never count as requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use preheat_api::metrics as names;
use preheat_api::metrics::Metric;
use preheat_core::{Phase, WarmupReport};
use preheat_runtime::edge::ConnectionCounters;
use preheat_runtime::memory::Usage;
use preheat_runtime::metrics::Registry;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use crate::batcher::Met;

type Labels = Vec<(&'static str, String)>;
type Seconds = Gauge<f64, AtomicU64>;

/// All metrics of a replica, and the page they are scraped from.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    model: String,
    phase: Family<Labels, Gauge>,
    stage: Family<Labels, Seconds>,
    time_to_ready: Family<Labels, Seconds>,
    first: Family<Labels, Seconds>,
    steady: Family<Labels, Seconds>,
    ratio: Family<Labels, Seconds>,
    proof_failures: Family<Labels, Counter>,
    cold: Family<Labels, Counter>,
    unplanned: Family<Labels, Counter>,
    keepwarm_runs: Family<Labels, Counter>,
    requests: Family<Labels, Counter>,
    request_seconds: Family<Labels, Histogram>,
    queue_seconds: Histogram,
    inference_seconds: Histogram,
    batch_size: Histogram,
    queue_depth: Gauge,
    inflight: Gauge,
    rejected: Family<Labels, Counter>,
    connections: Gauge,
    closed: Family<Labels, Counter>,
    memory: Family<Labels, Gauge>,
    drain_cut: Counter,
    pub totals: Totals,
}

/// Sums that model-server clients ask for; read back, which the registry's types do not offer.
#[derive(Debug, Default)]
pub struct Totals {
    pub rows: AtomicU64,
    pub batches: AtomicU64,
    pub cold: AtomicU64,
    pub queued_rows: AtomicU64,
    pub succeeded: Sum,
    pub failed: Sum,
    pub queued: Sum,
    pub inference: Sum,
}

#[derive(Debug, Default)]
pub struct Sum {
    pub count: AtomicU64,
    pub nanos: AtomicU64,
}

impl Sum {
    fn add(&self, took: Duration) {
        self.count.fetch_add(1, Ordering::Relaxed);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }
}

fn seconds() -> Histogram {
    // 0.5 ms to about 33 s, doubling.
    Histogram::new(exponential_buckets(0.0005, 2.0, 17))
}

impl Metrics {
    /// The metrics of a replica of `model`.
    #[must_use]
    pub fn new(model: &str, version: &str) -> Self {
        let mut registry = Registry::new();
        macro_rules! register {
            ($metric:expr, $kind:expr) => {
                register(&mut registry, $metric, $kind)
            };
        }
        let build: Family<Labels, Gauge> = register!(names::BUILD_INFO, Family::default());
        build
            .get_or_create(&vec![("version", version.to_owned())])
            .set(1);
        let metrics = Metrics {
            model: model.to_owned(),
            phase: register!(names::REPLICA_PHASE, Family::default()),
            stage: register!(names::STAGE_SECONDS, Family::default()),
            time_to_ready: register!(names::TIME_TO_READY_SECONDS, Family::default()),
            first: register!(names::WARMUP_FIRST_SECONDS, Family::default()),
            steady: register!(names::WARMUP_STEADY_SECONDS, Family::default()),
            ratio: register!(names::WARMUP_RATIO, Family::default()),
            proof_failures: register!(names::PROOF_FAILURES, Family::default()),
            cold: register!(names::COLD_REQUESTS, Family::default()),
            unplanned: register!(names::UNPLANNED_SHAPE, Family::default()),
            keepwarm_runs: register!(names::KEEPWARM_RUNS, Family::default()),
            requests: register!(names::REQUESTS, Family::default()),
            request_seconds: register!(
                names::REQUEST_SECONDS,
                Family::new_with_constructor(seconds as fn() -> Histogram)
            ),
            queue_seconds: register!(names::QUEUE_SECONDS, seconds()),
            inference_seconds: register!(names::INFERENCE_SECONDS, seconds()),
            batch_size: register!(
                names::BATCH_SIZE,
                Histogram::new(exponential_buckets(1.0, 2.0, 9))
            ),
            queue_depth: register!(names::QUEUE_DEPTH, Gauge::default()),
            inflight: register!(names::INFLIGHT, Gauge::default()),
            rejected: register!(names::REJECTED, Family::default()),
            connections: register!(names::CONNECTIONS, Gauge::default()),
            closed: register!(names::CONNECTIONS_CLOSED, Family::default()),
            memory: register!(names::MEMORY_BYTES, Family::default()),
            drain_cut: register!(names::DRAIN_CUT, Counter::default()),
            totals: Totals::default(),
            registry,
        };
        // A zero is a statement; an absent line is not.
        metrics.cold(0);
        drop(metrics.unplanned.get_or_create(&metrics.labels([])));
        drop(metrics.keepwarm_runs.get_or_create(&metrics.labels([])));
        metrics
    }

    fn labels<const N: usize>(&self, more: [(&'static str, String); N]) -> Labels {
        let mut labels = vec![("model", self.model.clone())];
        labels.extend(more);
        labels
    }

    /// The page as scraped, with what is only read then.
    #[must_use]
    pub fn page(&self, memory: Usage, limit: u64, connections: &ConnectionCounters) -> String {
        for (kind, bytes) in [
            ("rss", memory.resident),
            ("peak", memory.peak),
            ("limit", limit),
        ] {
            let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
            self.memory
                .get_or_create(&vec![("kind", kind.to_owned())])
                .set(bytes);
        }
        let open = connections.open.load(Ordering::Relaxed);
        self.connections
            .set(i64::try_from(open).unwrap_or(i64::MAX));
        for (reason, total) in [
            ("refused", &connections.refused),
            ("timed_out", &connections.timed_out),
        ] {
            let counter = self
                .closed
                .get_or_create(&vec![("reason", reason.to_owned())]);
            counter.inc_by(total.load(Ordering::Relaxed).saturating_sub(counter.get()));
        }
        self.registry.encode()
    }

    pub fn phase(&self, phase: &Phase) {
        for name in Phase::NAMES {
            let labels = self.labels([("phase", name.to_owned())]);
            self.phase
                .get_or_create(&labels)
                .set(i64::from(name == phase.name()));
        }
    }

    pub fn stage(&self, stage: &str, took: Duration) {
        let labels = self.labels([("stage", stage.to_owned())]);
        self.stage.get_or_create(&labels).set(took.as_secs_f64());
    }

    pub fn time_to_ready(&self, took: Duration) {
        self.time_to_ready
            .get_or_create(&self.labels([]))
            .set(took.as_secs_f64());
    }

    /// One line a case: its costliest first run on any path or instance, and that run's steady one.
    pub fn warmup(&self, report: &WarmupReport) {
        for case in &report.cases {
            let worst = report
                .cases
                .iter()
                .filter(|c| c.name == case.name)
                .max_by_key(|c| c.first());
            let Some(worst) = worst else { continue };
            let labels = self.labels([("case", case.name.clone())]);
            self.first
                .get_or_create(&labels)
                .set(worst.first().as_secs_f64());
            self.steady
                .get_or_create(&labels)
                .set(worst.steady().as_secs_f64());
            self.ratio.get_or_create(&labels).set(worst.ratio());
        }
    }

    pub fn proof_failure(&self, check: &str) {
        self.proof_failures
            .get_or_create(&self.labels([("check", check.to_owned())]))
            .inc();
    }

    /// A batch with so many real requests in it is about to run.
    pub fn batch(&self, rows: usize, met: Met, real_requests: usize) {
        self.batch_size.observe(rows as f64);
        self.totals.batches.fetch_add(1, Ordering::Relaxed);
        self.totals.rows.fetch_add(rows as u64, Ordering::Relaxed);
        if met.cold {
            self.cold(real_requests as u64);
        }
        if !met.planned {
            self.unplanned.get_or_create(&self.labels([])).inc();
        }
    }

    /// Real requests met something unwarmed.
    pub fn cold(&self, requests: u64) {
        self.cold.get_or_create(&self.labels([])).inc_by(requests);
        self.totals.cold.fetch_add(requests, Ordering::Relaxed);
    }

    /// A pass over the hot shapes has run.
    pub fn kept_warm(&self) {
        self.keepwarm_runs.get_or_create(&self.labels([])).inc();
    }

    pub fn inference(&self, took: Duration) {
        self.inference_seconds.observe(took.as_secs_f64());
        self.totals.inference.add(took);
    }

    pub fn queued(&self, took: Duration) {
        self.queue_seconds.observe(took.as_secs_f64());
        self.totals.queued.add(took);
    }

    pub fn queue_depth(&self, rows: usize) {
        self.totals
            .queued_rows
            .store(rows as u64, Ordering::Relaxed);
        self.queue_depth
            .set(i64::try_from(rows).unwrap_or(i64::MAX));
    }

    pub fn served(&self, ok: bool, took: Duration) {
        if ok {
            self.totals.succeeded.add(took)
        } else {
            self.totals.failed.add(took)
        }
    }

    pub fn request(&self, route: &str, code: &str, took: Duration) {
        let route = ("route", route.to_owned());
        let labels = self.labels([route.clone(), ("code", code.to_owned())]);
        self.requests.get_or_create(&labels).inc();
        self.request_seconds
            .get_or_create(&self.labels([route]))
            .observe(took.as_secs_f64());
    }

    /// Counts a request as being worked on for as long as the result lives.
    #[must_use]
    pub fn working(self: &Arc<Self>) -> Working {
        self.inflight.inc();
        Working(Arc::clone(self))
    }

    pub fn rejected(&self, reason: &str) {
        self.rejected
            .get_or_create(&self.labels([("reason", reason.to_owned())]))
            .inc();
    }

    pub fn drain_cut(&self, requests: usize) {
        self.drain_cut.inc_by(requests as u64);
    }
}

#[derive(Debug)]
pub struct Working(Arc<Metrics>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.inflight.dec();
    }
}

fn register<M: preheat_runtime::metrics::Metric + Clone + std::fmt::Debug>(
    registry: &mut Registry,
    metric: Metric,
    kind: M,
) -> M {
    registry.register(metric.family(), metric.help, kind)
}
