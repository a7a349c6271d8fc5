//! Whether nobody is there who could serve: replicas, by whatever name, of which a line counts none.

use super::list::{List, begins};

/// What serves, as platforms call it.
pub(crate) const REPLICAS: [&str; 23] = [
    "copies",
    "poller",
    "replica",
    "pod",
    "machine",
    "instance",
    "container",
    "worker",
    "consumer",
    "backend",
    "endpoint",
    "server",
    "box",
    "runner",
    "sandbox",
    "upstream",
    "target",
    "vm",
    "process",
    "member",
    "executor",
    "actor",
    "capacity",
];

/// What one that could serve is said to be.
const STATES: [&str; 12] = [
    "ready",
    "healthy",
    "active",
    "live",
    "running",
    "warm",
    "free",
    "available",
    "existing",
    "idle",
    "alive",
    "serving",
];

/// Words of none.
const NONE: [&str; 6] = [
    "no",
    "without",
    "without a",
    "without any",
    "not one",
    "not a",
];

/// The same of several.
const COUNTED: [&str; 2] = ["0", "zero"];

/// Some are there already, or these are only spare ones.
const OTHER: [&str; 6] = ["other", "more", "further", "longer", "another", "backup"];

/// One comes where there was none.
pub(crate) const FIRST: [&str; 16] = [
    "nobody was there",
    "0 > 1",
    "0 => 1",
    "0 \u{2192} 1",
    "from 0",
    "0 to 1",
    "from zero",
    "at zero",
    "nothing is up",
    "nothing was up",
    "nothing up",
    "nothing is running",
    "nothing was running",
    "nothing running",
    "nobody home",
    "nobody is there",
];

/// Whether a normalised line says that there is no replica.
pub(super) fn lacks_replicas(text: &str) -> bool {
    static NAMES: List = List::new(&[&REPLICAS]);
    static GROWS: List = List::new(&[&FIRST]);
    // Not the ten of `10 > 1`, nor the eleven of `0 > 11`.
    let is_first = || {
        GROWS.all(text).any(|found| {
            begins(text, found.start)
                && !text[found.end..]
                    .trim_start_matches('.')
                    .starts_with(|c: char| c.is_ascii_digit())
        })
    };
    let is_none = |from: usize, to: usize| {
        let (before, behind) = (&text[..from], &text[to..]);
        let plural = behind.strip_prefix("es").or(behind.strip_prefix('s'));
        let plural = plural.or_else(|| text[..to].ends_with("ies").then_some(behind));
        // `worker 0`, `0 worker`, `server: 0 requests`: of one, a number is a name, or another's.
        let is_counted =
            |behind: &str| is_told_before(before, &COUNTED) || is_counted_behind(behind);
        begins(text, from) && (is_told_before(before, &NONE) || plural.is_some_and(is_counted))
    };
    let mut names = NAMES.all(text);
    names.any(|found| is_none(found.start, found.end)) || is_first()
}

/// `no healthy `, `0 `, `no specialized `
fn is_told_before(before: &str, words: &[&str]) -> bool {
    let before = before.trim_end();
    let is_none = |before: &str| {
        words.iter().any(|none| {
            let rest = before.strip_suffix(none);
            rest.is_some_and(|rest| {
                !rest.ends_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':'))
            })
        })
    };
    // One word may tell what is missing of them.
    let (rest, kind) = before.rsplit_once(' ').unwrap_or(("", before));
    let is_kind = kind.len() > 3 && kind.bytes().all(|b| b.is_ascii_lowercase());
    is_none(before) || (is_kind && !OTHER.contains(&kind) && is_none(rest.trim_end()))
}

/// `=0`, `: 0`, ` 0)`, ` 0/0`, ` ready: 0`
fn is_counted_behind(behind: &str) -> bool {
    const SIGNS: [char; 5] = ['"', '=', ':', ' ', '('];
    let mut count = behind.trim_start_matches(SIGNS);
    for state in STATES {
        count = count.strip_prefix(state).unwrap_or(count);
    }
    let count = count.trim_start_matches(SIGNS);
    behind.starts_with(SIGNS)
        && count.strip_prefix('0').is_some_and(|rest| {
            !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '%'))
        })
}

#[cfg(test)]
mod tests {
    use super::super::text::normal;
    use super::*;

    #[test]
    fn nobody_is_there_in_many_words() {
        for text in [
            "no ready endpoints for tagger",
            "containers: 0",
            "request parked (replicas 0)",
            "pool has no consumers",
            "Zero replicas of asr were running",
            "no machine up",
            "tagger 0 -> 1",
            "count 0 => 1",
            "replicas=0",
            "{\"replicas_ready\": 0}",
            "without any live backend",
            "no specialized pod for function=embed",
            "app currently at zero",
        ] {
            assert!(lacks_replicas(&normal(text)), "{text}");
        }
        for text in [
            "10 replicas",
            "replicas: 10",
            "replicas=0.5",
            "worker 0: started",
            "container-0 started",
            "node -> 1",
            "v1.0 worker",
            "10 -> 1",
            "3 of 3 pods ready",
            "a server that says no",
            "no more workers are needed",
            "server: 0 requests pending",
            "rank 0 process 12 got request 7",
            "worker=0 request=7",
            "1 active and 0 backup servers online. 0 total in queue.",
        ] {
            assert!(!lacks_replicas(&normal(text)), "{text}");
        }
    }
}
