//! Requests that are told in no server's own format: what was asked for, by which name, and how it was
//! answered, wherever on the line that stands.

mod for_one;
mod words;

use super::access::{is_probe, status};
use super::latency::total;
use super::line::Parsed;
use super::line::amount::Amount;
use super::line::list::{List, begins};
use super::line::shapes::tells_shape;
use super::rules::Mark;

pub(super) use for_one::{is_for_one, is_traced};
pub(super) use words::ANSWERED;
use words::{ANSWERS, CALLED, FOLDERS, NAME_WORDS, OTHER_WORDS};

/// What a line tells of one request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Exchange {
    /// It came in, and is not answered yet.
    Begins,
    /// It was answered, and took so long.
    Ends(Option<f64>),
}

/// Whether a line may tell of a request, whatever the figures on it.
pub(super) fn may_tell(text: &str) -> bool {
    // Most lines have none of it, and to tell that is cheaper than to look for a path or a name.
    let has_digits = || text.bytes().any(|byte| byte.is_ascii_digit());
    let is_asked = || {
        is_named(text) || is_served(text) || is_bare(text) || is_sized(text) || is_numbered(text)
    };
    let is_told = || {
        ANSWERS.is_in(text) || says_ok(text) || is_served(text) || goes(text) || has_latency(text)
    };
    has_digits()
        && (asked_path(text).is_some()
            || arrow(text).is_some()
            || (is_asked() && (is_told() || status(text).is_some() || comes(text))))
        && !OTHER_WORDS.is_in(text)
}

/// What a line tells of a request, if it tells of one.
pub(super) fn exchange(text: &str, amounts: &[Amount]) -> Option<Exchange> {
    let status = status(text);
    let is_ok = status.is_some_and(|status| (200..300).contains(&status)) || says_ok(text);
    if arrow(text) == Some(Arrow::Out) {
        return Some(Exchange::Begins);
    }
    let is_back = || arrow(text) == Some(Arrow::Back);
    let is_answered = || is_back() || ANSWERS.stands_in(text) || goes(text) || has_latency(text);
    match total(text, amounts).or(amounts.last()) {
        Some(took) if is_ok || is_answered() || is_served(text) => {
            Some(Exchange::Ends(Some(took.ms)))
        }
        None if is_ok => Some(Exchange::Ends(None)),
        _ if status.is_none()
            && asked_path(text).is_some()
            && (is_named(text) || is_inbound(text)) =>
        {
            Some(Exchange::Begins)
        }
        None if comes(text) => Some(Exchange::Begins),
        _ => None,
    }
}

/// Where a job goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrow {
    Out,
    Back,
}

/// `0.29s → 2efe:embed('a')`, `6.12s ← 2efe:embed ● 384`: a queue tells how long a job had waited when it
/// began, and what it took.
pub(super) fn arrow(text: &str) -> Option<Arrow> {
    let mut words = text.trim_start_matches([':', ' ']).split(' ');
    let took = words.next()?.strip_suffix('s')?;
    took.parse::<f64>().ok()?;
    match words.next()? {
        "→" => Some(Arrow::Out),
        "←" => Some(Arrow::Back),
        _ => None,
    }
}

/// `< 200 5.3 s`, `81af 200 12.3 s`: hardly more than a status and a time.
fn is_bare(text: &str) -> bool {
    text.ends_with(['s', ')'])
        && (text.contains(" 200 ") || text.contains(" 200,"))
        && (2..=5).contains(&text.split_whitespace().count())
        && status(text) == Some(200)
}

/// `> /blur`, `--> POST /caption`: an arrow that leads in.
fn is_inbound(text: &str) -> bool {
    let said = text.trim_start_matches(['[', ']', ' ']);
    (said.starts_with("> ") && is_named(said))
        || said.starts_with("> /")
        || said.starts_with(">> /")
        || text.contains(" > /")
}

/// `req 1 out 5.4 s`: an answer goes out, and nothing runs out.
fn goes(text: &str) -> bool {
    let Some((before, behind)) = text.split_once(" out") else {
        return false;
    };
    let behind = behind.trim_start_matches([',', ':', ' ']);
    let is_over = behind.is_empty() || behind.starts_with(|c: char| c.is_ascii_digit());
    is_over
        && is_named(before)
        && !["time", "timed", "run", "ran", "runs"]
            .iter()
            .any(|word| before.ends_with(word))
}

/// `request a1 in`, `req 7 begin`: hardly more than a name and that it came.
fn comes(text: &str) -> bool {
    const CAME: [&str; 10] = [
        "in", "begin", "begins", "start", "started", "enter", "entered", "received", "arrived",
        "came",
    ];
    // Fields that follow are the request's.
    let said = text.split('=').next().unwrap_or_default();
    let mut words = said.split_whitespace();
    if said.len() < text.len() {
        words.next_back();
    }
    let last = words.next_back().unwrap_or_default();
    let has_come = CAME.contains(&last.trim_end_matches(['.', ',']));
    static REQUESTS: List = List::new(&[&[
        "req",
        "request",
        "call",
        "caller",
        "rid",
        "rpc",
        "ask",
        "predict",
        "letter",
        "mail",
        "message",
        "msg",
        "ticket",
        "question",
        "utterance",
    ]]);
    let is_short = (1..=5).contains(&words.count());
    has_come && is_short && ((REQUESTS.stands_in(text) && is_named(text)) || is_numbered(text))
}

/// `cloth 1 arrived`: whatever is called by a number, and is no part of a server.
fn is_numbered(text: &str) -> bool {
    const PARTS: [&str; 16] = [
        "worker", "replica", "node", "shard", "pod", "gpu", "rank", "thread", "process", "step",
        "stage", "phase", "batch", "part", "chunk", "signal",
    ];
    let mut words = text.rsplit(' ');
    let has_come = words
        .next()
        .is_some_and(|last| matches!(last, "arrived" | "came"));
    let number = words.next().unwrap_or_default();
    let noun = words.next().unwrap_or_default();
    has_come
        && !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_digit())
        && !noun.is_empty()
        && noun.bytes().all(|byte| byte.is_ascii_alphabetic())
        && !PARTS.contains(&noun)
}

/// `size=224 batch=1 http=200 0.021s`: a client writes down what it asked with, and what came of it.
fn is_sized(text: &str) -> bool {
    ["http=200", "status=200", "code=200"]
        .iter()
        .any(|status| text.contains(status))
        && tells_shape(text)
}

/// `id=9f01 tokens=97 latency_ms=211`: only an answer has a latency.
fn has_latency(text: &str) -> bool {
    [
        "latency ms=",
        "latency s=",
        "latency=",
        "latency: ",
        "latency ms: ",
        "ttft=",
    ]
    .iter()
    .any(|field| text.contains(field))
        && !text.contains("warm")
}

/// `prompt (1, 512) served in 0.2 s`: whatever is asked for, and that its answer went out.
fn is_served(text: &str) -> bool {
    const ASKED: [&str; 19] = [
        "job",
        "prompt",
        "query",
        "document",
        "utterance",
        "sentence",
        "image",
        "frame",
        "page",
        "clip",
        "text",
        "question",
        "caption",
        "transcript",
        "search",
        "caller",
        "user",
        "rpc",
        "message",
    ];
    const SERVED: [&str; 9] = [
        "job ok (",
        "successfully completed",
        "served in",
        "served after",
        "answered",
        "replied",
        "responded",
        "sent back",
        "answer sent",
    ];
    static IS_SERVED: List = List::new(&[&SERVED]);
    static IS_ASKED: List = List::new(&[&ASKED]);
    IS_SERVED.is_in(text) && IS_ASKED.is_in(text)
}

/// What a line tells of one request, where it is no line of an access log.
pub(super) fn exchanged(line: &Parsed<'_>) -> Option<Exchange> {
    let may_tell = line.has(Mark::Exchange)
        && !line.names_a_cause()
        && ![Mark::Warm, Mark::AtStart, Mark::Percentile]
            .into_iter()
            .any(|mark| line.has(mark));
    may_tell.then(|| exchange(line.text, &line.amounts))?
}

/// `code=ok`, `-> ok`, `end ok`: the status of those who have no numbers for it.
fn says_ok(text: &str) -> bool {
    ["code=ok", "status=ok", "> ok", " ok ", "grpc ok"]
        .iter()
        .any(|ok| text.contains(ok))
}

/// Whether a request is called by a name or a number.
pub(super) fn is_named(text: &str) -> bool {
    let is_name = |rest: &str| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric());
        let name = &rest[..end.unwrap_or(rest.len())];
        name.len() <= 36 && name.bytes().any(|b| b.is_ascii_digit())
    };
    // `id=r-1`, as a blank stands for a dash too.
    let is_parted = |rest: &str| {
        let (name, number) = rest.split_once(' ').unwrap_or_default();
        (1..=4).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphabetic())
            && number
                .split(' ')
                .next()
                .is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit()))
            && !["s", "ms", "sec", "seconds", "of"]
                .contains(&number.split(' ').nth(1).unwrap_or_default())
    };
    let named = NAME_WORDS.all(text).any(|found| {
        begins(text, found.start) && {
            let rest = &text[found.end..];
            is_name(rest) || (text[..found.end].ends_with('=') && is_parted(rest))
        }
    });
    named || is_bracketed(text)
}

/// Whether somebody's request is named, and not one of those who work: `ask 7: …`, `worker #7`.
pub(super) fn names_a_request(text: &str) -> bool {
    static WORKERS: List = List::new(&[&[
        "worker", "rank", "replica", "shard", "process", "thread", "pid",
    ]]);
    is_named(text) && !WORKERS.is_in(text)
}

/// `[a0]`, `[q 81]`: letters and digits in brackets, and no worker's or thread's name.
fn is_bracketed(text: &str) -> bool {
    const WORKERS: [&str; 16] = [
        "rank", "w", "worker", "gpu", "cuda", "pool", "thread", "pid", "tp", "pp", "nio", "main",
        "replica", "api", "forkpool", "dp",
    ];
    text.split('[').skip(1).take(4).any(|rest| {
        let Some((name, _)) = rest.split_once(']') else {
            return false;
        };
        let name = name.trim_end();
        let letters = name.bytes().take_while(u8::is_ascii_alphabetic).count();
        let is_plain = name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b' ' | b'#'));
        is_plain
            && name.len() <= 12
            && (1..=4).contains(&letters)
            && name.bytes().any(|b| b.is_ascii_digit())
            && !WORKERS.contains(&&name[..letters])
    })
}

/// What is asked for, where it looks like no file: `/rerank`, `/emb.embed/run`.
pub(super) fn asked_path(text: &str) -> Option<&str> {
    if !text.contains('/') {
        return None;
    }
    let (mut before, mut from) = ("", 0);
    for word in text.split([' ', '"', '\'', '=', '(', ',']) {
        let previous = std::mem::replace(&mut before, word);
        from += word.len() + 1;
        // A place in code that a field is named behind: `/source=routes.go:1332`.
        if text[..from.min(text.len())].ends_with('=') {
            continue;
        }
        let is_of_files = matches!(
            previous,
            "from" | "in" | "into" | "under" | "reading" | "loading"
        );
        let Some(path) = word.strip_prefix('/').filter(|_| !is_of_files) else {
            continue;
        };
        let path = path.trim_end_matches([':', ';', ')', ']', '.']);
        if is_probe(word) {
            continue;
        }
        let mut parts = path.split('/');
        let first = parts.next().unwrap_or_default();
        let last = parts.next_back().unwrap_or(first);
        let is_word = first.starts_with(|c: char| c.is_ascii_alphabetic());
        let is_file = FOLDERS.contains(&first) || last.contains('.') || path.ends_with('/');
        if is_word && !is_file {
            return Some(word);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::amount::amounts;
    use crate::line::text::normal;

    fn told(text: &str) -> Option<Exchange> {
        let text = normal(text);
        may_tell(&text).then(|| exchange(&text, &amounts(&text)))?
    }

    #[test]
    fn requests_are_told_in_many_forms() {
        for line in [
            "api  [q-81] 200 9980ms",
            "192.168.20.4 /predict/ocr 200 6.04s",
            "/tag id=1 200 9886 ms",
            "[a0] sent 200 after 201.2 s",
            "#1 answered, 6.9s",
            "rpc Translate end id=1 133.43s",
            "/asr.Asr/Transcribe end OK 18.8s",
            "size=224 batch=1 http=200  0.021s",
            "request a1 out, 134 s",
            "access: id=9f01 tokens=97 bucket=128 latency_ms=211",
            "[q-7] bucket=256 latency=263ms",
            "req-1 finished in 15.2 s",
            "  6.12s ← 2efef08b346d4fa5:embed ● 384",
            "14248 rq.worker: Successfully completed jobs.embed(['a', 'b']) job in 0:00:00.039084s on worker w",
            "size=224 batch=1 http=200  0.021s",
        ] {
            let is_end = matches!(told(line), Some(Exchange::Ends(Some(_))));
            assert!(is_end, "{line}: {:?}", told(line));
        }
        for line in [
            "#1 /mood batch=1x17",
            "[q-81] /rerank 12 docs",
            "req 1 /embed",
            "[srv] request a1 in",
            "> /blur id 1",
            "request begin id=r-1 level=INFO",
            "  0.29s → 2efef08b346d4fa5:embed('a')",
        ] {
            assert_eq!(told(line), Some(Exchange::Begins), "{line}");
        }
    }

    #[test]
    fn other_lines_tell_of_none() {
        for line in [
            "[w1] loaded in 3 s",
            "reading /models/ner.bin done in 3 s",
            "warm-up request 1 done in 3 s",
            "call 3 ran out of memory after 3 s",
            "worker 1 in",
            "weights from /scratch/e5, done in 4 s",
            "shard 1 of 2 read in 3 s",
            "GET /health 200 1 ms",
            "[rank0] graphs captured in 3 s",
            "build #7 finished in 3 s",
            "config fetched status=200 0.3 s",
        ] {
            assert_eq!(told(line), None, "{line}");
        }
    }
}
