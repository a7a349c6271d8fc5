//! Logs on standard error, and traces to a collector if there is one.
//!
//! A collector that is slow or away never slows a request: spans wait in a bounded queue, and what
//! does not fit is dropped. What is exported and what is logged are filtered apart, so that quiet
//! logs do not mean empty traces.

mod json;
mod otlp;
mod trace;

use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::sync::oneshot;
use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{EnvFilter, FilterExt as _, ParseError, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::registry::{LookupSpan, Registry};
use tracing_subscriber::util::SubscriberInitExt as _;

pub use self::trace::{continue_trace, inject_trace};

use crate::thread::spawn_named;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// What to log, and where traces go.
#[derive(Debug, Clone)]
pub struct TelemetryConfig {
    pub format: LogFormat,
    /// In the syntax of `RUST_LOG`, for example `info,preheat_server=debug`.
    pub filter: String,
    pub colour: bool,
    pub otlp: Option<OtlpConfig>,
}

/// A collector that takes OTLP over HTTP.
#[derive(Debug, Clone)]
pub struct OtlpConfig {
    /// The base address; `/v1/traces` is added.
    pub endpoint: String,
    pub service_name: String,
    pub headers: Vec<(String, String)>,
}

#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("`{filter}` is not a log filter")]
    Filter { filter: String, source: ParseError },
    #[error("traces cannot be sent to {endpoint}")]
    Otlp {
        endpoint: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("logging is already set up")]
    AlreadySet,
}

impl TelemetryError {
    /// What to do next.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            TelemetryError::Filter { .. } => "write it like info or info,preheat_server=debug",
            TelemetryError::Otlp { .. } => "give the base address, like http://localhost:4318",
            TelemetryError::AlreadySet => "set it up once, at the start of the process",
        }
    }
}

/// Keeps telemetry alive; [`shutdown`](Telemetry::shutdown) sends what is left.
#[derive(Debug)]
pub struct Telemetry {
    provider: Option<SdkTracerProvider>,
}

/// Sets up logging for the whole process. With [`TelemetryConfig::otlp`] it must be called inside
/// the runtime.
///
/// # Errors
/// See [`TelemetryError`].
pub fn init(config: &TelemetryConfig) -> Result<Telemetry, TelemetryError> {
    let (subscriber, telemetry) = build(config, std::io::stderr)?;
    subscriber
        .try_init()
        .map_err(|_| TelemetryError::AlreadySet)?;
    Ok(telemetry)
}

fn build<W>(
    config: &TelemetryConfig,
    writer: W,
) -> Result<(impl Subscriber + Send + Sync + use<W>, Telemetry), TelemetryError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&config.filter).map_err(|source| TelemetryError::Filter {
        filter: config.filter.clone(),
        source,
    })?;
    let provider = config.otlp.as_ref().map(otlp::provider).transpose()?;
    let logs = match config.format {
        LogFormat::Text => tracing_subscriber::fmt::layer()
            .with_ansi(config.colour)
            .with_writer(writer)
            .boxed(),
        LogFormat::Json => json::layer(writer).boxed(),
    };
    let subscriber = Registry::default()
        .with(provider.as_ref().map(traces))
        .with(logs.with_filter(filter));
    Ok((subscriber, Telemetry { provider }))
}

/// Our own spans only: those of the exporter's HTTP client would beget new ones for ever.
fn traces<S>(provider: &SdkTracerProvider) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let ours = |metadata: &Metadata<'_>| {
        let exported = metadata.is_span() || *metadata.level() <= Level::INFO;
        exported && metadata.target().starts_with("preheat")
    };
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("preheat"))
        .with_filter(LevelFilter::DEBUG.and(filter_fn(ours)))
}

impl Telemetry {
    /// Sends the spans that are still waiting, for `limit` at most.
    pub async fn shutdown(self, limit: Duration) {
        let Some(provider) = self.provider else {
            return;
        };
        let (done, flushed) = oneshot::channel();
        // The exporter needs the runtime to send, so nobody may wait for it on a worker.
        let thread = spawn_named("flush", move || {
            let result = provider.shutdown_with_timeout(limit);
            // Whoever waited may have given up.
            let _ = done.send(result);
        });
        if let Err(error) = thread {
            tracing::warn!(event = "traces_lost", %error, "the last traces could not be sent");
            return;
        }
        match tokio::time::timeout(limit, flushed).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => {
                tracing::warn!(event = "traces_lost", %error, "the last traces could not be sent");
            }
            Ok(Err(_)) | Err(_) => {
                tracing::warn!(
                    event = "traces_lost",
                    ?limit,
                    "the last traces could not be sent"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use http::HeaderMap;
    use serde_json::Value;
    use tracing::field::Empty;

    use super::*;

    /// Where the logs of one test go.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Lines {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    fn config(format: LogFormat, filter: &str) -> TelemetryConfig {
        TelemetryConfig {
            format,
            filter: filter.to_owned(),
            colour: false,
            otlp: None,
        }
    }

    fn logs(config: &TelemetryConfig, talk: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let (subscriber, _telemetry) = build(config, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, talk);
        lines.text()
    }

    fn talk() {
        let replica = tracing::info_span!("replica", model = "embedder", phase = "loading");
        let _in = replica.enter();
        let request = tracing::info_span!("request", request_id = "r-1", trace_id = Empty);
        request.record("trace_id", "abc");
        let _in = request.enter();
        tracing::info!(
            event = "warmed",
            phase = "warming",
            ms = 1.5,
            round = 3_u64,
            "round \"3\" done"
        );
        tracing::debug!("too quiet to be logged");
    }

    #[test]
    fn a_json_line_has_all_fields_on_one_level() {
        let lines = logs(&config(LogFormat::Json, "info"), talk);
        let (head, _) = lines.split_once(r#","level""#).unwrap();
        assert!(
            head.starts_with(r#"{"timestamp":"20"#) && head.ends_with(r#"Z""#),
            "{head}"
        );
        let mut line: Value = serde_json::from_str(lines.trim_end()).unwrap();
        line.as_object_mut().unwrap().remove("timestamp");
        let expected = serde_json::json!({
            "level": "INFO", "message": "round \"3\" done", "target": "preheat_runtime::telemetry::tests",
            "event": "warmed", "model": "embedder", "phase": "warming", "ms": 1.5, "round": 3,
            "request_id": "r-1", "trace_id": "abc",
        });
        assert_eq!(line, expected);
    }

    #[test]
    fn text_is_for_people() {
        let lines = logs(&config(LogFormat::Text, "info"), talk);
        assert_eq!(lines.lines().count(), 1);
        for part in ["INFO", "round \"3\" done", "model=\"embedder\"", "ms=1.5"] {
            assert!(lines.contains(part), "{part} in {lines}");
        }
    }

    #[test]
    fn the_filter_is_that_of_rust_log() {
        for (filter, expected) in [("warn", 0), ("warn,preheat_runtime=info", 1), ("debug", 2)] {
            let lines = logs(&config(LogFormat::Json, filter), talk);
            assert_eq!(lines.lines().count(), expected, "{filter}");
        }
        let error = build(&config(LogFormat::Json, "a=b=c"), io::stderr)
            .err()
            .unwrap();
        assert_eq!(error.to_string(), "`a=b=c` is not a log filter");
    }

    #[test]
    fn the_callers_trace_is_logged_even_when_none_is_exported() {
        let mut headers = HeaderMap::new();
        let caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        headers.insert("traceparent", caller.parse().unwrap());
        let lines = logs(&config(LogFormat::Json, "info"), || {
            let request = tracing::info_span!("request", trace_id = Empty);
            continue_trace(&request, &headers);
            request.in_scope(|| tracing::info!("hello"));
        });
        assert!(
            lines.contains(r#""trace_id":"0af7651916cd43dd8448eb211c80319c""#),
            "{lines}"
        );
    }
}
