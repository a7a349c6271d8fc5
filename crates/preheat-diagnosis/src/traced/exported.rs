//! Traces as tools export them: Jaeger, Zipkin, OpenTelemetry, Tempo, Chrome, and those that people write
//! themselves. What they have in common is objects with a name and a time, one within the other or with
//! the name of their trace.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Span, Trace};
use crate::line::amount::amounts;
use crate::line::stamp::stamp;
use crate::line::text::normal;

/// Spans that are kept of one text.
const MOST: usize = 20_000;

/// Objects within objects.
const DEEPEST: usize = 24;

/// Values of one text, one after the other.
const VALUES: usize = 20_000;

const NAMES: [&str; 8] = [
    "name",
    "operationName",
    "operation",
    "op",
    "span",
    "step",
    "stage",
    "resource",
];

const TRACES: [&str; 5] = ["traceID", "traceId", "trace_id", "trace", "request_id"];

const PARENTS: [&str; 6] = [
    "parentSpanId",
    "parentSpanID",
    "parentId",
    "parent_id",
    "parent_span_id",
    "parent",
];

/// Arrays of what a request consists of.
const WITHIN: [&str; 9] = [
    "spans",
    "children",
    "steps",
    "stages",
    "phases",
    "breakdown",
    "segments",
    "subsegments",
    "traceEvents",
];

/// What a number of this name is worth in milliseconds.
const DURATIONS: [(&str, f64); 27] = [
    ("durationMs", 1.0),
    ("duration_ms", 1.0),
    ("durationMillis", 1.0),
    ("elapsed_ms", 1.0),
    ("elapsedMs", 1.0),
    ("took_ms", 1.0),
    ("tookMs", 1.0),
    ("latency_ms", 1.0),
    ("total_ms", 1.0),
    ("totalMs", 1.0),
    ("time_ms", 1.0),
    ("dur_ms", 1.0),
    ("ms", 1.0),
    ("duration_s", 1e3),
    ("duration_seconds", 1e3),
    ("durationSeconds", 1e3),
    ("seconds", 1e3),
    ("took_s", 1e3),
    ("duration_us", 1e-3),
    ("durationUs", 1e-3),
    ("durationMicros", 1e-3),
    ("dur_us", 1e-3),
    ("dur", 1e-3),
    ("duration_ns", 1e-6),
    ("durationNs", 1e-6),
    ("durationNano", 1e-6),
    ("durationNanos", 1e-6),
];

const STARTS: [&str; 14] = [
    "startTimeUnixNano",
    "start_time_unix_nano",
    "startMs",
    "start_ms",
    "offset_ms",
    "offsetMs",
    "at_ms",
    "startTime",
    "start_time",
    "timestamp",
    "start",
    "ts",
    "time",
    "begin",
];

const ENDS: [&str; 6] = [
    "endTimeUnixNano",
    "end_time_unix_nano",
    "endTime",
    "end_time",
    "endMs",
    "end",
];

/// Fields of those who write logs: whoever has them tells a line, and no span.
const OF_LOGS: [&str; 5] = ["msg", "message", "level", "severity", "log"];

#[derive(Default)]
struct Request {
    /// Its own time, where something around its spans tells it.
    root: Option<Span>,
    /// With whether they name a parent.
    spans: Vec<(Span, bool)>,
}

struct Reader<'a> {
    text: &'a str,
    /// Behind the newest name that was found.
    cursor: usize,
    line: u64,
    left: usize,
    requests: Vec<Request>,
    by_name: BTreeMap<String, usize>,
    notes: Vec<(u64, String)>,
}

/// What a text of traces holds.
#[derive(Debug, PartialEq)]
pub(crate) struct Traced {
    pub(crate) traces: Vec<Trace>,
    /// What somebody says about them, and on which line.
    pub(crate) notes: Vec<(u64, String)>,
}

/// None if a text is something else than traces.
pub(crate) fn traces(text: &str) -> Option<Traced> {
    let is_json = text.trim_start().starts_with(['{', '[']);
    if !is_json
        || !WITHIN
            .iter()
            .chain(&PARENTS)
            .any(|name| text.contains(name))
    {
        return None;
    }
    let mut reader = Reader {
        text,
        cursor: 0,
        line: 1,
        left: MOST,
        requests: Vec::new(),
        by_name: BTreeMap::new(),
        notes: Vec::new(),
    };
    let values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    for value in values.take(VALUES) {
        reader.value(&value.ok()?, None, 0);
    }
    let traces: Vec<Trace> = reader.requests.into_iter().filter_map(finish).collect();
    let notes = reader.notes;
    (!traces.is_empty()).then_some(Traced { traces, notes })
}

impl Reader<'_> {
    fn value(&mut self, value: &Value, owner: Option<usize>, depth: usize) {
        if depth > DEEPEST || self.left == 0 {
            return;
        }
        match value {
            Value::Array(all) => {
                for one in all {
                    self.value(one, owner, depth + 1);
                }
            }
            Value::Object(object) => self.object(object, owner, depth),
            _ => {}
        }
    }

    fn object(&mut self, object: &Map<String, Value>, owner: Option<usize>, depth: usize) {
        if OF_LOGS.iter().any(|name| object.contains_key(*name)) {
            return;
        }
        let mut within = WITHIN.iter().filter_map(|name| object.get(*name));
        let holds = within.any(|inner| inner.as_array().is_some_and(|all| !all.is_empty()));
        let trace = TRACES.iter().find_map(|name| object.get(*name)?.as_str());
        let span = self.span(object);
        if span.is_none() {
            self.note(object);
        }
        let mut owner = owner;
        if let Some(trace) = trace.filter(|_| holds || span.is_some()) {
            owner = Some(self.request(trace));
        } else if holds && owner.is_none() && span.is_some() {
            self.requests.push(Request::default());
            owner = Some(self.requests.len() - 1);
        }
        let is_around = holds && depth <= 3 && !has_parent(object);
        if let Some((span, owner)) = span.zip(owner) {
            self.left -= 1;
            let request = &mut self.requests[owner];
            match &request.root {
                None if is_around => request.root = Some(span),
                _ => request.spans.push((span, has_parent(object))),
            }
        }
        for (name, inner) in object {
            if inner.is_array() || inner.is_object() {
                let is_told = matches!(name.as_str(), "tags" | "attributes" | "logs" | "process");
                if !is_told {
                    self.value(inner, owner, depth + 1);
                }
            }
        }
    }

    /// Sentences beside the spans.
    fn note(&mut self, object: &Map<String, Value>) {
        const NOTES: usize = 64;
        let told = object.values().filter_map(Value::as_str);
        for told in told.filter(|told| told.split(' ').nth(2).is_some()) {
            if self.notes.len() < NOTES {
                let line = self.line_of(told);
                self.notes.push((line, told.to_owned()));
            }
        }
    }

    fn request(&mut self, trace: &str) -> usize {
        if let Some(known) = self.by_name.get(trace) {
            return *known;
        }
        self.requests.push(Request::default());
        let at = self.requests.len() - 1;
        self.by_name.insert(trace.to_owned(), at);
        at
    }

    /// None if an object has no time of its own.
    fn span(&mut self, object: &Map<String, Value>) -> Option<Span> {
        let start_ms = STARTS
            .iter()
            .find_map(|name| at_ms(name, object.get(*name)?));
        let took_ms = took_ms(object, start_ms)?;
        let of_root = [
            "rootTraceName",
            "rootName",
            "path",
            "url",
            "route",
            "endpoint",
        ];
        let mut names = NAMES.iter().chain(&of_root);
        let name = names.find_map(|name| object.get(*name)?.as_str());
        let name = name.unwrap_or("request");
        let line = self.line_of(name);
        Some(Span {
            name: name.to_owned(),
            fields: fields(object),
            start_ms,
            took_ms,
            line,
        })
    }

    /// Where a name stands, looking on from the one before it.
    fn line_of(&mut self, name: &str) -> u64 {
        let quoted = format!("\"{name}\"");
        if let Some(at) = self.text[self.cursor..].find(&quoted) {
            let passed = &self.text[self.cursor..self.cursor + at];
            self.line += passed.bytes().filter(|byte| *byte == b'\n').count() as u64;
            self.cursor += at;
        }
        self.line
    }
}

fn has_parent(object: &Map<String, Value>) -> bool {
    let told = |name: &&str| {
        let parent = object.get(*name);
        parent.is_some_and(|parent| match parent {
            Value::String(parent) => parent.bytes().any(|byte| byte != b'0'),
            Value::Number(parent) => parent.as_f64() != Some(0.0),
            _ => false,
        })
    };
    let refers = object.get("references").and_then(Value::as_array);
    PARENTS.iter().any(told) || refers.is_some_and(|all| !all.is_empty())
}

fn finish(request: Request) -> Option<Trace> {
    let Request { root, mut spans } = request;
    let root = root.or_else(|| {
        let longest = |all: &[(Span, bool)], is_child: bool| {
            let own = all
                .iter()
                .enumerate()
                .filter(|(_, (_, child))| *child == is_child);
            let longest = own.max_by(|(_, (a, _)), (_, (b, _))| a.took_ms.total_cmp(&b.took_ms));
            longest.map(|(at, _)| at)
        };
        let at = longest(&spans, false).or_else(|| longest(&spans, true))?;
        Some(spans.remove(at).0)
    })?;
    let steps: Vec<Span> = spans.into_iter().map(|(span, _)| span).collect();
    (!steps.is_empty()).then_some(Trace { root, steps })
}

fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    number.filter(|number| number.is_finite() && *number >= 0.0)
}

/// When something was, in milliseconds on a clock of its own.
fn at_ms(name: &str, value: &Value) -> Option<f64> {
    if let Some(text) = value.as_str()
        && let Some((seconds, ..)) = stamp(text)
    {
        return Some(seconds * 1e3);
    }
    let told = number(value)?;
    Some(match told {
        _ if name.ends_with("Ms") || name.ends_with("_ms") => told,
        ns if ns > 1e17 => ns / 1e6,
        us if us > 1e14 => us / 1e3,
        s if (1e9..1e11).contains(&s) => s * 1e3,
        ms => ms,
    })
}

fn took_ms(object: &Map<String, Value>, start_ms: Option<f64>) -> Option<f64> {
    let mut named = DURATIONS.iter();
    let named = named.find_map(|(name, factor)| Some(number(object.get(*name)?)? * factor));
    named
        .or_else(|| {
            let told = object.get("duration").or_else(|| object.get("took"))?;
            if let Some(text) = told.as_str().filter(|text| text.parse::<f64>().is_err()) {
                return amounts(&normal(text)).first().map(|amount| amount.ms);
            }
            Some(number(told)? * of_bare(object))
        })
        .or_else(|| {
            let end = ENDS
                .iter()
                .find_map(|name| at_ms(name, object.get(*name)?))?;
            Some(end - start_ms?)
        })
        .filter(|ms| ms.is_finite() && *ms >= 0.0)
}

/// A duration without a unit has that of the time stamp beside it.
fn of_bare(object: &Map<String, Value>) -> f64 {
    let mut starts = STARTS.iter();
    match starts.find_map(|name| number(object.get(*name)?)) {
        Some(start) if start > 1e17 => 1e-6,
        Some(start) if start > 1e14 => 1e-3,
        _ => 1.0,
    }
}

/// What goes with a span, in a line.
fn fields(object: &Map<String, Value>) -> String {
    const LONGEST: usize = 400;
    let mut told = String::new();
    for name in ["attributes", "tags", "meta", "args"] {
        match object.get(name) {
            Some(Value::Object(own)) => {
                for (key, value) in own {
                    if let Some(value) = value.as_str() {
                        told.extend([key, "=", value, " "]);
                    }
                }
            }
            Some(Value::Array(own)) => {
                for one in own {
                    let value = one["value"]["stringValue"].as_str();
                    let value = value.or_else(|| one["value"].as_str());
                    if let Some((key, value)) = one["key"].as_str().zip(value) {
                        told.extend([key, "=", value, " "]);
                    }
                }
            }
            _ => {}
        }
    }
    told.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Told = (String, f64);

    fn read(text: &str) -> Vec<(String, f64, Vec<Told>)> {
        let all = traces(text).expect(text).traces;
        let plain = |span: &Span| (span.name.clone(), span.took_ms.round());
        all.iter()
            .map(|trace| {
                let (name, took) = plain(&trace.root);
                (name, took, trace.steps.iter().map(plain).collect())
            })
            .collect()
    }

    #[test]
    fn exports_of_several_tools_are_read() {
        let step = vec![("load model".to_owned(), 4900.0)];
        for text in [
            r#"{"data":[{"traceID":"a","spans":[{"traceID":"a","spanID":"1","operationName":"POST /x","references":[],"startTime":1760000000000000,"duration":5000000,"tags":[]},{"traceID":"a","spanID":"2","references":[{"spanID":"1"}],"operationName":"load model","startTime":1760000000001000,"duration":4900000}]}]}"#,
            r#"[{"traceId":"a","id":"1","name":"POST /x","timestamp":1760000000000000,"duration":5000000},{"traceId":"a","id":"2","parentId":"1","name":"load model","timestamp":1760000000001000,"duration":4900000}]"#,
            r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"a","spanId":"1","parentSpanId":"","name":"POST /x","startTimeUnixNano":"1760000000000000000","endTimeUnixNano":"1760000005000000000"},{"traceId":"a","spanId":"2","parentSpanId":"1","name":"load model","startTimeUnixNano":"1760000000000000000","endTimeUnixNano":"1760000004900000000"}]}]}]}"#,
            r#"{"name":"POST /x","duration":"5 s","children":[{"name":"load model","duration":"4.9s"}]}"#,
            r#"{"requests":[{"path":"POST /x","total_ms":5000,"steps":[{"step":"load model","ms":4900}]}]}"#,
        ] {
            assert_eq!(
                read(text),
                [("POST /x".to_owned(), 5000.0, step.clone())],
                "{text}"
            );
        }
    }

    #[test]
    fn spans_know_their_lines_and_their_requests() {
        let text = "[\n{\"traceId\":\"a\",\"name\":\"one\",\"durationMs\":9,\n\"spans\":[\n{\"name\":\"x\",\"durationMs\":5}]},\n{\"traceId\":\"b\",\"name\":\"two\",\"durationMs\":3,\n\"spans\":[{\"name\":\"x\",\"durationMs\":1}]}]";
        let all = traces(text).expect("traces").traces;
        let lines: Vec<(u64, u64)> = all
            .iter()
            .map(|trace| (trace.root.line, trace.steps[0].line))
            .collect();
        assert_eq!(lines, [(2, 4), (5, 6)]);
    }

    #[test]
    fn other_texts_are_no_traces() {
        for text in [
            "",
            "{",
            "[]",
            "{\"spans\":[]}",
            "POST /x spans",
            r#"{"kind":"Pod","spans":3}"#,
            r#"{"msg":"done","trace_id":"a","duration":3,"spans":[{"name":"a"}]}"#,
            r#"{"spans":[{"name":"a"},{"name":"b"}]}"#,
        ] {
            assert_eq!(traces(text), None, "{text}");
        }
    }

    #[test]
    fn notes_beside_the_spans_are_kept() {
        let text = "{\"note\":\n\"pod became Ready before\",\n\"spans\":[{\"trace_id\":\"a\",\"name\":\"POST /x\",\"ms\":9},{\"trace_id\":\"a\",\"name\":\"y\",\"ms\":7}]}";
        let read = traces(text).expect("traces");
        assert_eq!(read.notes, [(2, "pod became Ready before".to_owned())]);
        assert_eq!(read.traces[0].steps[0].name, "y");
    }
}
