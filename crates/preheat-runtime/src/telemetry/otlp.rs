//! Sends spans to a collector, in batches, from a thread of the SDK's.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry_otlp::{
    Protocol, RetryPolicy, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, SpanData,
    SpanExporter as ExportSpans,
};
use tokio::runtime::Handle;

use crate::telemetry::{OtlpConfig, TelemetryError};
use crate::tls::install_default_provider;

/// For one batch. A collector that is away must not hold up the next.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How many spans wait at most, how many go at once, and how long a span waits for company.
const QUEUE: usize = 4096;
const BATCH: usize = 512;
const DELAY: Duration = Duration::from_secs(2);

pub(super) fn provider(config: &OtlpConfig) -> Result<SdkTracerProvider, TelemetryError> {
    let failed = |source| TelemetryError::Otlp {
        endpoint: config.endpoint.clone(),
        source,
    };
    let runtime = Handle::try_current().map_err(|error| failed(error.into()))?;
    let endpoint = traces_endpoint(&config.endpoint).map_err(failed)?;
    install_default_provider();
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(endpoint)
        .with_timeout(TIMEOUT)
        // Spans of a while ago are not worth holding up those of now, nor the end of the process.
        .with_retry_policy(RetryPolicy::disabled())
        .with_headers(config.headers.iter().cloned().collect::<HashMap<_, _>>())
        .build()
        .map_err(|error| failed(error.into()))?;
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE)
        .with_max_export_batch_size(BATCH)
        .with_scheduled_delay(DELAY)
        .build();
    let exporter = OnRuntime {
        exporter,
        runtime,
        failing: AtomicBool::new(false),
    };
    let processor = BatchSpanProcessor::builder(exporter)
        .with_batch_config(batches)
        .build();
    let resource = Resource::builder()
        .with_service_name(config.service_name.clone())
        .build();
    Ok(SdkTracerProvider::builder()
        .with_span_processor(processor)
        .with_resource(resource)
        .build())
}

fn traces_endpoint(base: &str) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let uri: http::Uri = base.parse()?;
    match uri.scheme_str() {
        Some("http" | "https") if uri.host().is_some() => {}
        _ => return Err("not an http:// or https:// address".into()),
    }
    Ok(format!("{}/v1/traces", base.trim_end_matches('/')))
}

/// Exports on the SDK's thread with the sockets and timers of our runtime.
#[derive(Debug)]
struct OnRuntime {
    exporter: SpanExporter,
    runtime: Handle,
    failing: AtomicBool,
}

impl ExportSpans for OnRuntime {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let mut export = pin!(self.exporter.export(batch));
        let result = poll_fn(|cx| {
            let _inside = self.runtime.enter();
            export.as_mut().poll(cx)
        })
        .await;
        self.report(&result);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl OnRuntime {
    /// Once when it begins to fail and once when it works again: not for every batch.
    fn report(&self, result: &OTelSdkResult) {
        let failed_before = self.failing.swap(result.is_err(), Ordering::Relaxed);
        match result {
            Err(error) if !failed_before => {
                tracing::warn!(event = "traces_failing", %error, "traces cannot be sent");
            }
            Ok(()) if failed_before => {
                tracing::info!(event = "traces_recovered", "traces are sent again");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use http::{HeaderMap, Request, Response};
    use http_body_util::{BodyExt as _, Full};
    use hyper::body::Incoming;
    use tokio::sync::mpsc;

    use super::*;
    use crate::telemetry::{LogFormat, Telemetry, TelemetryConfig, continue_trace, inject_trace};
    use crate::{Draining, EdgeConfig, Shell, Tasks, bind, serve};

    type Batch = (HeaderMap, String, Bytes);

    /// A collector that hands on what it is sent.
    fn collector(tasks: &Tasks) -> (String, mpsc::Receiver<Batch>) {
        let (sender, batches) = mpsc::channel(8);
        let service = tower::service_fn(move |request: Request<Incoming>| {
            let sender = sender.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                sender
                    .send((head.headers, head.uri.path().to_owned(), body))
                    .await
                    .unwrap();
                Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
            }
        });
        let listener = bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}/", listener.address());
        let shell = Shell::new(tasks.clone(), Draining::never());
        tasks.spawn("collector", async move {
            serve(listener, service, EdgeConfig::default(), shell)
                .await
                .unwrap();
        });
        (endpoint, batches)
    }

    fn telemetry(endpoint: &str) -> (impl tracing::Subscriber + Send + Sync, Telemetry) {
        let config = TelemetryConfig {
            format: LogFormat::Json,
            filter: "off".to_owned(),
            colour: false,
            otlp: Some(OtlpConfig {
                endpoint: endpoint.to_owned(),
                service_name: "a-replica".to_owned(),
                headers: vec![("x-team".to_owned(), "blue".to_owned())],
            }),
        };
        crate::telemetry::build(&config, std::io::sink).unwrap()
    }

    fn contains(haystack: &[u8], needle: &[u8]) -> bool {
        haystack
            .windows(needle.len())
            .any(|window| window == needle)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn spans_reach_the_collector_at_shutdown_at_the_latest() {
        let tasks = Tasks::new();
        let (endpoint, mut batches) = collector(&tasks);
        let (subscriber, telemetry) = telemetry(&endpoint);
        let mut caller = HeaderMap::new();
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        caller.insert("traceparent", parent.parse().unwrap());
        let mut onward = HeaderMap::new();
        tracing::subscriber::with_default(subscriber, || {
            let request = tracing::info_span!("preheat.prove", trace_id = tracing::field::Empty);
            continue_trace(&request, &caller);
            inject_trace(&request, &mut onward);
            request.in_scope(|| tracing::info!("inside"));
        });
        telemetry.shutdown(Duration::from_secs(10)).await;

        let (headers, path, body) = batches.recv().await.unwrap();
        assert_eq!(
            (path.as_str(), &headers["x-team"]),
            ("/v1/traces", &"blue".parse::<http::HeaderValue>().unwrap())
        );
        for name in ["preheat.prove", "a-replica", "inside"] {
            assert!(contains(&body, name.as_bytes()), "{name}");
        }
        let trace = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128.to_be_bytes();
        assert!(contains(&body, &trace), "the caller's trace goes on");
        let onward = onward["traceparent"].to_str().unwrap();
        assert!(onward.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && onward != parent);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_collector_that_is_away_harms_nobody() {
        let closed = bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", closed.address());
        drop(closed);
        let (subscriber, telemetry) = telemetry(&endpoint);
        tracing::subscriber::with_default(subscriber, || {
            for _ in 0..3 * QUEUE {
                tracing::info_span!("preheat.request").in_scope(|| ());
            }
        });
        telemetry.shutdown(Duration::from_secs(10)).await;
    }

    #[test]
    fn an_endpoint_must_be_an_address() {
        assert_eq!(
            traces_endpoint("http://a:4318/").unwrap(),
            "http://a:4318/v1/traces"
        );
        for endpoint in ["", "localhost:4318", "ftp://a", "/v1"] {
            assert!(traces_endpoint(endpoint).is_err(), "{endpoint}");
        }
    }
}
