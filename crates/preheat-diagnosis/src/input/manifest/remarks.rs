//! What a manifest's author remarks of how long a start takes: as good as a measured one, where
//! nothing else is known.

use crate::line::{amount, text};

/// Words of a start.
const STARTING: [&str; 11] = [
    "start", "cold", "load", "warm", "ready", "until", "up after", "boot", "reading", "captur",
    "come up",
];

/// Words of times that are none.
const OTHERS: [&str; 14] = [
    "timeout",
    "time out",
    "grace",
    "interval",
    "period",
    "every",
    "retry",
    "keep",
    "drain",
    "stop",
    "shut",
    "sleep",
    "termination",
    "scrape",
];

/// The longest start that a comment tells, in seconds.
pub(in crate::input) fn start_s(document: &str) -> Option<f64> {
    let told = document.lines().filter_map(|line| {
        let (_, remark) = line.split_once('#')?;
        let remark = text::normal(remark);
        let has = |words: &[&str]| words.iter().any(|word| remark.contains(word));
        let is_start = has(&STARTING) && !has(&OTHERS);
        let longest = amount::amounts(&remark)
            .iter()
            .map(|a| a.ms)
            .reduce(f64::max);
        longest.filter(|_| is_start)
    });
    told.reduce(f64::max).map(|ms| ms / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remark_tells_how_long_a_start_takes() {
        for (remark, seconds) in [
            (
                "# reading 70 GB and capturing graphs takes about 7 minutes here",
                Some(420.0),
            ),
            (
                "path: /m  # cold start measured: 95-110s until it answers",
                Some(110.0),
            ),
            ("# ready after 40 s\n# with warm-up 1m30s", Some(90.0)),
            ("# keep-alive 75 s, ready or not", None),
            ("# wait 30 s before a stop", None),
            ("periodSeconds: 30", None),
        ] {
            assert_eq!(start_s(remark), seconds, "{remark}");
        }
    }
}
