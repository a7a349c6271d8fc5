//! `[fleet]`: how many replicas of a service there are, and what waits for them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Upkeep;
use crate::quantity::{Size, Span};

/// Read by `preheat gateway`; a single replica has no use for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Fleet {
    /// Replicas in rotation at least; with `scale_to_zero` none may be.
    pub min: usize,
    /// Replicas of a service at most, spares included.
    pub max: usize,
    /// Requests that one replica works on at once; the gateway keeps the others.
    pub concurrency: usize,
    /// Proven replicas kept out of rotation: `auto`, or a number.
    pub spares: Spares,
    /// Whether a service that nobody asks for may end its last replica.
    pub scale_to_zero: bool,
    /// How long a service is idle before that.
    pub linger: Span,
    /// How long a request may wait for a replica when none is warm.
    pub hold: Span,
    /// Requests that may wait at once.
    pub hold_requests: usize,
    /// Bytes of bodies that may wait at once.
    pub hold_bytes: Size,
    /// Whether replicas serve that skipped their warm-up.
    pub allow_unproven: bool,
    /// How long replicas outlive a gateway that was killed, for the next one to take them over.
    pub adopt_within: Span,
    /// Whether the load decides how many replicas there are. Without it there are `min` of them in
    /// rotation, and as many spares as are set.
    pub scaling: Upkeep,
    /// Hours of the day with spares of their own.
    pub busy: Vec<Busy>,
    /// Where sockets and files of replicas are kept; empty: a folder of its own, known by the
    /// gateway's addresses.
    pub dir: String,
    pub rollout: Rollout,
}

/// Spares by the clock on the wall.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Busy {
    /// `mon-fri`, `sat,sun`.
    pub days: String,
    /// `08:45`; up to `to`, which is of the next day where it is earlier.
    pub from: String,
    pub to: String,
    /// Proven replicas that stand by, started early enough.
    pub spares: usize,
    /// As in `Europe/Berlin`.
    pub timezone: String,
}

impl Default for Busy {
    fn default() -> Self {
        Busy {
            days: "mon-sun".into(),
            from: "00:00".into(),
            to: "00:00".into(),
            spares: 1,
            timezone: "UTC".into(),
        }
    }
}

/// How one revision gives way to the next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rollout {
    /// Time for all of the new set to be proven.
    pub prove_within: Span,
    /// How long the new set is under synthetic load, at the rate of its users.
    pub load_for: Span,
    /// Loads that it is given to pass where only latency misses.
    pub attempts: u32,
    /// How long its users' requests are watched.
    pub watch_for: Span,
    /// How long the old set is kept warm after that.
    pub keep_for: Span,
    /// What its p95 may be, as a multiple of the old set's.
    pub max_ratio: f64,
    /// Differences in p95 below this are noise.
    pub slack: Span,
    /// Share of users' requests that may fail while it is watched.
    pub max_errors: f64,
}

impl Default for Rollout {
    fn default() -> Self {
        Rollout {
            prove_within: Span::secs(1800),
            load_for: Span::secs(30),
            attempts: 3,
            watch_for: Span::secs(60),
            keep_for: Span::secs(300),
            max_ratio: 1.2,
            slack: Span::millis(2),
            max_errors: 0.001,
        }
    }
}

impl Default for Fleet {
    fn default() -> Self {
        Fleet {
            min: 1,
            max: 6,
            concurrency: 4,
            spares: Spares::Auto,
            scale_to_zero: false,
            linger: Span::secs(300),
            hold: Span::secs(30),
            hold_requests: 1024,
            hold_bytes: Size(64_000_000),
            allow_unproven: false,
            adopt_within: Span::secs(30),
            scaling: Upkeep::On,
            busy: Vec::new(),
            dir: String::new(),
            rollout: Rollout::default(),
        }
    }
}

/// How many proven replicas stand by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spares {
    /// As many as measured cold starts and bursts ask for.
    Auto,
    Count(usize),
}

impl FromStr for Spares {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Spares::Auto),
            text => text
                .parse()
                .map(Spares::Count)
                .map_err(|_| format!("{text:?} is neither \"auto\" nor a number of replicas")),
        }
    }
}

impl fmt::Display for Spares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Spares::Auto => f.write_str("auto"),
            Spares::Count(count) => count.fmt(f),
        }
    }
}

impl Serialize for Spares {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Spares::Auto => serializer.serialize_str("auto"),
            Spares::Count(count) => serializer.serialize_u64(*count as u64),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written<'a> {
    Number(usize),
    Text(Cow<'a, str>),
}

impl<'de> Deserialize<'de> for Spares {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Written::deserialize(deserializer) {
            Ok(Written::Number(count)) => Ok(Spares::Count(count)),
            Ok(Written::Text(text)) => text.parse().map_err(de::Error::custom),
            Err(_) => Err(de::Error::custom(
                "neither \"auto\" nor a number of replicas",
            )),
        }
    }
}

impl JsonSchema for Spares {
    fn schema_name() -> Cow<'static, str> {
        "Spares".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "oneOf": [{ "const": "auto" }, { "type": "integer", "minimum": 0 }] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spares_are_a_number_or_left_to_us() {
        for (json, spares) in [
            (r#""auto""#, Spares::Auto),
            ("2", Spares::Count(2)),
            (r#""2""#, Spares::Count(2)),
        ] {
            assert_eq!(serde_json::from_str::<Spares>(json).unwrap(), spares);
        }
        for wrong in [r#""some""#, "-1", "1.5", "true"] {
            let error = serde_json::from_str::<Spares>(wrong).unwrap_err();
            assert!(error.to_string().contains("auto"), "{wrong}: {error}");
        }
        assert_eq!(serde_json::to_string(&Spares::Auto).unwrap(), r#""auto""#);
        assert_eq!(serde_json::to_string(&Spares::Count(3)).unwrap(), "3");
    }
}
