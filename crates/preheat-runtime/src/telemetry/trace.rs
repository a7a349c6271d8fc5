//! The W3C trace context: from whom a request came, and under which name it goes on.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing::field::display;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Makes `span` part of the trace that the `traceparent` header names, and records the trace's id
/// in its field `trace_id`, if it has one. Without the header a trace begins here, provided that
/// traces are exported. Call it before the span is entered.
pub fn continue_trace(span: &Span, headers: &HeaderMap) {
    if span.is_disabled() {
        return;
    }
    let remote =
        TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(headers));
    let caller = remote.span().span_context().clone();
    if caller.is_valid() {
        // Fails where no layer exports traces; the id is worth logging all the same.
        let _ = span.set_parent(remote);
        span.record("trace_id", display(caller.trace_id()));
        return;
    }
    let context = span.context();
    let own = context.span().span_context().clone();
    if own.is_valid() {
        span.record("trace_id", display(own.trace_id()));
    }
}

/// Writes the headers under which whoever is called next continues the trace of `span`.
pub fn inject_trace(span: &Span, headers: &mut HeaderMap) {
    if span.is_disabled() {
        return;
    }
    TraceContextPropagator::new().inject_context(&span.context(), &mut HeadersMut(headers));
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

struct HeadersMut<'a>(&'a mut HeaderMap);

impl Injector for HeadersMut<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}
