//! Decisions with their grounds: which rule spoke and what it saw, as data that can be shown.

use std::fmt;
use std::time::Duration;

/// Why something was decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Because {
    /// The rule, in a few words that a person can act on; the same words each time.
    pub rule: &'static str,
    /// What the rule saw, in reading order.
    pub inputs: Vec<Input>,
}

/// One figure that a decision looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    pub name: &'static str,
    pub value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Count(u64),
    /// Per second.
    Rate(f64),
    /// A part of one.
    Share(f64),
    Time(Duration),
    Bytes(u64),
    Text(String),
}

impl Value {
    /// As a number; times in milliseconds. Text is none.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self {
            Value::Count(count) | Value::Bytes(count) => Some(*count as f64),
            Value::Rate(number) | Value::Share(number) => Some(*number),
            Value::Time(time) => Some((time.as_secs_f64() * 1e6).round() / 1e3),
            Value::Text(_) => None,
        }
    }
}

impl Because {
    #[must_use]
    pub const fn new(rule: &'static str) -> Self {
        Because {
            rule,
            inputs: Vec::new(),
        }
    }

    #[must_use]
    pub fn saw(mut self, name: &'static str, value: Value) -> Self {
        self.inputs.push(Input { name, value });
        self
    }

    #[must_use]
    pub fn count(self, name: &'static str, count: usize) -> Self {
        self.saw(name, Value::Count(count as u64))
    }

    #[must_use]
    pub fn rate(self, name: &'static str, per_second: f64) -> Self {
        self.saw(name, Value::Rate(per_second))
    }

    #[must_use]
    pub fn share(self, name: &'static str, share: f64) -> Self {
        self.saw(name, Value::Share(share))
    }

    #[must_use]
    pub fn time(self, name: &'static str, time: Duration) -> Self {
        self.saw(name, Value::Time(time))
    }

    #[must_use]
    pub fn bytes(self, name: &'static str, bytes: u64) -> Self {
        self.saw(name, Value::Bytes(bytes))
    }

    #[must_use]
    pub fn text(self, name: &'static str, text: impl Into<String>) -> Self {
        self.saw(name, Value::Text(text.into()))
    }
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rule)?;
        for (at, Input { name, value }) in self.inputs.iter().enumerate() {
            let before = if at == 0 { ": " } else { ", " };
            write!(f, "{before}{name} {value}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Count(count) => write!(f, "{count}"),
            Value::Rate(rate) => write!(f, "{rate:.1}/s"),
            Value::Share(share) => write!(f, "{:.0} %", share * 100.0),
            Value::Time(time) if *time < Duration::from_secs(1) => {
                write!(f, "{:.0} ms", time.as_secs_f64() * 1e3)
            }
            Value::Time(time) => write!(f, "{:.1} s", time.as_secs_f64()),
            Value::Bytes(bytes) => write!(f, "{:.1} MB", *bytes as f64 / 1e6),
            Value::Text(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grounds_read_as_one_sentence() {
        let because = Because::new("load needs more replicas")
            .rate("rate", 180.04)
            .time("cold start", Duration::from_secs(71))
            .time("p95", Duration::from_millis(111))
            .share("utilisation", 0.7)
            .count("wanted", 6);
        assert_eq!(
            because.to_string(),
            "load needs more replicas: rate 180.0/s, cold start 71.0 s, p95 111 ms, \
             utilisation 70 %, wanted 6"
        );
        assert_eq!(Because::new("asked for").to_string(), "asked for");
    }
}
