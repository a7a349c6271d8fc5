//! What a gateway counts. Names live in `preheat_api::metrics`.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use preheat_api::metrics as names;
use preheat_api::metrics::Metric;
use preheat_core::Phase;
use preheat_core::fleet::Role;
use preheat_runtime::metrics::Registry;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use crate::service::Service;

type Labels = Vec<(&'static str, String)>;
type Number = Gauge<f64, AtomicU64>;

/// Labels of what is counted for every request, which need no memory of their own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answer {
    route: &'static str,
    code: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: &'static str,
}

#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<Answer, Counter>,
    request_seconds: Family<Route, Histogram>,
    rejected: Family<Labels, Counter>,
    cold: Family<Labels, Counter>,
    replicas: Family<Labels, Gauge>,
    desired: Family<Labels, Gauge>,
    capacity: Family<Labels, Number>,
    hold_seconds: Family<Labels, Histogram>,
    held: Family<Labels, Gauge>,
    promotion_seconds: Family<Labels, Histogram>,
    rollouts: Family<Labels, Counter>,
    retries: Family<Labels, Counter>,
    failures: Family<Labels, Counter>,
}

fn seconds() -> Histogram {
    // 0.5 ms to about 33 s, doubling.
    Histogram::new(exponential_buckets(0.0005, 2.0, 17))
}

fn short_seconds() -> Histogram {
    // 50 µs to about 1.6 s, doubling.
    Histogram::new(exponential_buckets(0.000_05, 2.0, 16))
}

fn timed<L: Clone + Hash + Eq>(each: fn() -> Histogram) -> Family<L, Histogram> {
    Family::new_with_constructor(each)
}

impl Metrics {
    /// `services`: by name, so that a zero stands there from the start.
    #[must_use]
    pub fn new(services: &[String], version: &str) -> Self {
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
            requests: register!(names::REQUESTS, Family::default()),
            request_seconds: register!(names::REQUEST_SECONDS, timed(seconds)),
            rejected: register!(names::REJECTED, Family::default()),
            cold: register!(names::COLD_REQUESTS, Family::default()),
            replicas: register!(names::REPLICAS, Family::default()),
            desired: register!(names::DESIRED_REPLICAS, Family::default()),
            capacity: register!(names::CAPACITY_RPS, Family::default()),
            hold_seconds: register!(names::HOLD_SECONDS, timed(seconds)),
            held: register!(names::HELD, Family::default()),
            promotion_seconds: register!(names::PROMOTION_SECONDS, timed(short_seconds)),
            rollouts: register!(names::ROLLOUTS, Family::default()),
            retries: register!(names::RETRIES, Family::default()),
            failures: register!(names::FAILURES, Family::default()),
            registry,
        };
        for service in services {
            // A zero is a statement; an absent line is not.
            drop(metrics.cold.get_or_create(&model(service)));
            drop(metrics.promotion_seconds.get_or_create(&model(service)));
        }
        metrics
    }

    /// The page as scraped, with what is only read then.
    #[must_use]
    pub fn page(&self, services: &[Arc<Service>]) -> String {
        for service in services {
            self.look_at(service);
        }
        self.registry.encode()
    }

    fn look_at(&self, service: &Service) {
        let report = service.status().report;
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let labels = model(&service.name);
        self.held.get_or_create(&labels).set(count(report.held));
        self.desired
            .get_or_create(&labels)
            .set(count(report.wanted));
        if let Some(rate) = report.capacity_rps {
            self.capacity.get_or_create(&labels).set(rate);
        }
        for (how, total) in service.rotation.failures() {
            let mut labels = model(&service.name);
            labels.push(("reason", how.name().to_owned()));
            let counter = self.failures.get_or_create(&labels);
            counter.inner().store(total, Ordering::Relaxed);
        }
        for phase in Phase::NAMES {
            for role in [Role::Active, Role::Spare] {
                let is = |r: &&preheat_api::service::ReplicaReport| {
                    r.phase == phase && r.role == role.name()
                };
                let replicas = report.replicas.iter().filter(is).count();
                let mut labels = model(&service.name);
                labels.push(("phase", phase.to_owned()));
                labels.push(("role", role.name().to_owned()));
                self.replicas.get_or_create(&labels).set(count(replicas));
            }
        }
    }

    pub fn request(&self, route: &'static str, code: u16, took: Duration) {
        self.requests.get_or_create(&Answer { route, code }).inc();
        self.request_seconds
            .get_or_create(&Route { route })
            .observe(took.as_secs_f64());
    }

    pub fn rejected(&self, reason: &'static str) {
        self.rejected
            .get_or_create(&vec![("reason", reason.to_owned())])
            .inc();
    }

    /// A user's request was answered by a replica without proof.
    pub fn cold(&self, service: &str) {
        self.cold.get_or_create(&model(service)).inc();
    }

    pub fn held_for(&self, service: &str, waited: Duration) {
        self.hold_seconds
            .get_or_create(&model(service))
            .observe(waited.as_secs_f64());
    }

    /// From the request that found every permit taken to the spare in rotation.
    pub fn promoted(&self, service: &str, took: Duration) {
        self.promotion_seconds
            .get_or_create(&model(service))
            .observe(took.as_secs_f64());
    }

    /// A rollout has ended.
    pub fn rolled_out(&self, service: &str, result: &str) {
        let mut labels = model(service);
        labels.push(("result", result.to_owned()));
        self.rollouts.get_or_create(&labels).inc();
    }

    pub fn retried(&self, reason: &'static str) {
        self.retries
            .get_or_create(&vec![("reason", reason.to_owned())])
            .inc();
    }
}

fn model(service: &str) -> Labels {
    vec![("model", service.to_owned())]
}

fn register<M: preheat_runtime::metrics::Metric + Clone + std::fmt::Debug>(
    registry: &mut Registry,
    metric: Metric,
    kind: M,
) -> M {
    registry.register(metric.family(), metric.help, kind)
}
