//! What the words of a line say about the work it names, and who writes it.

use super::text::digits;

/// What a line says of the work that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Telling {
    Beginning,
    End,
    Neither,
}

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
pub(crate) fn telling(text: &str) -> Telling {
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    // "not in memory, reading it" is no end.
    let is_meant = |at: usize| {
        !["not", "not yet"]
            .iter()
            .any(|no| text[..at].trim_end().ends_with(no))
    };
    let ends = ENDS
        .iter()
        .any(|word| text.match_indices(word).any(|(at, _)| is_meant(at)));
    match (text.ends_with("...") || has(&BEGINS), ends) {
        (_, true) if !text.ends_with("...") => Telling::End,
        (true, _) => Telling::Beginning,
        (false, _) => Telling::Neither,
    }
}

/// Whether somebody reports an error: by its level, or by what it is called.
pub(crate) fn tells_an_error(text: &str) -> bool {
    const WORDS: [&str; 14] = [
        "error",
        "exception",
        "failed",
        "failure",
        "fatal",
        "critical",
        "panic",
        "[e]",
        "[e:",
        "err=",
        "err:",
        "abort",
        "terminate called",
        ": e ",
    ];
    WORDS.iter().any(|word| text.contains(word)) || is_graded_by_glog(text)
}

/// `e1120 10:00:31`: an error's level before month and day.
fn is_graded_by_glog(text: &str) -> bool {
    let graded = text.strip_prefix('e').unwrap_or_default();
    let digits = graded.bytes().take_while(u8::is_ascii_digit).count();
    digits == 4 && graded[4..].starts_with(' ') || text.starts_with("e ")
}

/// Whether readiness is all that a line tells: `INFO ready`, `ready level=info`.
pub(crate) fn says_ready(text: &str) -> bool {
    let is_level = |word: &&str| {
        let word = word.trim_matches(|c: char| !c.is_ascii_alphabetic());
        matches!(
            word,
            "" | "info" | "notice" | "debug" | "startup" | "server" | "main" | "app"
        )
    };
    let mut words = text.split_whitespace().skip_while(is_level);
    let first = words.next().map(|word| word.trim_end_matches(['.', '!']));
    let is_all = first == Some("ready") && words.all(|word| word.contains('='));
    is_all || ends_ready(text)
}

/// `server::http: Ready`, `http/server.rs:1853: Ready`: behind a place in code stands nothing else.
fn ends_ready(text: &str) -> bool {
    let before = text.trim_end_matches(['.', '!']).strip_suffix(": ready");
    let place = before.and_then(|before| before.rsplit(' ').next());
    place.is_some_and(|place| {
        let is_line = place.contains('.') && place.ends_with(|c: char| c.is_ascii_digit());
        place.contains("::") || is_line
    })
}

/// Whether a shell says that what it ran was killed: `Killed`, `run.sh: line 3: 7 Killed python app.py`.
pub(crate) fn says_killed(text: &str) -> bool {
    let is_shells = text.contains(": line ") && text.contains(" killed ");
    text == "killed" || is_shells
}

/// Whether a line is the progress bar of bytes that come in, and not all at once:
/// ` 41%|####      | 2.05G/4.97G [01:40<02:24, 20.2MB/s]`.
pub(crate) fn fetches(text: &str) -> bool {
    const OTHERS: [&str; 8] = [
        "upload", "extract", "data", "train", "test", ".csv", ".parquet", ".whl",
    ];
    text.ends_with("b/s]")
        && text.contains("%|")
        && !text.contains("[00:00<")
        && !OTHERS.iter().any(|other| text.contains(other))
}

/// Whether a line explains how a program is called: `usage: …`, `--skip-warmup      do not warm up`.
pub(crate) fn is_help(text: &str) -> bool {
    let is_option = text.starts_with('-')
        && text[1..].starts_with(|c: char| c == '-' || c.is_ascii_alphabetic());
    let is_usage = text
        .get(..6)
        .is_some_and(|start| start.eq_ignore_ascii_case("usage:"));
    is_usage || (is_option && text.contains("   "))
}

/// The number that a process writes in front of its lines: `[7]`, `pid=7`, `"pid": 7`, `worker 7`,
/// `W-9000`, `worker[7]`.
pub(crate) fn process(text: &str) -> Option<u64> {
    const BEFORE: [&str; 7] = ["[", "pid=", "pid: ", "pid:", "pid\": ", "worker ", "] w "];
    let places = BEFORE.iter().flat_map(|open| text.match_indices(open));
    let told = places.into_iter().find_map(|(at, open)| {
        let (number, rest) = digits(&text[at + open.len()..]);
        // `[00:03<00:02` is a progress bar's clock.
        let is_closed = open != "[" || rest.starts_with(']');
        number.parse().ok().filter(|_| is_closed)
    });
    told.or_else(|| instance(text))
}

/// `[entry:service:2]`: one of several that a server runs of one kind.
fn instance(text: &str) -> Option<u64> {
    text.split('[').skip(1).find_map(|rest| {
        let (name, _) = rest.split_once(']')?;
        let (kind, number) = name.rsplit_once(':')?;
        let is_kind = kind.contains(':') && kind.split(' ').count() <= 2;
        number.parse().ok().filter(|_| is_kind)
    })
}

/// Whether a line is one of several that share one model between their devices, so that each loads a
/// part of it: `TP1`, `rank=2`.
pub(crate) fn is_shard(text: &str) -> bool {
    let numbered = |open: &str| {
        text.match_indices(open)
            .any(|(at, _)| text[at + open.len()..].starts_with(|c: char| c.is_ascii_digit()))
    };
    ["tp", "pp", "ep", "rank=", "rank ", "rank", "shard "]
        .into_iter()
        .any(numbered)
}

/// `File "app.py", line 7, in load`: what a function is called does not tell what happens.
pub(crate) fn is_frame(text: &str) -> bool {
    // Hardly any line holds this, and to tell that is cheaper than to look for the place of a word.
    if !text.contains("\", line ") {
        return false;
    }
    text.split_once("file \"").is_some_and(|(before, rest)| {
        rest.contains("\", line ") && !before.contains("traceback") && !before.contains("fail")
    })
}

/// Whether the last line of a traceback stands here, rather than a line of code.
pub(crate) fn is_raised(text: &str) -> bool {
    ["error:", "exception:", "error ", "exception ", "exit:"]
        .iter()
        .any(|word| text.contains(word))
}

/// Words in front of what is named that make it a thing of the past, of others or of advice.
const DENYING: [&str; 15] = [
    "fixed:",
    "fixes:",
    "fix:",
    "* fixed ",
    "- fixed ",
    "* fix ",
    "- fix ",
    "how to ",
    "to avoid ",
    "to prevent ",
    "avoids ",
    "prevents ",
    "no longer ",
    "instead of ",
    "in case of ",
];

/// So far in front of what is named, and into it.
const DENIED_WITHIN: usize = 48;

/// Whether what a line names at a place did not happen: it is counted and the count is zero
/// (`failed=0`), or the words before it are those of release notes and advice.
pub(crate) fn is_denied(text: &str, at: usize, end: usize) -> bool {
    let from = text.floor_char_boundary(at.saturating_sub(DENIED_WITHIN));
    let to = text.floor_char_boundary(at + DENIED_WITHIN);
    let before = text[from..at].rsplit(". ").next().unwrap_or_default();
    let within = &text[at..to];
    let count = text[end..].trim_start_matches(['"', ' ', '=', ':']);
    // A blank alone may part the columns of a table.
    let has_value = text[end..text.len() - count.len()].contains(['=', ':']);
    let is_none = count.strip_prefix('0').is_some_and(|rest| {
        !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '/' | ':'))
    });
    DENYING.iter().any(|word| before.contains(word))
        || within.contains(" no longer ")
        || (has_value && is_none)
}

/// What a setting on the line makes of the warm-up: `skip_warmup=True`, `warmup: false`,
/// `--no-model-warmup`.
pub(crate) fn skips_warmup(text: &str) -> bool {
    const WORD: &str = "warmup";
    let is_off = |(at, _)| is_set_off(&text[..at], &text[at + WORD.len()..]);
    text.contains(WORD) && text.match_indices(WORD).any(is_off)
}

/// Whether a name is negated and its value affirms it, or the other way round.
fn is_set_off(before: &str, after: &str) -> bool {
    let name = before
        .rsplit(['=', ',', '(', '{', ';', ':', '"', '\'', '[', '|'])
        .next();
    let name = name.unwrap_or_default();
    let after = after.trim_start_matches(['"', '\'', ' ']);
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
        (false, Some("0")) => ["run ", "enable ", "do ", "use ", "with "]
            .iter()
            .any(|verb| name.ends_with(verb)),
        (false, Some(value)) => matches!(value, "false" | "off" | "disabled" | "skip" | "none"),
        _ => false,
    }
}

/// Whether threads are told that do not outnumber the processors told beside them.
pub(crate) fn fits(text: &str, numbers: &[(usize, u64)]) -> bool {
    let near = |words: &[&str]| {
        let at = words.iter().find_map(|word| text.find(word))?;
        numbers.iter().min_by_key(|(place, _)| place.abs_diff(at))
    };
    let pair = near(&["thread"]).zip(near(&["cpu", "core"]));
    pair.is_some_and(|(threads, processors)| threads.0 != processors.0 && threads.1 <= processors.1)
}

pub(crate) fn without_numbers(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_ascii_digit())
        .take(160)
        .collect()
}
