//! Values as people type them.

use std::time::Duration;

use clap::builder::{RangedU64ValueParser, TypedValueParser};

pub(super) fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if share > 0.0 && share <= 1.0 => Ok(share),
        _ => Err("a number above 0, up to 1, is expected".into()),
    }
}

pub(super) fn ratio(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(ratio) if ratio.is_finite() && ratio >= 1.0 => Ok(ratio),
        _ => Err("a number from 1 on is expected".into()),
    }
}

pub(super) fn from_1_to(most: u64) -> impl TypedValueParser<Value = usize> {
    // The range fits a usize wherever this runs.
    RangedU64ValueParser::<usize>::new().range(1..=most)
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    text.parse::<preheat_api::quantity::Span>()
        .map(|span| span.0)
}
