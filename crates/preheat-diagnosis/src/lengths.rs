//! Lengths that warm-up ran against those that requests have.

use super::Evidence;
use super::line::list::List;

/// Words that set what is against what was warmed.
const CONTRAST: &[&str] = &[
    "warmed seq",
    "warmed len",
    "warmed max",
    "warmed token",
    "warmup seq",
    "warmup len",
    "warmup max",
    "warm up seq",
    "warm up len",
    "where",
    " vs",
    "versus",
    " but ",
    " only",
    " not ",
    "exceed",
    "beyond",
    "outside",
    "unseen",
    "instead",
    "larger",
    "longest",
    "largest",
    "biggest",
    "longer",
    "greater",
    "new shape",
    "while",
    "against",
    " > ",
    "above",
    "!=",
    "was ",
    "max",
];

/// Words that put a request outside of what was warmed, if something was.
const OUTSIDE: [&str; 18] = [
    "outside",
    "beyond",
    "not in {",
    "not in [",
    "not among",
    "not one of",
    "none of",
    "no bucket",
    "no warm",
    "no graph",
    "no profile",
    "no plan",
    "larger than any",
    "longer than any",
    "bigger than any",
    "exceeds every",
    "above every",
    "over largest",
];

/// Words for a size beside those that are known as marks.
const SIZES: [&str; 23] = [
    "seq=",
    "len=",
    "length=",
    "tokens=",
    "n=",
    "l=",
    "t=",
    "size=",
    "size ",
    "sizes",
    "chars",
    "characters",
    "px",
    "resolution",
    "lengths",
    "longest",
    "largest",
    "pages",
    "frames",
    "seq ",
    "width",
    "widths",
    "w=",
];

/// What a number counts. One says nothing of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Batch,
    Length,
    Characters,
    /// Both sides of an image.
    Sides,
}

/// No bucket is shorter.
const SHORTEST: u64 = 8;

/// Shorter sides are those of a batch, or of colours.
const LONG_SIDE: u64 = 32;

/// Lengths kept of a warm-up.
const KEPT: usize = 256;

/// Fields kept of requests.
const FIELDS: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Lengths {
    /// Named as not warmed by a line itself.
    missed: Vec<u64>,
    warmed: Vec<(Kind, u64)>,
    /// The longest of each kind.
    asked: Vec<Asked>,
    /// Fields of requests, and whether the first number of each was a warmed length: then it counts the same,
    /// whatever it is called.
    fields: Vec<(String, bool)>,
}

/// The longest that was asked for.
#[derive(Debug)]
struct Asked {
    kind: Kind,
    length: u64,
    evidence: Evidence,
    cost_ms: Option<f64>,
}

/// What is known of a line that speaks of lengths.
pub(super) struct Told<'a> {
    pub(super) text: &'a str,
    /// Where the words for a length end.
    pub(super) words: &'a [(usize, usize)],
    pub(super) numbers: &'a [(usize, u64)],
    pub(super) is_warm: bool,
    pub(super) at_request: bool,
}

impl Lengths {
    /// Takes a line in; true if it names a gap by itself.
    pub(super) fn take(
        &mut self,
        told: &Told<'_>,
        evidence: &Evidence,
        cost_ms: Option<f64>,
    ) -> bool {
        // What is asked for says nothing where nothing is known to be warm.
        if !told.is_warm && !(told.at_request && (self.is_warmed() || !told.words.is_empty())) {
            return false;
        }
        let near = near(told);
        if told.is_warm {
            if self.names_a_gap(told, &near) {
                return true;
            }
            let room = KEPT.saturating_sub(self.warmed.len());
            self.warmed.extend(near.into_iter().take(room));
            return false;
        }
        if near.is_empty() {
            self.counted(told, evidence, cost_ms);
        }
        // Whoever cuts it to what was warmed runs nothing longer.
        let is_cut = !near.is_empty() && told.text.contains("truncated to");
        for (kind, length) in near.into_iter().filter(|_| !is_cut) {
            self.ask(kind, length, evidence, cost_ms);
        }
        self.is_warmed() && OUTSIDE.iter().any(|word| told.text.contains(word))
    }

    /// Whether a line about a warm-up sets a longer length against what was warmed.
    fn names_a_gap(&mut self, told: &Told<'_>, near: &[(Kind, u64)]) -> bool {
        // Smaller ones count requests and rounds.
        let mut different: Vec<u64> = told
            .numbers
            .iter()
            .map(|(_, n)| *n)
            .filter(|n| *n >= SHORTEST)
            .collect();
        different.sort_unstable();
        different.dedup();
        let is_of_lengths = !told.words.is_empty() || !near.is_empty();
        let is_pair = different.len() == 2 && told.numbers.len() <= 5 && !is_one_list(told);
        let is_gap =
            is_pair && is_of_lengths && CONTRAST.iter().any(|word| told.text.contains(word));
        if is_gap && self.missed.len() < KEPT {
            self.missed.extend(different.last());
        }
        is_gap
    }

    /// Somebody asks for a length that a table tells.
    pub(super) fn asked(&mut self, length: u64, evidence: &Evidence) {
        if self.is_warmed() {
            self.ask(Kind::Length, length, evidence, None);
        }
    }

    /// A request by whose fields a length may stand under a name of its own: `residues=201`.
    fn counted(&mut self, told: &Told<'_>, evidence: &Evidence, cost_ms: Option<f64>) {
        for (at, number) in told.numbers {
            let Some(before) = told.text[..*at].strip_suffix('=') else {
                continue;
            };
            let name = before.rsplit(' ').next().unwrap_or_default();
            let known = self.fields.iter().find(|(known, _)| known == name);
            let is_length = known.map(|(_, is_length)| *is_length);
            if is_length.is_none() && self.fields.len() < FIELDS {
                let is_warmed =
                    *number >= SHORTEST && self.warmed.contains(&(Kind::Length, *number));
                self.fields.push((name.to_owned(), is_warmed));
            } else if is_length == Some(true) {
                self.ask(Kind::Length, *number, evidence, cost_ms);
            }
        }
    }

    fn ask(&mut self, kind: Kind, length: u64, evidence: &Evidence, cost_ms: Option<f64>) {
        let asked = Asked {
            kind,
            length,
            evidence: evidence.clone(),
            cost_ms,
        };
        match self.asked.iter_mut().find(|known| known.kind == kind) {
            Some(known) if known.length < length => *known = asked,
            Some(_) => {}
            None => self.asked.push(asked),
        }
    }

    /// Lengths that warm-up should cover and does not.
    pub(super) fn missing(&self) -> Vec<u64> {
        let asked = self.uncovered().map(|asked| asked.length);
        let mut all: Vec<u64> = self.missed.iter().copied().chain(asked).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Whether some lengths were run before anybody asked.
    pub(super) fn is_warmed(&self) -> bool {
        !self.warmed.is_empty()
    }

    /// The longest request, if no warm-up reached it.
    pub(super) fn gap(&self) -> Option<(&Evidence, Option<f64>)> {
        let asked = self.uncovered().next()?;
        Some((&asked.evidence, asked.cost_ms))
    }

    fn uncovered(&self) -> impl Iterator<Item = &Asked> {
        self.asked.iter().filter(|asked| {
            let warmed = self.warmed.iter().filter(|(kind, _)| *kind == asked.kind);
            let longest = warmed.map(|(_, length)| *length).max();
            longest.is_some_and(|longest| asked.length > longest)
        })
    }
}

/// Numbers that stand next to a word for a length: `sequence length 512`, `seq len=512`, `512 tokens`.
fn near(told: &Told<'_>) -> Vec<(Kind, u64)> {
    if told.numbers.is_empty() {
        return Vec::new();
    }
    let mut found = shapes(told.text);
    static LIST: List = List::new(&[&SIZES]);
    let others = LIST.places(told.text);
    for (start, end) in told.words.iter().copied().chain(others.iter().copied()) {
        let after = told
            .numbers
            .iter()
            .filter(|(at, _)| *at >= end && joined(&told.text[end..*at]));
        let before = told.numbers.iter().filter(|(at, n)| {
            let text_end = at + n.to_string().len();
            text_end <= start && told.text[text_end..start].trim().is_empty()
        });
        let word = &told.text[start..];
        // Of bytes, where a server tells their type.
        if word.starts_with("length=") && told.text.contains("type=") {
            continue;
        }
        let is_batch = word.starts_with("batch") || told.text[..start].ends_with("batch ");
        let kind = match word {
            _ if is_batch => Kind::Batch,
            _ if word.starts_with("char") => Kind::Characters,
            _ => Kind::Length,
        };
        found.extend(after.chain(before).map(|(_, n)| (kind, *n)));
    }
    if told.is_warm && (!told.words.is_empty() || !others.is_empty()) {
        let is_batch = told
            .words
            .iter()
            .any(|(start, _)| told.text[*start..].starts_with("batch"));
        let kind = if is_batch { Kind::Batch } else { Kind::Length };
        found.extend(listed(told).map(|n| (kind, n)));
    }
    // Smaller ones count shapes.
    found.retain(|(kind, n)| *kind == Kind::Batch || *n >= SHORTEST);
    found
}

/// `[1, 8, 32]`: what was run, one after the other.
fn is_one_list(told: &Told<'_>) -> bool {
    let mut numbers = told.numbers.iter().filter(|(_, n)| *n >= SHORTEST);
    let both = numbers.next().zip(numbers.next_back());
    let between = both.and_then(|((from, _), (to, _))| told.text.get(*from..*to));
    between.is_some_and(|between| {
        let is_list = |c: char| c.is_ascii_digit() || matches!(c, ',' | ' ');
        between.contains(',') && between.chars().all(is_list)
    })
}

/// `batch sizes run once each: 1 2 4 8`: nothing but numbers behind a sign.
fn listed<'a>(told: &'a Told<'_>) -> impl Iterator<Item = u64> + 'a {
    let at = told.text.rfind([':', '=']).unwrap_or(told.text.len());
    let is_list = !told.text[at..].contains(|c: char| c.is_ascii_alphabetic());
    let numbers = told
        .numbers
        .iter()
        .filter(move |(place, _)| is_list && *place > at);
    numbers.map(|(_, n)| *n)
}

/// `1x3x512x512`, `(1,3,640,640)`, `[1, 1024]`: the longest side of each.
fn shapes(text: &str) -> Vec<(Kind, u64)> {
    let pairs = text.as_bytes().windows(2);
    let mut signs = pairs.filter(|pair| {
        let is_number = pair.iter().any(u8::is_ascii_digit);
        is_number
            && pair
                .iter()
                .any(|byte| b"x([".contains(byte) || *byte >= 0x80)
    });
    if signs.next().is_none() {
        return Vec::new();
    }
    let is_within = |c: char| c.is_ascii_digit() || matches!(c, 'x' | '×' | ',' | ' ');
    let mut found = Vec::new();
    let mut pieces = text.split(['(', '[', ')', ']']).collect::<Vec<_>>();
    // What is called sizes was run one after the other, and is no shape.
    let is_list = |piece: &str| {
        let at = piece.as_ptr().addr() - text.as_ptr().addr();
        let before = text[..at].trim_end_matches(['[', '(', ' ', ':', '=']);
        ["sizes", "size", "batches", "batch"]
            .iter()
            .any(|name| before.ends_with(name))
    };
    pieces.retain(|piece| piece.contains(',') && piece.chars().all(is_within) && !is_list(piece));
    let crossed = text
        .split([' ', '(', ')', '[', ']', '=', ',', ';', ':'])
        .filter(|word| word.contains(['x', '×']) && word.chars().all(is_within));
    for piece in pieces.into_iter().chain(crossed).take(KEPT) {
        let sides: Option<Vec<u64>> = piece
            .split(['x', '×', ','])
            .map(|side| side.trim().parse().ok())
            .collect();
        let sides = sides.filter(|sides| sides.len() >= 2).unwrap_or_default();
        let long = sides.iter().filter(|side| **side >= LONG_SIDE).count();
        let kind = if long >= 2 { Kind::Sides } else { Kind::Length };
        found.extend(sides.iter().max().map(|longest| (kind, *longest)));
    }
    found
}

/// Between a word and its number there is nothing but signs, other numbers and small words.
fn joined(between: &str) -> bool {
    let mut words = between
        .split(|c: char| !c.is_ascii_alphabetic())
        .filter(|w| !w.is_empty());
    between.len() <= 48
        && words.all(|word| matches!(word, "of" | "is" | "to" | "up" | "and" | "max" | "s"))
}
