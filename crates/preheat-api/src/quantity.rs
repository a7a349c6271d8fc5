//! Durations and sizes as people write them: `"2ms"`, `"1m 30s"`, `"2MB"`, `"4GiB"`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Times are added to clocks, which end somewhere.
const LONGEST: Duration = Duration::from_hours(100 * 366 * 24);

/// A length of time with its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

impl Span {
    #[must_use]
    pub const fn millis(ms: u64) -> Self {
        Span(Duration::from_millis(ms))
    }

    #[must_use]
    pub const fn secs(secs: u64) -> Self {
        Span(Duration::from_secs(secs))
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &dyn fmt::Display| {
            format!("{text:?} is not a duration such as \"500ms\" or \"30s\": {why}")
        };
        match humantime::parse_duration(text) {
            Ok(span) if span > LONGEST => Err(wrong(&"it is longer than a hundred years")),
            Ok(span) => Ok(Span(span)),
            Err(error) => Err(wrong(&error)),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

/// A number of bytes with its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse::<bytesize::ByteSize>()
            .map(|size| Size(size.as_u64()))
            .map_err(|e| format!("{text:?} is not a size such as \"2MB\" or \"4GiB\": {e}"))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whole decimal units read back as the same number; anything else stays in bytes.
        for (unit, name) in [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")] {
            if self.0 >= unit && self.0.is_multiple_of(unit) {
                return write!(f, "{}{name}", self.0 / unit);
            }
        }
        write!(f, "{}B", self.0)
    }
}

/// A byte limit: a size, or what the machine or its container allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SizeLimit {
    Auto,
    Bytes(Size),
}

impl FromStr for SizeLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            Ok(SizeLimit::Auto)
        } else {
            text.parse().map(SizeLimit::Bytes)
        }
    }
}

impl fmt::Display for SizeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SizeLimit::Auto => f.write_str("auto"),
            SizeLimit::Bytes(size) => size.fmt(f),
        }
    }
}

macro_rules! as_text {
    ($type:ident, $example:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "examples": [$example] })
            }
        }
    };
}

as_text!(Span, "30s");
as_text!(Size, "2MB");
as_text!(SizeLimit, "auto");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for text in ["2ms", "1m 30s", "10s"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        for (text, bytes, shown) in [
            ("2MB", 2_000_000, "2MB"),
            ("1KiB", 1024, "1024B"),
            ("5", 5, "5B"),
        ] {
            let size: Size = text.parse().unwrap();
            assert_eq!((size.0, size.to_string().as_str()), (bytes, shown));
        }
        assert_eq!("auto".parse(), Ok(SizeLimit::Auto));
    }

    #[test]
    fn nonsense_says_what_was_expected() {
        assert!("10".parse::<Span>().unwrap_err().contains("\"30s\""));
        assert!("100years".parse::<Span>().is_ok());
        let beyond = "300000000000years".parse::<Span>().unwrap_err();
        assert!(beyond.contains("hundred years"), "{beyond}");
        assert!("many".parse::<Size>().unwrap_err().contains("\"2MB\""));
    }
}
