//! A sentence that holds the first requests against later ones: `first call took 14 s, then 90 ms`.

use super::steady::{EVERYWHERE, HELD};
use crate::line::amount::Amount;
use crate::line::list::List;

/// Whose time is told.
const ASKED: [&str; 49] = [
    "request",
    "call",
    "answer",
    "quer",
    "question",
    "predict",
    "inference",
    "infer ",
    "user",
    "client",
    "customer",
    "caller",
    "response",
    "respond",
    "hit",
    "curl",
    "prompt",
    "message",
    "job",
    "image",
    "utterance",
    "document",
    "transcri",
    "translat",
    "embed",
    "completion",
    "post /",
    "latency",
    "invocation",
    "visitor",
    "search",
    "req",
    "captions",
    "sentences",
    "pages",
    "frames",
    "clips",
    "photos",
    "pictures",
    "summaries",
    "detections",
    "generations",
    "same sentence",
    "person",
    "same text",
    "same input",
    "same picture",
    " ask ",
    " asks ",
];

/// What makes a figure that of somebody who came first.
const FIRST: [&str; 10] = [
    "first",
    "1st",
    "initial",
    "cold",
    "request 1",
    "call 1",
    "req 1",
    "#1",
    "opening",
    "unlucky",
];

/// Who came behind a figure that is told of the first.
const NEXT: [&str; 9] = [
    "next call",
    "next one",
    "next two",
    "next three",
    "next few",
    "next request",
    "following call",
    "following request",
    "next quer",
];

/// What makes it that of somebody who came when a server had just begun.
const FRESH: [&str; 46] = [
    "after deploy",
    "after restart",
    "after rollout",
    "after a deploy",
    "after a restart",
    "after every deploy",
    "after each deploy",
    "after every restart",
    "after scale",
    "after scaling",
    "after boot",
    "after start",
    "after wake",
    "right after",
    "straight after",
    "just after",
    "fresh",
    "newly started",
    "new pod",
    "new replica",
    "after rollouts",
    "since start",
    "since boot",
    "since restart",
    "just started",
    "just deployed",
    "just rolled out",
    "newly deployed",
    "first minute",
    "after upgrade",
    "after release",
    "since deploy",
    "since rollout",
    "new task",
    "new instance",
    "new deployment",
    "after pod start",
    "after container start",
    "after they deploy",
    "after we deploy",
    "pod turned",
    "pod became",
    "moment pod",
    "new container",
    " s old",
    "seconds old",
];

/// Numbers by which one of several is called.
const NUMBERED: [&str; 8] = [
    "request 1",
    "request 2",
    "call 1",
    "call 2",
    "calls 2",
    "req 1",
    "#1",
    "#2",
];

/// Words of a sentence about something else.
const OTHERS: [&str; 36] = [
    "warm up",
    "warmup",
    "warming",
    "warmed",
    "prewarm",
    "dry run",
    "self test",
    "smoke",
    "rehears",
    "priming",
    "practice",
    "first token",
    "first byte",
    "ttft",
    "ttfb",
    "per token",
    "train",
    "epoch",
    "step ",
    "timeout",
    "timed out",
    "deadline",
    "retry",
    "retried",
    "retries",
    "first try",
    "first attempt",
    "backoff",
    "p95",
    "p99",
    "p90",
    "95th",
    "99th",
    "should",
    "would",
    "target",
];

/// Programs whose first answers are slow for reasons of their own.
const PROGRAMS: [&str; 19] = [
    "postgres",
    "mysql",
    "redis",
    "mongo",
    "elastic",
    "kafka",
    "ldap",
    "logs in",
    "log in",
    "login",
    "sso",
    "pull of",
    "pulled",
    "pulling",
    "backup",
    "dns",
    "tls handshake",
    "disk",
    "cache warm",
];

static IS_ASKED: List = List::new(&[&ASKED]);
static IS_FIRST: List = List::new(&[&FIRST, &FRESH]);
static IS_FRESH: List = List::new(&[&FRESH]);
static IS_LATER: List = List::new(&[&EVERYWHERE, &HELD]);
static IS_OTHER: List = List::new(&[&OTHERS]);
static IS_OF_PROGRAM: List = List::new(&[&PROGRAMS]);
static IS_START: List = List::new(&[&STARTS]);

/// Whether a line says that a server has just begun.
pub(crate) fn says_fresh(text: &str) -> bool {
    IS_FRESH.begins_in(text)
}

/// What the first requests took, and what later ones take.
pub(crate) struct Compared {
    pub(crate) first_ms: Option<f64>,
    pub(crate) later_ms: Option<f64>,
}

/// None if a line is no such sentence, nor one half of it.
pub(crate) fn compared(text: &str, amounts: &[Amount]) -> Option<Compared> {
    let is_told = || IS_FIRST.is_in(text) || IS_LATER.is_in(text);
    let is_sentence = (1..=6).contains(&amounts.len()) && is_told() && IS_ASKED.is_in(text);
    // What was said before is another matter.
    let until = amounts.first().map_or(0, |amount| amount.start);
    let from = text[..until].rfind(". ").unwrap_or(0);
    if !is_sentence || IS_OTHER.is_in(&text[from..]) || IS_OF_PROGRAM.begins_in(text) {
        return None;
    }
    if let Some((first, later)) = fallen(text, amounts) {
        return Some(Compared {
            first_ms: Some(first),
            later_ms: Some(later),
        });
    }
    let (mut first_ms, mut later_ms) = (None, None);
    for (index, amount) in amounts.iter().enumerate() {
        match kind(text, amounts, index) {
            Some(Kind::First) => first_ms = first_ms.or(Some(amount.ms)),
            Some(Kind::Later) => later_ms = Some(amount.ms),
            None => {}
        }
    }
    // `took 74 s, the next three calls 0.6 s`
    if first_ms.is_none() && later_ms.is_some() {
        let next = NEXT.iter().find_map(|word| text.find(word));
        let before = next.and_then(|at| amounts.first().filter(|amount| amount.end <= at));
        first_ms = before.map(|amount| amount.ms);
    }
    let is_both = first_ms.is_some() && later_ms.is_some();
    // Half a sentence may be one about anything, unless both halves follow each other closely.
    let is_one = amounts.len() == 1 || is_row(text, amounts);
    let is_half = (first_ms.is_some() || later_ms.is_some()) && is_one;
    let is_told = is_both || (is_half && !NUMBERED.iter().any(|word| text.contains(word)));
    is_told.then_some(Compared { first_ms, later_ms })
}

/// `3.9 s, 4.1 s and 4.0 s. SLO is 300 ms`: figures of one thing, and perhaps what is wished for.
fn is_row(text: &str, amounts: &[Amount]) -> bool {
    amounts.windows(2).all(|pair| {
        let between = text[pair[0].end..pair[1].start].trim();
        matches!(between, "," | "and" | "/" | "or" | ", and" | "to" | "..")
            || ["slo", "sla", "objective", "goal"]
                .iter()
                .any(|wish| between.contains(wish))
    })
}

/// `cold requests: 5.1 s -> 60 ms`.
fn fallen(text: &str, amounts: &[Amount]) -> Option<(f64, f64)> {
    const ARROWS: [&str; 4] = ["->", "→", "=>", ">"];
    if amounts.len() < 2 || !IS_FIRST.is_in(text) {
        return None;
    }
    // `5.4 s, then four times 0.2 s`
    if let [first, later] = amounts
        && text[first.end..later.start]
            .trim_start_matches([',', ' '])
            .starts_with("then ")
        && first.ms >= 2.0 * later.ms
        && !IS_START.is_in(&text[..first.start])
    {
        return Some((first.ms, later.ms));
    }
    let pairs = amounts.windows(2);
    let mut arrows = pairs.filter(|pair| {
        let between = text[pair[0].end..pair[1].start].trim();
        ARROWS.contains(&between)
    });
    let first = arrows.next()?;
    let last = arrows.next_back().unwrap_or(first);
    (first[0].ms >= 2.0 * last[1].ms).then_some((first[0].ms, last[1].ms))
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    First,
    Later,
}

/// What the words in front of a figure make of it, or those behind it if there are none: the nearest
/// one counts.
fn kind(text: &str, amounts: &[Amount], index: usize) -> Option<Kind> {
    let begin = index.checked_sub(1).map_or(0, |before| amounts[before].end);
    let before = &text[begin..amounts[index].start];
    let before = before.rsplit(". ").next().unwrap_or(before);
    if is_span(before) || text[amounts[index].end..].starts_with(" ago") {
        return None;
    }
    let end = amounts.get(index + 1).map_or(text.len(), |next| next.start);
    let behind = &text[amounts[index].end..end];
    let clause = &behind[..behind.find([',', ';', ')', '.']).unwrap_or(behind.len())];
    let has = |words: &List| words.is_in(before) || words.is_in(clause);
    // `38 ms for every one after it`: words before may belong to the figure in front.
    let leads = clause.trim_start().starts_with("for ");
    if let Some(Kind::Later) = said_behind(clause).filter(|_| leads) {
        return Some(Kind::Later);
    }
    let kind = match (IS_FIRST.last(before), IS_LATER.last(before)) {
        (Some(first), Some(later)) if later > first => Some(Kind::Later),
        (Some(_), _) => Some(Kind::First),
        (None, Some(_)) => Some(Kind::Later),
        (None, None) => said_behind(clause),
    };
    // The time of a start is no request's.
    let is_first = has(&IS_ASKED) && !has(&IS_START);
    kind.filter(|kind| *kind != Kind::First || is_first)
}

/// What else may take its time before a request does.
const STARTS: [&str; 14] = [
    "ready in",
    "ready after",
    "up after",
    "up in",
    "came up",
    "started in",
    "started after",
    "start took",
    "startup",
    "boot took",
    "pulled",
    "scheduled",
    "rollout took",
    "restart took",
];

fn said_behind(clause: &str) -> Option<Kind> {
    if IS_FIRST.is_in(clause) {
        return Some(Kind::First);
    }
    IS_LATER.is_in(clause).then_some(Kind::Later)
}

/// `for 10 minutes`, `within 5 s`: no request takes that.
fn is_span(before: &str) -> bool {
    const SPANS: [&str; 12] = [
        "for", "over", "within", "window", "last", "during", "uptime", "past", "every", "up",
        "age", "until",
    ];
    let before = before.trim_end();
    SPANS.iter().any(|word| {
        before
            .strip_suffix(word)
            .is_some_and(|rest| !rest.ends_with(|c: char| c.is_ascii_alphanumeric()))
    })
}
