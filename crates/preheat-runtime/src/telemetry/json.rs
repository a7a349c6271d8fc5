//! One JSON object for each event: `timestamp, level, message, target`, then the fields of the
//! event and of the spans around it, all on one level. An inner field hides an outer one.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

/// Writes every event that reaches it as one line.
pub(super) fn layer<W>(writer: W) -> JsonLines<W> {
    JsonLines { writer }
}

pub(super) struct JsonLines<W> {
    writer: W,
}

#[derive(Debug, Clone, Default)]
struct Fields(BTreeMap<&'static str, Value>);

impl<S, W> Layer<S> for JsonLines<W>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        for span in context
            .event_scope(event)
            .into_iter()
            .flat_map(|scope| scope.from_root())
        {
            if let Some(outer) = span.extensions().get::<Fields>() {
                fields.0.extend(outer.0.clone());
            }
        }
        event.record(&mut fields);
        let line = line(event, fields);
        // A log that cannot be written has nowhere to complain.
        let _ = self
            .writer
            .make_writer_for(event.metadata())
            .write_all(line.as_bytes());
    }
}

fn line(event: &Event<'_>, Fields(mut fields): Fields) -> String {
    let message = fields.remove("message").unwrap_or(Value::from(""));
    // Events of the `log` crate bring their origin along as fields.
    let target = fields.remove("log.target");
    let target = target.unwrap_or_else(|| Value::from(event.metadata().target()));
    let level = event.metadata().level().as_str();
    let mut line = format!(
        r#"{{"timestamp":"{}","level":"{level}","message":{message},"target":{target}"#,
        now()
    );
    for (name, value) in fields.iter().filter(|(name, _)| !is_taken(name)) {
        line += &format!(",{}:{value}", Value::from(*name));
    }
    line += "}\n";
    line
}

fn is_taken(name: &str) -> bool {
    // The others are notes to the layers that export traces and take over foreign logs.
    matches!(name, "timestamp" | "level" | "target")
        || name.starts_with("log.")
        || name.starts_with("otel.")
}

fn now() -> String {
    let mut text = String::new();
    // A `String` takes every write.
    let _ = SystemTime.format_time(&mut Writer::new(&mut text));
    text
}

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name(), value.into());
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}
