//! Requests that are told by two lines, one when they come and one when they are answered: what lies
//! between their time stamps is what they took.

use super::timed::{Sure, is_of_others, shape, sure};
use crate::line::list::List;

/// Requests that wait for their answer.
const OPEN: usize = 64;

/// Longer apart, the two lines are about different things.
const LONGEST_MS: f64 = 3_600_000.0;

/// What stamps of whole seconds can tell apart.
const SECOND_MS: f64 = 1e3;

const CAME: [&str; 14] = [
    "received", "started", "start", "begin", "incoming", "got ", "arrived", "accepted", "-->",
    "->", ">>", " in", "begins", "came in",
];

const ANSWERED: [&str; 18] = [
    "finished",
    "answered",
    "done",
    "completed",
    "complete",
    "sent",
    "end",
    "replied",
    "responded",
    "returned",
    "<--",
    "<-",
    "<<",
    " out",
    "200",
    "closed",
    "served",
    "delivered",
];

static IS_CALL: List = List::new(&[&CAME]);
static IS_ANSWER: List = List::new(&[&ANSWERED]);

#[derive(Debug, Default)]
pub(super) struct Pairs {
    open: Vec<(String, f64)>,
}

/// What a request took, and what lines like the last one of it have in common.
pub(super) struct Took {
    pub(super) kind: String,
    pub(super) ms: f64,
}

impl Pairs {
    pub(super) fn are_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Takes a line without any duration in.
    pub(super) fn take(&mut self, text: &str, at: f64, stream: u32) -> Option<Took> {
        // A status is the surest sign of an answer.
        let is_answer = has(&IS_ANSWER, text) && !text.contains("-> post");
        let is_call = !is_answer && has(&IS_CALL, text);
        let is_open = is_call || (is_answer && self.are_open());
        if !is_open || is_of_others(text) || sure(text) == Sure::Likely {
            return None;
        }
        let key = format!("{stream} {}", name(text)?);
        if is_call {
            if self.open.len() == OPEN {
                self.open.remove(0);
            }
            self.open.push((key, at));
            return None;
        }
        let known = self.open.iter().position(|(known, _)| *known == key)?;
        let (_, since) = self.open.remove(known);
        let ms = ((at - since) * 1e3).round();
        let is_whole = at.fract() == 0.0 && since.fract() == 0.0;
        let least = if is_whole { SECOND_MS } else { 0.0 };
        (0.0..=LONGEST_MS).contains(&ms).then(|| Took {
            kind: shape(text),
            ms: ms.max(least),
        })
    }
}

/// Whether one of these words stands by itself.
fn has(words: &List, text: &str) -> bool {
    words.places(text).into_iter().any(|(start, end)| {
        let behind = text[end..].chars().next();
        let is_sign = !text[start..end].ends_with(|c: char| c.is_ascii_alphanumeric());
        is_sign || behind.is_none_or(|c| !c.is_ascii_alphanumeric())
    })
}

/// How the request is called on both lines: by its own name, or by its path if it has none.
fn name(text: &str) -> Option<&str> {
    let mut words = text.split(' ').peekable();
    while let Some(word) = words.next() {
        let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric() && c != '#');
        if let Some((key, value)) = bare.split_once('=')
            && (key.ends_with("id") || matches!(key, "req" | "request" | "trace" | "r"))
        {
            return Some(value);
        }
        let is_named = matches!(
            bare,
            "request" | "req" | "call" | "rpc" | "id" | "job" | "query"
        );
        let next = words
            .peek()
            .map(|next| next.trim_matches(|c: char| !c.is_ascii_alphanumeric()));
        if is_named
            && let Some(next) = next.filter(|next| next.contains(|c: char| c.is_ascii_digit()))
        {
            return Some(next);
        }
        let is_number = bare.strip_prefix('#').is_some_and(|rest| !rest.is_empty());
        if is_number {
            return Some(bare);
        }
    }
    text.split(' ').find(|word| word.starts_with('/'))
}
