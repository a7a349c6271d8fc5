//! When memory runs out: while a model is loaded or warmed, or in the middle of service.

use super::Diagnosis;
use super::exchange::{asked_path, is_named};
use super::line::Parsed;
use super::line::wording::Telling;
use super::rules::{Mark, Part};
use super::timeline::{Place, Stream, Work};

/// Whoever has served for so long has loaded what it serves, in seconds.
const SERVED_S: f64 = 600.0;

/// Nothing loads for so long.
const LONG_S: f64 = 3_600.0;

/// What belongs to a start, and does not fit.
const OF_START: [&str; 23] = [
    "load",
    "warm",
    "weights",
    "shard",
    "initializ",
    "initialis",
    "captur",
    "kv cache",
    "cache blocks",
    "startup",
    "start up",
    "to start",
    "starting",
    "boot",
    "compil",
    "deserializ",
    "pretrained",
    "model requires",
    "model request",
    "model needs",
    "buffer for model",
    "model buffer",
    "engine core",
];

/// Which of them need a model all the same: it is loaded, and does not fit.
const OF_LOAD: [&str; 8] = [
    "model requires",
    "model request",
    "model needs",
    "load",
    "weights",
    "model buffer",
    "does not fit",
    "model too",
];

/// What somebody asked for.
const OF_REQUEST: [&str; 14] = [
    "request",
    "post /",
    "req ",
    "req=",
    "job",
    "prompt",
    "generating",
    "batch of",
    "during inference",
    "in forward",
    "client",
    "user ",
    "upload",
    "prediction",
];

/// What it was at when it ran out, in so many words.
const AT_WORK: [&str; 9] = [
    "while it answered",
    "while answering",
    "while it served",
    "while serving",
    "while generating",
    "during inference",
    "mid request",
    "in middle of request",
    "under load",
];

/// It gets no answer, and others do.
const REFUSED: [&str; 6] = [
    "rejected: out of memory",
    "refused with",
    "request refused",
    " 413",
    " 507",
    "lower batch",
];

fn has(words: &[&str], text: &str) -> bool {
    words.iter().any(|word| text.contains(word))
}

/// Whether it ran out for a request, after others had been served: no start's matter.
pub(super) fn is_of_service(stream: &Stream, line: &Parsed<'_>) -> bool {
    let is_asked = || {
        has(&OF_REQUEST, line.text)
            || line.has(Mark::Request)
            || is_named(line.text)
            || asked_path(line.text).is_some()
    };
    let serves_long = || stream.loading.is_none() && stream.serves_since(line.at) >= LONG_S;
    // One is refused, and the next may come.
    let is_refused = || is_asked() && has(&REFUSED, line.text);
    let is_open = || stream.ready.is_some() && stream.loading.is_none() && is_asked();
    let has_served = || {
        is_refused()
            || is_open()
            || (stream.has_answered() && (is_asked() || stream.serves_since(line.at) >= SERVED_S))
    };
    (!has(&OF_START, line.text)
        && (stream.is_steady() || stream.has_traffic || has_served() || serves_long()))
        || is_overcome(line.text)
        || (has(&AT_WORK, line.text) && !line.text.contains("first"))
}

/// Whether somebody asks for less, and goes on.
fn is_overcome(text: &str) -> bool {
    has(
        &[
            "retrying with",
            "retry with",
            "halving",
            "reducing batch",
            "lowering batch",
            "smaller batch and",
        ],
        text,
    )
}

impl Diagnosis {
    /// What does not fit was about to be loaded: if somebody had asked for it, by that request.
    pub(super) fn did_not_fit(&mut self, stream: &mut Stream, line: &Parsed<'_>) {
        let is_load = has(&OF_LOAD, line.text) && line.parts().next().is_none();
        let place = match stream.place(Part::Weights, "") {
            Some(Place::AtRequest) if stream.is_asked() => Place::AtRequest,
            Some(Place::Open | Place::AtRequest) => Place::Open,
            _ => return,
        };
        if is_load
            && let Some(settled) = stream.work(
                Work::new(Part::Weights, place, line),
                line.at,
                Telling::Neither,
            )
        {
            self.settle(settled);
        }
    }
}
