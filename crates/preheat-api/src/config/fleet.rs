//! `[fleet]`: how many replicas of a service there are, and what waits for them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

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
    /// Where sockets and files of replicas are kept; empty: a folder of its own that goes with the
    /// gateway.
    pub dir: String,
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
            dir: String::new(),
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
