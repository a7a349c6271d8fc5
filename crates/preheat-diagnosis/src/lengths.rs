//! Lengths that warm-up ran against those that requests have.

use super::Evidence;

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

/// No bucket is shorter.
const SHORTEST: u64 = 8;

/// Lengths kept of a warm-up.
const KEPT: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Lengths {
    /// Named as not warmed by a line itself.
    missed: Vec<u64>,
    warmed: Vec<u64>,
    asked: Option<(u64, Evidence, Option<f64>)>,
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
        // Smaller ones count requests and rounds.
        let mut different: Vec<u64> = told
            .numbers
            .iter()
            .map(|(_, n)| *n)
            .filter(|n| *n >= SHORTEST)
            .collect();
        different.sort_unstable();
        different.dedup();
        let contrast = CONTRAST.iter().any(|word| told.text.contains(word));
        if told.is_warm && contrast && different.len() == 2 && told.numbers.len() <= 5 {
            if self.missed.len() < KEPT {
                self.missed.extend(different.last());
            }
            return true;
        }
        let near = near(told);
        if told.is_warm {
            let room = KEPT.saturating_sub(self.warmed.len());
            self.warmed.extend(near.into_iter().take(room));
        } else if told.at_request
            && let Some(length) = near.into_iter().max()
            && self
                .asked
                .as_ref()
                .is_none_or(|(longest, ..)| length > *longest)
        {
            self.asked = Some((length, evidence.clone(), cost_ms));
        }
        false
    }

    /// Lengths that warm-up should cover and does not.
    pub(super) fn missing(&self) -> Vec<u64> {
        let asked = self.asked.as_ref().filter(|_| self.gap().is_some());
        let all = self
            .missed
            .iter()
            .copied()
            .chain(asked.map(|(length, ..)| *length));
        let mut all: Vec<u64> = all.collect();
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
        let warmed = self.warmed.iter().max()?;
        let (length, evidence, cost) = self.asked.as_ref()?;
        (length > warmed).then_some((evidence, *cost))
    }
}

/// Numbers that stand next to a word for a length: `sequence length 512`, `seq len=512`, `512 tokens`.
fn near(told: &Told<'_>) -> Vec<u64> {
    let mut found = Vec::new();
    for (start, end) in told.words {
        let after = told
            .numbers
            .iter()
            .filter(|(at, _)| *at >= *end && joined(&told.text[*end..*at]));
        let before = told.numbers.iter().filter(|(at, n)| {
            let text_end = at + n.to_string().len();
            text_end <= *start && told.text[text_end..*start].trim().is_empty()
        });
        found.extend(after.chain(before).map(|(_, n)| *n));
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
