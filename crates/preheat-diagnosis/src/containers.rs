//! What a container is told to do and how it is probed, and what of that slows or breaks its start.

mod command;
mod probes;
mod processes;
mod weights;

use super::line::text::normal;
use super::subject::is_of_another;
use super::{Cause, Evidence};

/// A container as a manifest or a description has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Container {
    pub name: String,
    /// Where several pods are described in one text.
    pub pod: Option<String>,
    pub source: String,
    /// Where it begins.
    pub line: u64,
    pub image: String,
    /// Command and arguments, one after the other.
    pub command: Vec<String>,
    pub env: Vec<(String, String)>,
    pub cpu_limit: Option<f64>,
    /// A device computes, so the size of thread pools matters little.
    pub has_accelerator: bool,
    pub startup: Option<Probe>,
    pub readiness: Option<Probe>,
    pub liveness: Option<Probe>,
    /// Requests are meant to reach it and Kubernetes decides when.
    pub is_served: bool,
    /// Its state is told beside, and it does not run: nobody takes it for ready.
    pub is_down: bool,
    /// Where something else fetches the weights from before it starts.
    pub storage: Option<String>,
    /// It runs to its end before the others start.
    pub is_init: bool,
    /// Some volume outlives the pod, or the image itself carries files there.
    pub has_lasting_volume: bool,
    /// Somebody has computed the probes from a measured start.
    pub is_measured: bool,
    /// What its author remarks that a start takes, in seconds.
    pub start_s: Option<f64>,
    /// How long whoever starts it waits for it, where that is told apart from the command.
    pub manager_timeout_s: Option<f64>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    pub kind: ProbeKind,
    /// From the first question to giving up, in seconds.
    pub window_s: f64,
    pub line: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeKind {
    Http(String),
    Tcp,
    Exec(String),
    /// gRPC: what it asks is not seen from here.
    Other,
}

/// A cause found in a container.
pub(super) struct Found {
    pub(super) cause: Cause,
    pub(super) confidence: f64,
    pub(super) evidence: Evidence,
}

/// The line, what is seen there of the container, and the confidence.
type Seen = (u64, String, f64);

/// A check of containers: what it looks for and how it answers.
struct Check {
    cause: Cause,
    /// The place and the confidence, if the container has it. The start is in seconds, if known.
    look: fn(&Container, Option<f64>) -> Option<Seen>,
}

/// Every check, as data.
const CHECKS: &[Check] = &[
    Check {
        cause: Cause::LivenessKills,
        look: probes::liveness_kills,
    },
    Check {
        cause: Cause::ProbeWindow,
        look: probes::startup_window,
    },
    Check {
        cause: Cause::ReadyTooEarly,
        look: probes::ready_too_early,
    },
    Check {
        cause: Cause::DoubleLoadReloader,
        look: processes::reloader,
    },
    Check {
        cause: Cause::DoubleLoadWorkers,
        look: processes::workers,
    },
    Check {
        cause: Cause::WorkerTimeout,
        look: processes::timeout,
    },
    Check {
        cause: Cause::WarmupSkipped,
        look: processes::skips_warmup,
    },
    Check {
        cause: Cause::CpuLimit,
        look: processes::threads,
    },
    Check {
        cause: Cause::DownloadAtStart,
        look: weights::downloads,
    },
];

impl Container {
    pub(super) fn check(&self, start_s: Option<f64>) -> Vec<Found> {
        let found = |check: &Check| {
            let (line, what, confidence) = (check.look)(self, start_s.or(self.start_s))?;
            let kind = if self.is_init { "init " } else { "" };
            let evidence = Evidence {
                source: self.source.clone(),
                line,
                pod: self.pod.clone(),
                text: format!("{kind}container {}: {what}", self.name),
            };
            Some(Found {
                cause: check.cause,
                confidence,
                evidence,
            })
        };
        CHECKS.iter().filter_map(found).collect()
    }
}

/// What images are called of programs that serve no model.
const OTHERS: [&str; 30] = [
    "redis",
    "valkey",
    "postgres",
    "postgresql",
    "mysql",
    "mariadb",
    "mongo",
    "mongodb",
    "rabbitmq",
    "kafka",
    "nats",
    "memcached",
    "etcd",
    "minio",
    "nginx",
    "envoy",
    "haproxy",
    "traefik",
    "caddy",
    "httpd",
    "prometheus",
    "grafana",
    "loki",
    "jaeger",
    "elasticsearch",
    "opensearch",
    "clickhouse",
    "zookeeper",
    "consul",
    "vault",
];

/// What containers are called that stand beside one that serves.
const BESIDE: [&str; 24] = [
    "fluent-bit",
    "fluentbit",
    "fluentd",
    "istio-proxy",
    "istio-init",
    "linkerd-proxy",
    "proxyv2",
    "vector",
    "filebeat",
    "promtail",
    "alloy",
    "otel-collector",
    "opentelemetry-collector",
    "datadog-agent",
    "log-shipper",
    "logshipper",
    "cloudsql-proxy",
    "cloud-sql-proxy",
    "vault-agent",
    "oauth2-proxy",
    "pgbouncer",
    "node-exporter",
    "dcgm-exporter",
    "log-router",
];

/// Whether an image is known to serve no model.
pub(super) fn is_other(image: &str) -> bool {
    let name = image.rsplit('/').next().unwrap_or_default();
    let name = name.split([':', '@']).next().unwrap_or_default();
    OTHERS.contains(&name) || BESIDE.contains(&name) || is_of_another(&normal(name))
}

/// Whether a resource is a device: `nvidia.com/gpu`, `amd.com/gpu`, `google.com/tpu`,
/// `aws.amazon.com/neuron`, `gpu.intel.com/i915`.
pub(super) fn is_accelerator(resource: &str) -> bool {
    let parts = || resource.split(['/', '.', '-']);
    resource.contains('/') && parts().any(|part| matches!(part, "gpu" | "tpu" | "neuron"))
}

/// `2`, `500m`, `1.5`.
pub(super) fn cpus(quantity: &str) -> Option<f64> {
    match quantity.strip_suffix('m') {
        Some(milli) => milli.parse::<f64>().ok().map(|milli| milli / 1e3),
        None => quantity.parse().ok(),
    }
}
