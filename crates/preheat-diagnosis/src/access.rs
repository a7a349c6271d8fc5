//! Lines about requests: those of access logs, and others that tell of one.

mod path;

use path::{FIELDS, is_operators, names_readiness, path};
pub(super) use path::{asks_for_state, is_probe};

use super::breakdown::taken_apart;
use super::cause::Cause;
use super::latency::{is_total, sure, went_elsewhere, whole};
use super::line::Parsed;
use super::line::wording::without_numbers;
use super::parts::lazily;
use super::rules::Mark;
use super::timeline::{LONG_MS, Stream};
use super::{Diagnosis, Evidence};

/// Paths of probes that are told apart.
const PROBED: usize = 8;

impl Diagnosis {
    /// A line of an access log: a request, a probe that was answered, what it took.
    pub(super) fn access(&mut self, stream: &mut Stream, line: &Parsed<'_>) {
        if self.latency.expects_a_row() {
            self.latency.row(line.text, &line.evidence);
        }
        self.answered_for_state(stream, line);
        if line.has(Mark::Refused) {
            self.refusals.refused(line.text, &line.evidence);
            let _ = stream.refuses();
            return;
        }
        let Some(path) = path(line.text) else { return };
        let status = status(line.text);
        let is_answered = status.is_some_and(|status| (200..300).contains(&status));
        if is_answered {
            stream.is_open();
        }
        if is_probe(path) {
            if status == Some(200) && line.has(Mark::Ready) {
                self.passes(stream, &line.evidence, line.at);
            } else {
                self.probed(stream, path, status, &line.evidence, line.at);
            }
            return;
        }
        if line.has(Mark::TurnedAway) {
            self.turned_away(stream);
            return;
        }
        self.failed_with_its_load(stream, line, path, status);
        match status {
            // Whoever asks for a load waits for it: it is not this request's.
            Some(400 | 424 | 425 | 500 | 502 | 504)
                if stream.loading.is_some() || stream.is_not_loaded() =>
            {
                self.refused_meanwhile(stream);
            }
            Some(503) => {
                self.refused_meanwhile(stream);
            }
            // No model was asked.
            Some(401 | 403 | 404 | 405) => {}
            _ => {
                self.lengths(line, true);
                self.served(stream, line, path, status);
            }
        }
    }

    /// Somebody who watches asks for a path, and is answered. A path that does not say so claims readiness
    /// if it is what a readiness probe asks, as a manifest may tell further below.
    pub(super) fn probed(
        &mut self,
        stream: &mut Stream,
        path: &str,
        status: Option<u16>,
        evidence: &Evidence,
        at: Option<f64>,
    ) {
        let is_its_health = stream.has_ready_health && path == "/health";
        let is_of_readiness = names_readiness(path) || is_its_health;
        match status {
            Some(200) if is_of_readiness => self.passes(stream, evidence, at),
            Some(200) => {
                let is_known = self.probed.iter().any(|(known, _)| known == path);
                if self.probed.len() < PROBED && !is_known {
                    self.probed.push((path.to_owned(), evidence.clone()));
                }
            }
            // Who has no key, or finds no such route, learns nothing of it.
            Some(401 | 403..=405) => {}
            Some(400..) if is_of_readiness => {
                stream.is_not_ready();
                if status == Some(503) {
                    self.shut(stream, evidence);
                }
            }
            _ => {}
        }
    }

    fn passes(&mut self, stream: &mut Stream, evidence: &Evidence, at: Option<f64>) {
        self.claims_ready(stream, evidence);
        let _ = stream.complete(at);
    }

    fn refused_meanwhile(&mut self, stream: &mut Stream) {
        if let Some(ready) = stream.refuses() {
            self.loads_beside = true;
            self.see(Cause::ReadyTooEarly, 0.7, ready, None, None);
        }
    }

    /// The first request's own line tells what most of its time went into.
    pub(super) fn first_apart(&mut self, stream: &Stream, line: &Parsed<'_>) {
        if stream.has_answered() || self.is_waited_for {
            return;
        }
        let told = taken_apart(line.text, &line.amounts);
        if let Some((part, ms)) = told
            && let Some(cause) = lazily(part)
        {
            self.see(cause, 0.8, line.evidence.clone(), Some(ms), None);
        }
    }

    /// A request waited for a load, and both failed.
    fn failed_with_its_load(
        &mut self,
        stream: &mut Stream,
        line: &Parsed<'_>,
        path: &str,
        status: Option<u16>,
    ) {
        let is_long = line.amounts.iter().any(|took| took.ms >= LONG_MS);
        let has_failed = status == Some(500) && is_long && !is_operators(path);
        let failure = stream.failures.asked_by(line.evidence.line);
        if let Some(failure) = failure.filter(|_| has_failed) {
            self.see(Cause::LazyModel, 0.75, failure, None, None);
        }
    }

    fn served(&mut self, stream: &mut Stream, line: &Parsed<'_>, path: &str, status: Option<u16>) {
        let told = whole(line.text, &line.amounts).or(line.amounts.last());
        let told = told.map(|took| took.ms);
        let took = told
            .or_else(|| trailing_ms(line.text))
            .or_else(|| behind_status_ms(line.text))
            .or_else(|| proxied_ms(line.text))
            .or_else(|| sized_ms(line.text))
            .or_else(|| balanced_ms(line.text));
        if is_operators(path) {
            stream.operated(line.at, told);
            return;
        }
        self.primed.asked(line);
        self.first_apart(stream, line);
        self.is_waited_for |= stream.came_early(line.at, took);
        let is_answered = status.is_none_or(|status| (200..300).contains(&status));
        if is_answered {
            stream.failures.serves_on();
        }
        match is_answered && (status.is_some() || took.is_some()) {
            true => stream.answers(line.at, took),
            false => stream.request(line.at, took),
        }
        let is_explained = DELAYED.iter().any(|word| line.text.contains(word))
            || took.is_some_and(|took| went_elsewhere(line.text, &line.amounts, took));
        let kind = without_numbers(path);
        match took {
            Some(took) if is_answered && !is_explained => {
                let sure = sure(line.text);
                self.latency.request(&kind, took, &line.evidence, sure);
            }
            Some(_) => {}
            None => self.latency.asked(kind),
        }
    }

    /// A question for the state and its answer, on lines of their own that bear the request's name.
    pub(super) fn answered_for_state(&mut self, stream: &mut Stream, line: &Parsed<'_>) {
        let Some(id) = request_id(line.text) else {
            return;
        };
        let status = status(line.text);
        if status == Some(200) && stream.answers_for_state(id) {
            self.passes(stream, &line.evidence, line.at);
        } else if status.is_none() && path(line.text).is_some_and(names_readiness) {
            stream.asks_for_state(id);
        }
    }

    /// A line about a request that is no line of an access log: it begins, or tells its time.
    pub(super) fn asked(&mut self, stream: &mut Stream, line: &Parsed<'_>) {
        let asked = path(line.text).filter(|path| !is_probe(path));
        // A request that is taken apart names parts, and what all of them take.
        let is_whole = || is_total(line.text, &line.amounts);
        if let Some(path) = asked.filter(|_| line.parts().next().is_none() || is_whole()) {
            self.served(stream, line, path, None);
        }
    }
}

/// Not every line with a path in it is a line of an access log.
pub(super) fn is_access(line: &Parsed<'_>) -> bool {
    if !line.has(Mark::Access) {
        return false;
    }
    let method = [
        "get /",
        "post /",
        "put /",
        "get \"/",
        "post \"/",
        "put \"/",
        "post http",
    ]
    .iter()
    .any(|method| line.text.contains(method));
    let answered = [
        "http/1", "http/2", "status", "code=", " 200", " 503", " 500",
    ]
    .iter()
    .any(|word| line.text.contains(word));
    let fields = FIELDS.iter().any(|field| line.text.contains(field));
    (method || fields) && answered
}

/// What made a request slow, where its line tells that it was no model.
pub(super) const DELAYED: [&str; 4] = ["retry", "retries", "retried", "timed out"];

/// Seconds at the very end of a line, as access logs have them: `"curl/8" 5.401`. Granian, whose stamp stands in
/// front, writes milliseconds there: `[ +0000] 127.0.0.1 "post /a http/1.1" 200 5401.212`.
fn trailing_ms(text: &str) -> Option<f64> {
    let (before, last) = text.rsplit_once([' ', '='])?;
    let (whole, fraction) = last.split_once('.')?;
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let is_seconds = is_number(whole) && is_number(fraction) && fraction.len() >= 3;
    last.parse()
        .ok()
        .filter(|_| is_seconds)
        .map(|took: f64| took * if is_granians(before) { 1.0 } else { 1e3 })
}

fn is_granians(before: &str) -> bool {
    let status = before.rsplit_once("\" ").map_or("", |(_, status)| status);
    before.starts_with('[') && status.len() == 3 && status.bytes().all(|b| b.is_ascii_digit())
}

/// Milliseconds at the very end of a line of Java's model servers, right behind the status:
/// `access log /10.0.0.7:41022 "post /predictions/a http/1.1" 200 3512`.
fn behind_status_ms(text: &str) -> Option<f64> {
    let (before, last) = text.rsplit_once(' ')?;
    let is_theirs = before.contains("access log /");
    let is_behind_status = status(before.rsplit(' ').next()?).is_some();
    last.parse::<u32>()
        .ok()
        .filter(|_| is_theirs && is_behind_status)
        .map(f64::from)
}

/// What it took a proxy that writes four bare numbers behind the status: bytes that came and went,
/// milliseconds, and those of the server behind it. `1.1" 200 - 812 1190 7214 7212`.
fn proxied_ms(text: &str) -> Option<f64> {
    let (_, behind) = text.split_once("http/")?;
    let (_, status_and_more) = behind.split_once(' ')?;
    let (_, more) = status_and_more.split_once(' ')?;
    let is_number = |word: &&str| word.bytes().all(|b| b.is_ascii_digit());
    let mut numbers = more
        .split(' ')
        .skip_while(|word| !is_number(word))
        .take_while(is_number);
    let took = numbers.by_ref().nth(2)?;
    numbers.next()?;
    took.parse().ok()
}

/// Milliseconds at the very end of a line, behind the status and the size: `1.1" 200 512 5121`.
fn sized_ms(text: &str) -> Option<f64> {
    let (_, behind) = text.split_once("http/")?;
    let (_, behind) = behind.split_once("\" ")?;
    let mut words = behind.split(' ');
    let status = status(words.next()?);
    let size = words.next().and_then(|word| word.parse::<u64>().ok());
    let took = words.next().and_then(|word| word.parse::<u32>().ok());
    let is_end = words.next().is_none() && status.is_some() && size.is_some();
    took.filter(|_| is_end).map(f64::from)
}

/// What it took a balancer that writes its own times side by side: `0/0/1/8120/8121 200` in
/// milliseconds, the last one the whole; `0.000 9.412 0.000 200` in seconds.
fn balanced_ms(text: &str) -> Option<f64> {
    let mut row: Vec<f64> = Vec::new();
    for word in text.split(' ') {
        let slashed: Option<Vec<f64>> = word.split('/').map(|part| part.parse().ok()).collect();
        if let Some(all) = slashed.filter(|all| all.len() == 5) {
            return all.last().copied();
        }
        let fraction = word.split_once('.').map_or("", |(_, fraction)| fraction);
        let seconds = word.parse::<f64>().ok().filter(|_| fraction.len() == 3);
        if let Some(seconds) = seconds {
            row.push(seconds);
        } else if row.len() == 3 && status(word).is_some() {
            return Some(row.iter().sum::<f64>() * 1e3);
        } else {
            row.clear();
        }
    }
    None
}

/// What servers answer with. Other numbers of three digits are sizes and times.
const STATUSES: [u16; 26] = [
    200, 201, 202, 204, 206, 301, 302, 304, 307, 308, 400, 401, 403, 404, 405, 408, 413, 415, 422,
    429, 499, 500, 501, 502, 503, 504,
];

/// The status of an answer: where it is called so, else the first number behind the protocol that may
/// be one. A size further behind may look like it.
pub(super) fn status(text: &str) -> Option<u16> {
    const NAMES: [&str; 7] = [
        "status=",
        "status: ",
        "statuscode=",
        "status code=",
        "code=",
        "code: ",
        "http=",
    ];
    // To tell that it is not called so is cheaper than to look for each name.
    let may_be_named = text.contains("status") || text.contains("code") || text.contains("http=");
    let named = may_be_named.then(|| {
        let mut names = NAMES.iter();
        names.find_map(|name| text.find(name).map(|at| at + name.len()))
    });
    let named = named.flatten();
    let from = named.or_else(|| text.find("http/").map(|at| at + "http/".len()));
    let is_edge =
        |c: char| c.is_whitespace() || matches!(c, '"' | '=' | '|' | ',' | ';' | ']' | '}' | ')');
    let mut words = text[from.unwrap_or(0)..].split(is_edge).peekable();
    while let Some(word) = words.next() {
        let is_time = words
            .peek()
            .is_some_and(|unit| matches!(*unit, "ms" | "s" | "us" | "sec"));
        let status = word.parse().ok().filter(|status| STATUSES.contains(status));
        if !is_time && status.is_some() {
            return status;
        }
    }
    // HAProxy tells it before the request, behind its times: `0/0/0/74/84 200 117`.
    let words = text.split(' ').zip(text.split(' ').skip(1));
    words
        .filter(|(times, _)| times.matches('/').count() == 4)
        .find_map(|(times, status)| {
            let is_figure = |c: char| c.is_ascii_digit() || matches!(c, '/' | '-' | '+');
            let status = status.parse().ok().filter(|_| times.chars().all(is_figure));
            status.filter(|status| STATUSES.contains(status))
        })
}

/// How a request is called: `reqid=req-1`.
fn request_id(text: &str) -> Option<&str> {
    // Hardly any line names one, and to tell that is cheaper than to look for each.
    if !text.contains("id=") {
        return None;
    }
    const NAMES: [&str; 5] = ["reqid=", "requestid=", "request id=", "req id=", "traceid="];
    let behind = NAMES
        .iter()
        .find_map(|name| text.split_once(name).map(|(_, behind)| behind))?;
    // Blanks stand for dashes too, so that a name may have parts.
    let id = behind.split([' ', '"', ',']).take(2).collect::<Vec<_>>();
    let length = match id.as_slice() {
        [first, second] if second.bytes().all(|b| b.is_ascii_digit()) => {
            first.len() + 1 + second.len()
        }
        [first, ..] => first.len(),
        [] => 0,
    };
    behind.get(..length).filter(|id| !id.is_empty())
}
