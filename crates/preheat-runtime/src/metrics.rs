//! A page of metrics in the two text formats that scrapers read: OpenMetrics, and Prometheus' own, which
//! is older. Knows no metric of its own.

mod format;

use std::fmt::Debug;

use prometheus_client::encoding::text::encode;
pub use prometheus_client::registry::Metric;

pub use format::Format;

/// What [`Registry::encode`] is to be served as.
pub const CONTENT_TYPE: &str = Format::OpenMetrics.content_type();

/// The metrics of one process. Register while starting, then share and [`encode`](Registry::encode).
#[derive(Debug, Default)]
pub struct Registry(prometheus_client::registry::Registry);

impl Registry {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a metric and returns it, to be kept and counted with. Metrics share their value between
    /// clones. `name` is without the `_total` that counters get on the page; `help` without the full
    /// stop at its end.
    pub fn register<M: Metric + Clone + Debug>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.0
            .register(name.trim_end_matches("_total"), help, metric.clone());
        metric
    }

    /// The page.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut page = String::new();
        // A `String` takes every write; an encoder that fails leaves the page without its end mark,
        // which a reader notices.
        if let Err(error) = encode(&mut page, &self.0) {
            tracing::error!(event = "metrics_failed", %error, "metrics could not be written");
        }
        page
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::metrics::gauge::Gauge;

    use super::*;

    #[test]
    fn writes_a_page_that_prometheus_reads() {
        let mut registry = Registry::new();
        let requests: Counter =
            registry.register("a_requests_total", "Requests", Counter::default());
        let open: Gauge = registry.register("a_open_connections", "Connections", Gauge::default());
        requests.inc_by(2);
        open.set(3);
        assert_eq!(
            registry.encode(),
            "# HELP a_requests Requests.\n\
             # TYPE a_requests counter\n\
             a_requests_total 2\n\
             # HELP a_open_connections Connections.\n\
             # TYPE a_open_connections gauge\n\
             a_open_connections 3\n\
             # EOF\n"
        );
    }
}
