//! A line of a JSON log as one would write it by hand: the message, then what goes with it.

use serde_json::{Map, Value};

/// Fields that are kept besides the message.
const FIELDS: usize = 40;

/// Longer lists are no sizes that somebody names.
const LISTED: usize = 16;

const MESSAGES: [&str; 6] = ["message", "msg", "log", "text", "MESSAGE", "textPayload"];
const TIMES: [&str; 8] = [
    "t",
    "@t",
    "timestamp",
    "time",
    "ts",
    "@timestamp",
    "asctime",
    "datetime",
];

pub struct Flat {
    /// Where it is a number: an epoch in seconds.
    pub at: Option<f64>,
    pub text: String,
}

/// None if the line is not a JSON object.
pub fn flatten(line: &str) -> Option<Flat> {
    // One of an array has a comma behind it.
    let line = line.trim().trim_end_matches(',');
    if !(line.starts_with('{') && line.ends_with('}')) {
        return None;
    }
    let Ok(Value::Object(mut object)) = serde_json::from_str(line) else {
        return None;
    };
    if let Some(record) = record(&mut object) {
        object = record;
    }
    let mut text = String::new();
    let mut at = None;
    let mut said = "";
    for name in TIMES {
        match object.get(name) {
            Some(Value::String(time)) => text = format!("{time} "),
            Some(Value::Number(number)) => at = number.as_f64().map(seconds),
            _ => continue,
        }
        break;
    }
    for name in MESSAGES {
        if let Some(Value::String(message)) = object.get(name) {
            text += message.trim_end();
            said = message;
            break;
        }
    }
    // Who passes on what another program says may call both a message.
    let mut more = MESSAGES
        .iter()
        .filter_map(|name| object.get(*name)?.as_str());
    if let Some(more) = more.find(|more| !more.contains(said) && !said.contains(more)) {
        text.extend([" ", more.trim_end()]);
    }
    let mut left = FIELDS;
    if let Some(event) = event(&object) {
        text += &event;
    }
    fields(&object, "", &mut text, &mut left, 0);
    Some(Flat { at, text })
}

/// `model.load.start`, `ready`, of a program that names events instead of telling them.
fn event(object: &Map<String, Value>) -> Option<String> {
    if MESSAGES.iter().any(|name| object.contains_key(*name)) {
        return None;
    }
    let named = object.get("event")?.as_str()?;
    let is_name = !named.contains(' ');
    is_name.then(|| named.replace(['.', '_', '-', ':'], " "))
}

/// Loguru writes the line as text and once more as a record, most of which tells of the logger:
/// since when it runs, in which file it was called.
fn record(object: &mut Map<String, Value>) -> Option<Map<String, Value>> {
    let Value::Object(record) = object.get_mut("record")? else {
        return None;
    };
    let told = |name: &str, value: Value| Some((name.to_owned(), value));
    record.get("message")?;
    let at = record.get("time").map(|time| time["timestamp"].clone());
    let told = [
        told("message", record.remove("message").unwrap_or_default()),
        told("extra", record.remove("extra").unwrap_or_default()),
        at.and_then(|at| told("timestamp", at)),
    ];
    Some(told.into_iter().flatten().collect())
}

/// Epochs come in seconds, milli- and nanoseconds.
fn seconds(epoch: f64) -> f64 {
    match epoch {
        e if e > 1e17 => e / 1e9,
        e if e > 1e14 => e / 1e6,
        e if e > 1e11 => e / 1e3,
        e => e,
    }
}

fn fields(
    object: &Map<String, Value>,
    of: &str,
    text: &mut String,
    left: &mut usize,
    depth: usize,
) {
    for (name, value) in object {
        let told =
            depth == 0 && (MESSAGES.contains(&name.as_str()) || TIMES.contains(&name.as_str()));
        if told || *left == 0 {
            continue;
        }
        match value {
            Value::Object(inner) if depth < 3 => fields(inner, name, text, left, depth + 1),
            Value::String(value) if is_off(value) => push(text, left, of, name, value),
            Value::String(value) => push(text, left, "", name, value),
            Value::Number(_) => push(text, left, "", name, &value.to_string()),
            // A switch is called by what it switches: `warmup.enabled=false`.
            Value::Bool(_) => push(text, left, of, name, &value.to_string()),
            Value::Array(values) => {
                // `"errors":[]` is none.
                let is_none = values.is_empty() && FAULTS.iter().any(|fault| name.contains(fault));
                if let Some(list) = listed(values).filter(|_| !is_none) {
                    push(text, left, "", name, &list);
                }
            }
            Value::Null | Value::Object(_) => {}
        }
    }
}

/// `[16,32,64]`; none of anything but a few numbers.
fn listed(values: &[Value]) -> Option<String> {
    let is_few = values.len() <= LISTED && values.iter().all(Value::is_number);
    let numbers: Vec<String> = values.iter().map(Value::to_string).collect();
    is_few.then(|| format!("[{}]", numbers.join(",")))
}

/// Lists of what went wrong.
const FAULTS: [&str; 4] = ["err", "fail", "mismatch", "diff"];

/// Whether a value says that what it belongs to is left out.
fn is_off(value: &str) -> bool {
    ["none", "off", "disabled", "never", "skip", "skipped"].contains(&value)
}

fn push(text: &mut String, left: &mut usize, of: &str, name: &str, value: &str) {
    *left -= 1;
    let dot = if of.is_empty() { "" } else { "." };
    text.extend([" ", of, dot, name, "=", value]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_leads_and_fields_follow() {
        let line = r#"{"ts":1700000000123,"level":"info","msg":"loaded","fields":{"took_ms":12},"x":null}"#;
        let flat = flatten(line).expect("read");
        assert_eq!(flat.text, "loaded took_ms=12 level=info");
        assert_eq!(flat.at, Some(1_700_000_000.123));
        let switch = flatten(r#"{"msg":"config","warmup":{"enabled":false,"rounds":3}}"#);
        assert_eq!(
            switch.map(|flat| flat.text).as_deref(),
            Some("config warmup.enabled=false rounds=3")
        );
        let mode = flatten(r#"{"msg":"config","warmup":{"mode":"none"}}"#);
        assert_eq!(
            mode.map(|flat| flat.text).as_deref(),
            Some("config warmup.mode=none")
        );
        let lists = flatten(r#"{"msg":"warmup","tokens":[16,32],"inputs":[],"who":["a"]}"#);
        assert_eq!(
            lists.map(|flat| flat.text).as_deref(),
            Some("warmup inputs=[] tokens=[16,32]")
        );
        let named = flatten(r#"{"event":"ready","buckets":[64,128]}"#);
        assert_eq!(
            named.map(|flat| flat.text).as_deref(),
            Some("ready buckets=[64,128] event=ready")
        );
        let clean = flatten(r#"{"msg":"self-check done","errors":[]}"#);
        assert_eq!(
            clean.map(|flat| flat.text).as_deref(),
            Some("self-check done")
        );
        let passed = flatten(r#"{"msg":"ort","text":"engine built","log":"ort"}"#);
        assert_eq!(
            passed.map(|flat| flat.text).as_deref(),
            Some("ort engine built")
        );
        assert!(flatten("{not json}").is_none() && flatten("[1]").is_none());
    }
}
