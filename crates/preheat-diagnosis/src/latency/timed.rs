//! Which lines tell what one request took, whoever writes them and however: the figure, and what
//! such lines have in common.

mod shape;
mod words;

use crate::exchange::{Arrow, arrow};
use crate::line::amount::Amount;
use crate::line::list::List;

pub(super) use shape::shape;
use words::{ASKED, MAKING, OTHERS, TELLING, WHOLE};

/// Shorter waits are no start's.
const LONG_WAIT_MS: f64 = 500.0;

/// How surely a line tells what a request took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sure {
    /// Something is done again and again, and nobody says who asks for it.
    Likely,
    /// A request is named.
    Asked,
    /// Somebody measures requests one by one, to hold them against each other.
    Measured,
}

/// What one request took, and what lines like it have in common.
pub(crate) struct Timed {
    pub(crate) shape: String,
    pub(crate) ms: f64,
    pub(crate) sure: Sure,
    /// It is called the total of what lines before it tell.
    pub(crate) is_total: bool,
}

/// Where somebody remarks on what was printed: `[req 1] 41.8 s   <- compiling`.
const REMARKS: [&str; 5] = [" < ", " <= ", " # ", " // ", " \u{2190} "];

/// Without a remark behind the first figure, where the rest tells of a request.
fn without_remark<'a>(text: &'a str, amounts: &[Amount]) -> &'a str {
    let Some(from) = amounts.first().map(|amount| amount.end) else {
        return text;
    };
    let mut remarks = REMARKS.iter();
    let at = remarks.find_map(|sign| text[from..].find(sign));
    let said = at.map_or(text, |at| &text[..from + at]);
    match sure(said) {
        Sure::Likely => text,
        _ => said,
    }
}

/// None if a line tells nothing that a request may have taken.
pub(crate) fn timed(text: &str, amounts: &[Amount]) -> Option<Timed> {
    if arrow(text) == Some(Arrow::Out) {
        return None;
    }
    let text = without_remark(text, amounts);
    let within = amounts.partition_point(|amount| amount.end <= text.len());
    let amounts = &amounts[..within];
    if amounts.is_empty() {
        return None;
    }
    let took = whole(text, amounts)?;
    let is_apart = amounts.len() > 1 && WHOLE.iter().any(|name| is_called(text, took, name));
    if is_of_others(text) && !(is_apart && is_only_made(text)) {
        return None;
    }
    if went_elsewhere(text, amounts, took.ms) {
        return None;
    }
    let sure = sure(text);
    let around = [&text[..took.start], &text[took.end..]];
    let mut shapes = around.into_iter().map(shape);
    let shape = shapes.find(|shape| !shape.is_empty());
    // A row of nothing but numbers and a status.
    let shape = shape.or_else(|| (sure > Sure::Likely).then(|| "-".to_owned()))?;
    Some(Timed {
        shape,
        ms: took.ms,
        sure,
        is_total: is_called(text, took, "total"),
    })
}

/// Whether a line is about something else than requests that are served.
pub(crate) fn is_of_others(text: &str) -> bool {
    static LIST: List = List::new(&[&OTHERS, &MAKING]);
    LIST.begins_in(text) || comes_again(text)
}

/// Whether nothing makes a line one of others but a part that is compiled: `wall_ms=9120 compile_ms=8990`.
fn is_only_made(text: &str) -> bool {
    static LIST: List = List::new(&[&OTHERS]);
    !LIST.begins_in(text) && !comes_again(text)
}

/// `every 5 s`, `every night`, but not `every request`.
fn comes_again(text: &str) -> bool {
    const ASKED: [&str; 13] = [
        "request", "call", "caption", "one", "query", "answer", "page", "user", "prompt", "image",
        "message", "sentence", "other",
    ];
    text.split_once("every ").is_some_and(|(_, rest)| {
        let mut asked = ASKED.iter();
        !asked.any(|word| rest.starts_with(word))
    })
}

/// Whether a line may tell what a request took.
pub(crate) fn may_be_timed(text: &str) -> bool {
    static LIST: List = List::new(&[&TELLING]);
    LIST.begins_in(text)
}

/// Whether a line may bear a duration: a digit with the unit behind it, or a field of that name.
pub(crate) fn may_bear_a_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_unit = |at: usize| {
        let at = at + usize::from(bytes.get(at) == Some(&b' '));
        let rest = bytes.get(at..).unwrap_or_default();
        let length = rest
            .iter()
            .take_while(|byte| byte.is_ascii_alphabetic())
            .count();
        let unit = rest.get(..length).unwrap_or_default();
        length > 0 && (unit.starts_with(b"s") || unit.starts_with(b"m") || unit == b"us")
    };
    let is_field = |at: usize| at > 0 && bytes[at - 1] == b's';
    bytes.iter().enumerate().any(|(at, byte)| match byte {
        b'=' | b':' | b'"' => is_field(at),
        byte if byte.is_ascii_digit() => {
            !bytes.get(at + 1).is_some_and(u8::is_ascii_digit) && is_unit(at + 1)
        }
        _ => false,
    })
}

/// How sure it is that a line tells of a request.
pub(crate) fn sure(text: &str) -> Sure {
    static LIST: List = List::new(&[&ASKED]);
    const MEASURED: [&str; 6] = [
        "real 0m",
        "real 1m",
        "time total",
        "seq=1",
        "seq=2",
        "\"spans\"",
    ];
    static CLIENTS: List = List::new(&[&MEASURED]);
    if CLIENTS.is_in(text) {
        return Sure::Measured;
    }
    match LIST.begins_in(text) || is_answer(text) {
        true => Sure::Asked,
        false => Sure::Likely,
    }
}

/// The figure that is the whole time: the one that is called so, else the first behind the answer's
/// status, else the only one.
pub(crate) fn whole<'a>(text: &str, amounts: &'a [Amount]) -> Option<&'a Amount> {
    let is_of_request = |amount: &&Amount| !SPANS.iter().any(|span| is_called(text, amount, span));
    let told: Vec<&Amount> = amounts.iter().filter(is_of_request).collect();
    let behind_status = || {
        let at = status_at(text)?;
        let mut told = told.iter();
        told.find(|amount| amount.start > at).copied()
    };
    let only = || told.first().copied().filter(|_| told.len() <= 2);
    total(text, amounts).or_else(behind_status).or_else(only)
}

/// What a line of several times calls the whole one.
pub(crate) fn total<'a>(text: &str, amounts: &'a [Amount]) -> Option<&'a Amount> {
    let of = |name: &&str| amounts.iter().find(|took| is_called(text, took, name));
    WHOLE.iter().find_map(of)
}

/// How much was asked for, where a line counts it: `612 tokens`, `chars=80`. The most counts.
pub(crate) fn size(text: &str) -> Option<u64> {
    const COUNTED: [&str; 34] = [
        "len",
        "length",
        "seqlen",
        "rows",
        "items",
        "docs",
        "texts",
        "pixels",
        "px",
        "mb",
        "audio",
        "video",
        "clip",
        "minutes",
        "tokens",
        "token",
        "tok",
        "chars",
        "characters",
        "pages",
        "words",
        "frames",
        "steps",
        "documents",
        "pairs",
        "sentences",
        "images",
        "records",
        "chunks",
        "lines",
        "segments",
        "inputs",
        "messages",
        "photos",
    ];
    let number = |word: &str| {
        let word = word.trim_matches(|c: char| !c.is_ascii_digit());
        word.parse::<u64>().ok()
    };
    let is_field = |word: &str| {
        let mut places = text.match_indices(word);
        places.any(|(at, _)| text[at + word.len()..].starts_with(['=', ':']))
    };
    let words: Vec<&str> = text.split([' ', '=', ':', '(', ')', ',']).collect();
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    let counts = words.iter().enumerate().filter_map(|(at, word)| {
        let is_counted = COUNTED.contains(&word.trim_end_matches(['.', ';', '"', '}']));
        // `tok 3841` may be the time of a tokenizer.
        let is_short = words[at] == "tok";
        let beside = || {
            let before = || at.checked_sub(1).and_then(|at| number(words[at]));
            let behind = || number(words.get(at + 1)?);
            // `latency=31ms tokens=48`: the name of a field stands before its value.
            match is_field(word) {
                true => behind().or_else(before),
                false if is_short => before(),
                false => before().or_else(behind),
            }
        };
        is_counted.then(beside).flatten()
    });
    counts.max().filter(|count| *count > 0)
}

/// Whether most of what a request took went into something that no model does, as its line tells:
/// `6110 ms (retrieve 6050 ms, embed 41 ms)`.
pub(crate) fn went_elsewhere(text: &str, amounts: &[Amount], took_ms: f64) -> bool {
    const ELSEWHERE: [&str; 21] = [
        "retrieve",
        "retrieval",
        "auth",
        "queue",
        "lookup",
        "search",
        "vector",
        "redis",
        "network",
        "upload",
        "s3",
        "lock",
        "wait",
        "dns",
        "connect",
        "tls",
        "postgres",
        "sql",
        "database",
        "fetch",
        "cache miss",
    ];
    static LIST: List = List::new(&[&ELSEWHERE]);
    let mut from = 0;
    amounts.len() > 1
        && amounts.iter().any(|amount| {
            let before = &text[from.min(amount.start)..amount.start];
            from = amount.end;
            amount.ms >= took_ms / 2.0 && LIST.begins_in(before)
        })
}

/// Whether a line tells what several parts take together.
pub(crate) fn is_total(text: &str, amounts: &[Amount]) -> bool {
    amounts.len() > 1
        && amounts
            .iter()
            .any(|amount| is_called(text, amount, "total"))
}

/// How long a request was kept before anybody served it; 0 if a line tells nothing of that.
pub(crate) fn waited_ms(text: &str, amounts: &[Amount], was_refused: bool) -> f64 {
    const KEPT: [&str; 14] = [
        "held",
        "hold",
        "parked",
        "waited",
        "waited for",
        "waiting",
        "wait",
        "buffered",
        "queued",
        "queued for",
        "pending",
        "pending for",
        "held for",
        "after",
    ];
    static LIST: List = List::new(&[&BY]);
    const BY: [&str; 24] = [
        "job",
        "task",
        "message",
        "msg ",
        "ticket",
        "user",
        "customer",
        "call",
        "query",
        "item",
        "guest",
        "visitor",
        "request",
        "req",
        "forward",
        "upstream",
        "proxy",
        "activator",
        "answered",
        "released",
        "delivered",
        "caller",
        "client",
        "invocation",
    ];
    let is_long = amounts.iter().any(|amount| amount.ms >= LONG_WAIT_MS);
    if !is_long || !LIST.begins_in(text) {
        return 0.0;
    }
    const ANSWERED: [&str; 5] = ["answer", "answered", "reply", "replied", "response"];
    let is_answered = was_refused && ANSWERED.iter().any(|word| has_word(text, word));
    let is_kept = |amount: &&Amount| {
        let mut words = KEPT.iter();
        words.any(|word| {
            let is_sure = is_answered
                || *word != "after"
                || KEPT[..8].iter().any(|kept| has_word(text, kept));
            is_sure && is_called(text, amount, word)
        })
    };
    let kept = amounts.iter().filter(is_kept).map(|amount| amount.ms);
    kept.fold(0.0, f64::max)
}

/// What is no time of a request: how long something has been there, or may take.
const SPANS: [&str; 12] = [
    "uptime",
    "age",
    "ttl",
    "timeout",
    "deadline",
    "limit",
    "interval",
    "window",
    "since",
    "idle",
    "init duration",
    "keepalive",
];

/// `total=3.6s`, `took_ms=12`, `request time: 1.2`.
fn is_called(text: &str, amount: &Amount, name: &str) -> bool {
    let sign = |c: char| !c.is_alphanumeric();
    let before = text[..amount.start].trim_end_matches(sign);
    let mut units = UNITS.iter();
    let unit = units.find_map(|unit| before.strip_suffix(unit));
    let before = unit.unwrap_or(before).trim_end_matches(sign);
    before.strip_suffix(name).is_some_and(ends_a_word)
}

/// Units that stand behind the name of a figure: `took_ms=12`.
const UNITS: [&str; 6] = [" ms", " s", " secs", " seconds", " us", " sec"];

fn ends_a_word(before: &str) -> bool {
    !before.ends_with(|c: char| c.is_ascii_alphanumeric())
}

/// Whether an answer of a server stands here.
fn is_answer(text: &str) -> bool {
    static ASKS: List = List::new(&[&[" post ", " get ", "post /", "get /", "path=/", "http/"]]);
    status_at(text).is_some() || ASKS.is_in(text)
}

/// Where a good status stands by itself.
fn status_at(text: &str) -> Option<usize> {
    const GOOD: [&str; 4] = ["200", "201", "202", "ok"];
    let is_edge = |c: Option<char>| c.is_none_or(|c| !c.is_ascii_alphanumeric() && c != '.');
    GOOD.iter()
        .flat_map(|status| text.match_indices(status))
        .find(|(at, status)| {
            let behind = &text[at + status.len()..];
            let is_time = ["ms", "s "]
                .iter()
                .any(|unit| behind.trim_start().starts_with(unit));
            is_edge(text[..*at].chars().next_back()) && is_edge(behind.chars().next()) && !is_time
        })
        .map(|(at, _)| at)
}

/// Whether a word begins with this.
fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word)
        .any(|(at, _)| ends_a_word(&text[..at]))
}
