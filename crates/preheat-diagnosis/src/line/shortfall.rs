//! Answers that were counted, and that not all of them were right.

use super::amount::amounts;
use super::list::List;

/// So close to a count stands what is counted.
const NEAR: usize = 24;

/// What is said of an answer that is as it should be.
const RIGHT: [&str; 13] = [
    "right",
    "ok",
    "pass",
    "match",
    "agree",
    "correct",
    "good",
    "expected",
    "identical",
    "same",
    "fine",
    "green",
    "succeeded",
];

/// And of one that is not.
const WRONG: [&str; 13] = [
    "wrong",
    "differ",
    "fail",
    "bad",
    "off",
    "mismatch",
    "missed",
    "broken",
    "red",
    "deviat",
    "disagree",
    "incorrect",
    "diverge",
];

static ARE_RIGHT: List = List::new(&[&RIGHT]);
static ARE_WRONG: List = List::new(&[&WRONG]);

/// Whether a line tells that an answer is not as it must be, and is no training's.
pub(crate) fn is_short(text: &str) -> bool {
    static OTHERS: List = List::new(&[&["epoch", "train", "test", "user ", "client"]]);
    (falls_short(text) || misses_its_bound(text)) && !OTHERS.is_in(text)
}

/// Whether a line tells so: `19/20 right`, `2 of 12 differ`.
fn falls_short(text: &str) -> bool {
    // Most blanks stand behind no digit.
    let bytes = text.as_bytes();
    let is_sign =
        |at: &usize| matches!(bytes[*at], b'/' | b' ') && *at > 0 && bytes[at - 1].is_ascii_digit();
    let shares = (0..bytes.len()).filter(is_sign).filter_map(|at| {
        let behind = match bytes[at] {
            b'/' => &text[at + 1..],
            _ => text[at..].strip_prefix(" of ")?,
        };
        let before = &text[..at];
        let from = before.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        let end = behind.len()
            - behind
                .trim_start_matches(|c: char| c.is_ascii_digit())
                .len();
        let part: u64 = before[from..].parse().ok()?;
        let all: u64 = behind[..end].parse().ok()?;
        let is_whole = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | ':'));
        let is_alone = before[..from].ends_with(is_whole) || from == 0;
        let rest = &behind[end..];
        let is_share =
            is_alone && all <= 1_000_000 && (rest.is_empty() || rest.starts_with(is_whole));
        is_share.then_some((part, all, &rest[..rest.floor_char_boundary(NEAR)]))
    });
    shares.into_iter().any(|(part, all, rest)| {
        let are_wrong = part > 0 && part <= all && ARE_WRONG.begins_in(rest);
        are_wrong || (part < all && ARE_RIGHT.begins_in(rest) && !ARE_WRONG.begins_in(rest))
    })
}

/// What a figure must be, at least, or at most.
static BOUNDS: List = List::new(&[
    &[
        "want ",
        "want=",
        "expected",
        "must be",
        "should be",
        "wanted",
    ],
    &[
        "need", "at least", "minimum", "min=", "floor", "bar is", "bar ",
    ],
    &[
        "at most",
        "allowed",
        "ceiling",
        "limit",
        "budget",
        "tolerance",
        "max=",
    ],
]);

static MORE_IS_BETTER: List = List::new(&[&[
    "accuracy",
    "cosine",
    "similar",
    "agree",
    "recall",
    "precision",
    "auc",
    "f1",
    "score",
    "match",
    "correct",
    "right",
    "throughput",
]]);

static LESS_IS_BETTER: List = List::new(&[&[
    "ms", "took", "latency", "p95", "p99", "diff", "err", "deviat", "delta", "distance", "wer",
]]);

/// Whether a figure on a line is not what it must be: `took 41 s, ceiling 10 s`, `cosine 0.91, need 0.99`.
fn misses_its_bound(text: &str) -> bool {
    BOUNDS.all(text).any(|bound| {
        let (before, behind) = (&text[..bound.start], &text[bound.end..]);
        let numbers = || first_number(behind).zip(last_number(before));
        durations(before, behind)
            .or_else(numbers)
            .is_some_and(|(wanted, told)| match bound.list {
                0 if MORE_IS_BETTER.is_in(text) => told < wanted,
                0 if LESS_IS_BETTER.is_in(text) => told > wanted,
                0 => (told - wanted).abs() > wanted.abs() * 0.02,
                1 => told < wanted,
                _ => told > wanted,
            })
    })
}

fn is_part(c: char) -> bool {
    c.is_ascii_digit() || c == '.'
}

/// The wanted one and the told one in milliseconds, where both are durations: their units may differ.
fn durations(before: &str, behind: &str) -> Option<(f64, f64)> {
    let told = amounts(before).pop()?;
    let wanted = *amounts(behind).first()?;
    let is_right_behind = behind.find(|c: char| c.is_ascii_alphanumeric()) == Some(wanted.start);
    let is_close = before.len() - told.end <= 2 * NEAR;
    (is_right_behind && is_close).then_some((wanted.ms, told.ms))
}

/// The one right behind a word, so that no other word stands between.
fn first_number(text: &str) -> Option<f64> {
    let from = text.find(|c: char| c.is_ascii_alphanumeric())?;
    let rest = &text[from..];
    let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
    rest[..end].trim_end_matches('.').parse().ok()
}

/// The last one that stands by itself.
fn last_number(text: &str) -> Option<f64> {
    let end = text.rfind(|c: char| c.is_ascii_digit())? + 1;
    let head = text[..end].trim_end_matches(is_part);
    let is_alone = !head.ends_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | ':'));
    let is_close = text.len() - end <= 2 * NEAR;
    text[head.len()..end]
        .parse()
        .ok()
        .filter(|_| is_alone && is_close)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_all_were_right() {
        for (line, is_short) in [
            ("19/20 right, need 20/20", true),
            ("known plates check: 2 of 12 differ, allowed 0", true),
            ("3/12 wrong", true),
            ("20/20 right", false),
            ("0 of 12 differ", false),
            ("step 3/4 exercise", false),
            ("12/2026 right", true),
            ("on 2/3/26 good", false),
            ("layers 9/24 in place", false),
            ("é/é of of 9", false),
        ] {
            assert_eq!(falls_short(line), is_short, "{line}");
        }
    }

    #[test]
    fn a_figure_is_not_what_it_must_be() {
        for (line, misses) in [
            ("question 1 took 41 s, ceiling 10 s", true),
            ("question 1 took 4 s, ceiling 10 s", false),
            ("question 1 took 812 ms, ceiling 10 s", false),
            ("question 1 took 41 s, ceiling 900 ms", true),
            ("worst cosine 0.91, need 0.99", true),
            ("worst cosine 0.995, need 0.99", false),
            ("embedding has norm 0.00, want 1.00 + 0.01", true),
            ("embedding has norm 1.00, want 1.00 + 0.01", false),
            ("0 samples of audio, expected at least 8000", true),
            ("p95=811 allowed=200", true),
            ("accuracy 0.97, must be 0.95", false),
            ("accuracy 0.7, must be 0.95", true),
            ("expected", false),
            ("é9 want é9", false),
        ] {
            assert_eq!(misses_its_bound(line), misses, "{line}");
        }
    }
}
