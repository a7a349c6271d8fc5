//! What the words of a line say about the work it names, and who writes it.

use super::timeline::Telling;

/// Words for work that is over, and for work that begins.
const ENDS: [&str; 12] = [
    "loaded",
    "done",
    "finished",
    "complete",
    "initialized",
    "initialised",
    "created",
    "compiled",
    "built",
    "captured",
    "took",
    "downloaded",
];
const BEGINS: [&str; 14] = [
    "loading",
    "initializing",
    "initialising",
    "creating",
    "compiling",
    "building",
    "downloading",
    "fetching",
    "starting",
    "capturing",
    "load ",
    "tuning",
    "reading",
    "moving",
];

/// Whether a line tells that something begins, or that it is over.
pub(super) fn telling(text: &str) -> Telling {
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    match (text.ends_with("...") || has(&BEGINS), has(&ENDS)) {
        (_, true) if !text.ends_with("...") => Telling::End,
        (true, _) => Telling::Beginning,
        (false, _) => Telling::Neither,
    }
}

/// Whether readiness is all that a line tells: `INFO ready`, `ready level=info`.
pub(super) fn says_ready(text: &str) -> bool {
    let is_level = |word: &&str| {
        let word = word.trim_matches(|c: char| !c.is_ascii_alphabetic());
        matches!(
            word,
            "" | "info" | "notice" | "debug" | "startup" | "server" | "main" | "app"
        )
    };
    let mut words = text.split_whitespace().skip_while(is_level);
    let first = words.next().map(|word| word.trim_end_matches(['.', '!']));
    first == Some("ready") && words.all(|word| word.contains('='))
}

/// The number that a process writes in front of its lines: `[7]`, `pid=7`, `"pid": 7`, `worker 7`.
pub(super) fn process(text: &str) -> Option<u64> {
    const BEFORE: [&str; 6] = ["[", "pid=", "pid: ", "pid:", "pid\": ", "worker "];
    let places = BEFORE.iter().flat_map(|open| text.match_indices(open));
    places.into_iter().find_map(|(at, open)| {
        let rest = &text[at + open.len()..];
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        // `[00:03<00:02` is a progress bar's clock.
        let is_closed = open != "[" || rest[end..].starts_with(']');
        rest[..end].parse().ok().filter(|_| is_closed)
    })
}

pub(super) fn without_numbers(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_ascii_digit())
        .take(160)
        .collect()
}
