//! Recorded requests, one JSON object a line: what `preheat record` writes, and what warm-up plans and
//! `preheat plan` read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How a stream of lines is called.
pub const CONTENT_TYPE: &str = "application/x-ndjson";

/// One request as it was sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    pub path: String,
    pub body: Value,
}

impl Recorded {
    /// The line of a request whose body is JSON.
    #[must_use]
    pub fn line(path: &str, body: &[u8]) -> Option<String> {
        let recorded = Recorded {
            path: path.to_owned(),
            body: serde_json::from_slice(body).ok()?,
        };
        serde_json::to_string(&recorded)
            .ok()
            .map(|line| line + "\n")
    }

    /// A line of a recording: as it was written, or a body alone.
    ///
    /// # Errors
    /// When it is no JSON.
    pub fn read(line: &str) -> Result<(Option<String>, Value), serde_json::Error> {
        let value: Value = serde_json::from_str(line)?;
        // A list of two would pass for the fields in their order.
        let written = value
            .is_object()
            .then(|| serde_json::from_value(value.clone()));
        Ok(match written {
            Some(Ok(Recorded { path, body })) => (Some(path), body),
            _ => (None, value),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_read_and_bodies_alone_too() {
        let line = Recorded::line("/embed", br#"["a"]"#).unwrap();
        assert_eq!(
            Recorded::read(&line).unwrap(),
            (Some("/embed".into()), json!(["a"]))
        );
        for body in [json!(["a"]), json!(["a", "b"]), json!({ "inputs": "a" })] {
            assert_eq!(Recorded::read(&body.to_string()).unwrap(), (None, body));
        }
        assert_eq!(Recorded::line("/embed", b"\xff"), None);
        assert!(Recorded::read("{").is_err());
    }
}
