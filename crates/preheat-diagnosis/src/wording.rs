//! What the words of a line say about the work it names, and who writes it.

use super::timeline::Telling;

/// Words for work that is over, and for work that begins.
const ENDS: [&str; 16] = [
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
    "in memory",
    "finish",
    "load weight end",
    " ready",
];
const BEGINS: [&str; 16] = [
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
    "begin",
    "opening",
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

/// The number that a process writes in front of its lines: `[7]`, `pid=7`, `"pid": 7`, `worker 7`,
/// `W-9000`, `worker[7]`.
pub(super) fn process(text: &str) -> Option<u64> {
    const BEFORE: [&str; 7] = ["[", "pid=", "pid: ", "pid:", "pid\": ", "worker ", "] w "];
    let places = BEFORE.iter().flat_map(|open| text.match_indices(open));
    places.into_iter().find_map(|(at, open)| {
        let rest = &text[at + open.len()..];
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        // `[00:03<00:02` is a progress bar's clock.
        let is_closed = open != "[" || rest[end..].starts_with(']');
        rest[..end].parse().ok().filter(|_| is_closed)
    })
}

/// Whether a line is one of several that share one model between their devices, so that each loads a
/// part of it: `TP1`, `rank=2`.
pub(super) fn is_shard(text: &str) -> bool {
    let numbered = |open: &str| {
        text.match_indices(open)
            .any(|(at, _)| text[at + open.len()..].starts_with(|c: char| c.is_ascii_digit()))
    };
    ["tp", "pp", "ep", "rank=", "rank ", "rank", "shard "]
        .into_iter()
        .any(numbered)
}

/// `File "app.py", line 7, in load`: what a function is called does not tell what happens.
pub(super) fn is_frame(text: &str) -> bool {
    text.split_once("file \"").is_some_and(|(before, rest)| {
        rest.contains("\", line ") && !before.contains("traceback") && !before.contains("fail")
    })
}

/// Whether the last line of a traceback stands here, rather than a line of code.
pub(super) fn is_raised(text: &str) -> bool {
    ["error:", "exception:", "error ", "exception ", "exit:"]
        .iter()
        .any(|word| text.contains(word))
}

/// What a setting on the line makes of the warm-up: `skip_warmup=True`, `warmup: false`,
/// `--no-model-warmup`.
pub(super) fn skips_warmup(text: &str) -> bool {
    text.match_indices("warmup").any(|(at, word)| {
        let before = &text[..at];
        let name = before
            .rsplit(['=', ',', '(', '{', ';', ':', '"', '\'', '[', '|'])
            .next();
        let name = name.unwrap_or_default();
        let after = text[at + word.len()..].trim_start_matches(['"', '\'', ' ']);
        let value = after.strip_prefix(['=', ':']).map(|value| {
            let value = value.trim_start_matches(['"', '\'', ' ']);
            let end = value.find(|c: char| !c.is_ascii_alphanumeric());
            &value[..end.unwrap_or(value.len())]
        });
        let is_negated = ["skip", "disable", "no"].iter().any(|word| {
            name.split(' ')
                .rev()
                .take(3)
                .any(|part| part.trim_start_matches('-') == *word)
        });
        match (is_negated, value) {
            (true, Some(value)) => matches!(value, "true" | "1" | "yes" | "on"),
            (false, Some(value)) => matches!(value, "false" | "off" | "disabled" | "skip" | "none"),
            _ => false,
        }
    })
}

/// Whether threads are told that do not outnumber the processors told beside them.
pub(super) fn fits(text: &str, numbers: &[(usize, u64)]) -> bool {
    let near = |words: &[&str]| {
        let at = words.iter().find_map(|word| text.find(word))?;
        numbers.iter().min_by_key(|(place, _)| place.abs_diff(at))
    };
    let pair = near(&["thread"]).zip(near(&["cpu", "core"]));
    pair.is_some_and(|(threads, processors)| threads.0 != processors.0 && threads.1 <= processors.1)
}

pub(super) fn without_numbers(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_ascii_digit())
        .take(160)
        .collect()
}
