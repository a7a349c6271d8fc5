//! Words that make a figure that of steady requests: some wherever they stand, some only between two
//! figures, some only in a sentence about whoever came first.

/// Wherever they stand.
pub(super) const EVERYWHERE: [&str; 15] = [
    "steady",
    "against",
    " vs",
    "versus",
    "baseline",
    "normal",
    "back to",
    "settle",
    "usual",
    "compared",
    "down to",
    "later",
    "thereafter",
    "2nd",
    "afterwards",
];

/// Between two figures.
pub(super) const BETWEEN: [&str; 7] = [
    "from",
    "following",
    " then",
    " next",
    "second:",
    "since then",
    "warm",
];

/// Where a sentence holds later requests against the first one.
pub(super) const HELD: [&str; 62] = [
    "onward",
    "every one after",
    "everyone behind",
    "everybody behind",
    "behind it",
    "again",
    "behind them",
    "everything after",
    "back at",
    "back under",
    "back below",
    "after them",
    "everybody else",
    "everyone else",
    "everybody after",
    "everyone after",
    "ever since",
    "from then",
    "drops to",
    "dropped to",
    "falls to",
    "fell to",
    "follow",
    "then",
    "next",
    "second",
    "third",
    "3rd",
    "after that",
    "after which",
    "since",
    "subsequent",
    "rest",
    "other",
    "remaining",
    "warm ",
    "warm:",
    "warm=",
    "hot",
    "instead of",
    "rather than",
    "typical",
    "median",
    "p50",
    "requests 2",
    "request 2",
    "call 2",
    "calls 2",
    "#2",
    "from 2",
    "ones",
    "now",
    "every one",
    "each one",
    "everything",
    "all others",
    "stays",
    "stay ",
    "remain",
    "constant",
    "once",
    "by request",
];

/// Whether words between two figures make the second the steady one.
pub(super) fn is_steady(between: &str) -> bool {
    let mut words = EVERYWHERE.iter().chain(&BETWEEN);
    words.any(|word| between.contains(word))
}
