//! What a manifest's author remarks of how long a start takes: as good as a measured one, where
//! nothing else is known.

use crate::line::{amount, text};

/// Words of a start.
const STARTING: [&str; 15] = [
    "to read",
    "model takes",
    "model alone takes",
    "until it answers",
    "start",
    "cold",
    "load",
    "warm",
    "ready",
    "until",
    "up after",
    "boot",
    "reading",
    "captur",
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
        let (_, remark) = line.split_once('#').or_else(|| annotation(line))?;
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

/// `example.org/measured-start: "p95 210s"`: a note of somebody who measured, as key and value.
fn annotation(line: &str) -> Option<(&str, &str)> {
    const MEASURED: [&str; 8] = [
        "measured",
        "observed",
        "typical",
        "cold-start",
        "cold_start",
        "coldStart",
        "start-time",
        "load-time",
    ];
    // Of a unit.
    if let Some(described) = line.trim_start().strip_prefix("Description=") {
        return Some(("", described));
    }
    let (key, value) = line.split_once(':')?;
    let is_note = value.contains(['"', '\'']) || key.contains('/');
    let is_measured = MEASURED.iter().any(|word| key.contains(word));
    (is_note && is_measured).then(|| ("", line.trim()))
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
            ("  a.io/measured-start: \"p95 210s (n=12)\"", Some(210.0)),
            ("  a.io/startup-timeout: \"210s\"", None),
            ("# keep-alive 75 s, ready or not", None),
            ("# wait 30 s before a stop", None),
            ("periodSeconds: 30", None),
        ] {
            assert_eq!(start_s(remark), seconds, "{remark}");
        }
    }
}
