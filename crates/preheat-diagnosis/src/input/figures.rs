//! Figures in JSON that is no log: lists of what requests took, records of requests one after the other,
//! and what the first one took beside what is usual.

use serde_json::{Map, Value};

use super::metrics::is_of_requests;
use crate::latency::{is_of_others, points};
use crate::line::text::normal;
use crate::{Diagnosis, Evidence};

/// Objects within objects.
const DEEPEST: usize = 24;

/// Values of one text, one after the other.
const VALUES: usize = 4096;

/// Longer lists are no measurement of first requests.
const LONGEST: usize = 20_000;

/// Names of what a request takes.
const TIMES: [&str; 10] = [
    "latenc", "duration", "elapsed", "took", "time", "ms", "seconds", "ttft", "secs", "wall",
];

/// Names of what stands beside it in the record of a request.
const BESIDE: [&str; 17] = [
    "request",
    "req",
    "n",
    "i",
    "status",
    "code",
    "http",
    "call",
    "ok",
    "iteration",
    "run",
    "prompt",
    "path",
    "url",
    "query",
    "index",
    "endpoint",
];

const FIRST: [&str; 5] = ["first", "cold", "initial", "1st", "request 1"];

const STEADY: [&str; 10] = [
    "steady",
    "warm",
    "median",
    "p50",
    "subsequent",
    "later",
    "rest",
    "typical",
    "usual",
    "second",
];

/// What a number of this name is worth in milliseconds; none if it is no time.
fn factor(name: &str) -> Option<f64> {
    let name = normal(&words(name));
    if !TIMES.iter().any(|time| name.contains(time)) || is_other(&name) {
        return None;
    }
    let mut parts = name.split(' ').rev();
    parts.find_map(|part| match part {
        "ms" | "millis" | "milliseconds" => Some(1.0),
        "s" | "sec" | "secs" | "seconds" => Some(1e3),
        "us" | "usec" | "micros" => Some(1e-3),
        _ => None,
    })
}

fn is_other(name: &str) -> bool {
    [
        "timestamp",
        "timeout",
        "uptime",
        "start time",
        "end time",
        "ttl",
        "interval",
        "budget",
    ]
    .iter()
    .any(|other| name.contains(other))
        || is_of_others(name.strip_prefix("warm").unwrap_or(name))
}

/// The first of something else than of requests.
fn is_of_part(name: &str) -> bool {
    const PARTS: [&str; 14] = [
        "token", "byte", "chunk", "start", "load", "init", "boot", "seen", "itl", "tpot", "frame",
        "connect", "build", "pull",
    ];
    name.split(' ')
        .any(|word| PARTS.iter().any(|part| word.starts_with(part)))
}

/// `latencyMs` is two words.
fn words(name: &str) -> String {
    let mut words = String::with_capacity(name.len() + 4);
    let mut was_small = false;
    for c in name.chars() {
        if c.is_ascii_uppercase() && was_small {
            words.push(' ');
        }
        was_small = c.is_ascii_lowercase() || c.is_ascii_digit();
        words.push(c);
    }
    words
}

/// Takes what a text of JSON says of requests in, beside what its lines say.
pub(super) fn take(source: &str, text: &str, diagnosis: &mut Diagnosis) {
    if !text.trim_start().starts_with(['{', '[']) {
        return;
    }
    let mut reader = Reader {
        source,
        diagnosis,
        lists: 0,
    };
    let values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    for value in values.take(VALUES) {
        let Ok(value) = value else { return };
        reader.value(&value, "", 0);
    }
}

struct Reader<'a> {
    source: &'a str,
    diagnosis: &'a mut Diagnosis,
    /// Lists so far: each is a series of its own.
    lists: u64,
}

impl Reader<'_> {
    fn value(&mut self, value: &Value, name: &str, depth: usize) {
        if depth > DEEPEST {
            return;
        }
        match value {
            Value::Array(all) => {
                self.list(all, name);
                for one in all {
                    self.value(one, name, depth + 1);
                }
            }
            Value::Object(object) => {
                self.held(object);
                self.points(object);
                for (name, inner) in object {
                    self.value(inner, name, depth + 1);
                }
            }
            _ => {}
        }
    }

    /// `"latencies_ms": [9120, 131, 128]`, or a record for each request.
    fn list(&mut self, all: &[Value], name: &str) {
        if !(3..=LONGEST).contains(&all.len()) || is_of_others(&normal(name)) {
            return;
        }
        let by_name = factor(name).filter(|_| all.iter().all(Value::is_number));
        let times: Vec<f64> = match by_name {
            Some(factor) => all
                .iter()
                .filter_map(Value::as_f64)
                .map(|n| n * factor)
                .collect(),
            None => {
                let records: Option<Vec<f64>> = all.iter().map(record).collect();
                records.unwrap_or_default()
            }
        };
        self.lists += 1;
        let evidence = self.evidence(format!("{name} {times:?}"));
        self.diagnosis.requests(self.lists, &times, &evidence);
    }

    /// What the first one took beside what is usual.
    fn held(&mut self, object: &Map<String, Value>) {
        let figure = |words: &[&str]| {
            let own = object.iter().filter_map(|(name, value)| {
                let told = normal(&self::words(name));
                let is_named = words.iter().any(|word| told.contains(word)) && !is_of_part(&told);
                let ms = value.as_f64()? * factor(name)?;
                is_named.then_some((name, ms))
            });
            own.reduce(|a, b| if b.1 < a.1 { b } else { a })
        };
        let Some(((first, first_ms), (_, steady_ms))) = figure(&FIRST).zip(figure(&STEADY)) else {
            return;
        };
        if first_ms >= 3.0 * steady_ms && first_ms - steady_ms >= 100.0 {
            let evidence = self.evidence(format!("{first} {first_ms} ms"));
            self.diagnosis.measured(first_ms, steady_ms, &evidence);
        }
    }

    /// What a query of Prometheus gave: `"values": [[1760000000, "9.1"], …]`.
    fn points(&mut self, object: &Map<String, Value>) {
        let Some((metric, values)) = object.get("metric").zip(object.get("values")) else {
            return;
        };
        let name = normal(&metric.to_string());
        if !is_of_requests(&name, "") {
            return;
        }
        let factor = if name.contains(" ms") || name.contains("millis") {
            1.0
        } else {
            1e3
        };
        let value = |point: &Value| point.get(1)?.as_str()?.parse::<f64>().ok();
        let values = values.as_array().map(Vec::as_slice).unwrap_or_default();
        let told: Vec<f64> = values
            .iter()
            .filter_map(value)
            .map(|n| n * factor)
            .collect();
        if let Some((first, steady)) = points::fallen(&told) {
            let evidence = self.evidence(name);
            self.diagnosis.measured(first, steady, &evidence);
        }
    }

    fn evidence(&self, text: String) -> Evidence {
        Evidence {
            source: self.source.to_owned(),
            line: 1,
            pod: None,
            text: crate::line::text::shown(&text),
        }
    }
}

/// What a record says that its request took.
fn record(value: &Value) -> Option<f64> {
    let object = value.as_object()?;
    let is_of_log = ["msg", "message", "level", "name"]
        .iter()
        .any(|name| object.contains_key(*name));
    let is_beside = |name: &String| BESIDE.contains(&normal(name).as_str());
    if is_of_log || !object.keys().any(is_beside) {
        return None;
    }
    let mut times = object
        .iter()
        .filter_map(|(name, value)| Some(value.as_f64()? * factor(name)?));
    times.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_slow(text: &str) -> bool {
        let mut diagnosis = Diagnosis::new();
        take("x.json", text, &mut diagnosis);
        let findings = diagnosis.report().findings;
        findings
            .iter()
            .any(|f| f.cause.about().id == "warmed-by-traffic")
    }

    #[test]
    fn figures_of_requests_are_read() {
        for text in [
            r#"{"latencies_ms":[9120,8811,131,128,127,130]}"#,
            r#"{"results":{"responseTimesMs":[9120,131,128,127]}}"#,
            "[{\"n\":1,\"seconds\":10.4},\n{\"n\":2,\"seconds\":0.3},{\"n\":3,\"seconds\":0.3},{\"n\":4,\"seconds\":0.3}]",
            r#"{"data":{"result":[{"metric":{"__name__":"p99_request_seconds"},"values":[[1,"9.1"],[2,"0.1"],[3,"0.1"]]}]}}"#,
            r#"{"firstRequestMs":8123,"steadyP50Ms":61}"#,
            r#"{"cold_latency_s":8.1,"warm_latency_s":0.06}"#,
        ] {
            assert!(is_slow(text), "{text}");
        }
    }

    #[test]
    fn other_figures_are_none_of_requests() {
        for text in [
            r#"{"latencies_ms":[132,129,131,128,127,130]}"#,
            r#"{"step_times_ms":[9120,131,128,127]}"#,
            r#"{"sizes":[9120,131,128,127]}"#,
            r#"[{"name":"a","seconds":10.4},{"name":"b","seconds":0.3},{"name":"c","seconds":0.3}]"#,
            r#"{"first_timestamp_ms":8123000,"steady_ms":61}"#,
            r#"{"first_token_ms":312,"median_itl_ms":12}"#,
            r#"{"cold_start_ms":9312,"warm_start_ms":120}"#,
            r#"{"train":{"first_epoch_s":90,"later_epoch_s":3}}"#,
            "{",
            "[1,2",
        ] {
            assert!(!is_slow(text), "{text}");
        }
    }
}
