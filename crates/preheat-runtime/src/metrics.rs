//! A page of metrics in the two text formats that scrapers read: OpenMetrics, and Prometheus' own, which
//! is older. Knows no metric of its own.

mod format;

use std::fmt::Debug;

use http::header::{CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue, Response};
use prometheus_client::encoding::text::encode;
pub use prometheus_client::registry::Metric;

use format::Format;

/// A page as [`Registry::encode`] gives it, in the format that a scraper wants.
#[must_use]
pub fn answer(asked: &HeaderMap, page: String) -> Response<String> {
    let format = Format::wanted(asked);
    let mut answer = Response::new(format.page(page));
    let headers = answer.headers_mut();
    let kind = HeaderValue::from_static(format.content_type());
    headers.insert(CONTENT_TYPE, kind);
    headers.insert(VARY, HeaderValue::from_static("accept"));
    answer
}

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

    /// The page, in OpenMetrics.
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
