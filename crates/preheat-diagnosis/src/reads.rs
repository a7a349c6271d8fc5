//! What reading the weights took, whoever they were read for: many times more after a move, no cache
//! of that machine had them.

use super::cause::Cause;
use super::line::amount::amounts;
use super::line::text::normal;
use super::line::wording::{is_unfinished, without_numbers};
use super::{Diagnosis, Evidence};

/// Reads that are kept.
const KEPT: usize = 20;

/// A second start that reads weights so many times slower found them in no cache.
const COLD_RATIO: f64 = 3.0;

/// So many times, where nothing tells of a move.
const AGAIN_RATIO: f64 = 5.0;
const AGAIN_MS: f64 = 5e3;

/// Less is not worth a word.
const LEAST_MS: f64 = 1e3;

#[derive(Debug, Default)]
pub(super) struct Reads {
    all: Vec<(f64, Evidence)>,
    /// The replica was moved to another machine.
    moved: Option<Evidence>,
    /// Somebody looked at the disk, or at what is kept of it in memory.
    is_watched: bool,
}

impl Reads {
    pub(super) fn took(&mut self, ms: f64, evidence: &Evidence) {
        if self.all.len() < KEPT && !is_unfinished(&normal(&evidence.text)) {
            self.all.push((ms, evidence.clone()));
        }
    }

    pub(super) fn watched(&mut self) {
        self.is_watched = true;
    }

    pub(super) fn moved(&mut self, evidence: &Evidence) {
        self.moved.get_or_insert_with(|| evidence.clone());
    }

    /// The same was read again, and took a small part of what it had taken: what that cost, and the first.
    fn again(&self) -> Option<(f64, &Evidence)> {
        if !self.is_watched {
            return None;
        }
        let is_cold = |slow: f64, fast: f64| slow >= AGAIN_RATIO * fast && slow - fast >= AGAIN_MS;
        self.all.iter().enumerate().find_map(|(at, (slow, read))| {
            let mut later = self.all[at..].iter();
            let is_same = |other: &Evidence| is_same(read, other, true) || is_cached(other);
            let fast = later.find(|(fast, other)| is_cold(*slow, *fast) && is_same(other));
            fast.map(|(fast, _)| (slow - fast, read))
        })
    }

    /// What a read from no cache cost, the read, and the move before it.
    fn cold(&self) -> Option<(f64, &Evidence, &Evidence)> {
        let moved = self.moved.as_ref()?;
        let is_cold = |slow: f64, fast: f64| slow >= COLD_RATIO * fast && slow - fast >= LEAST_MS;
        let costs = self.all.iter().filter_map(|(slow, read)| {
            // What something else takes says nothing of it.
            if moved.source == read.source && moved.line > read.line {
                return None;
            }
            let is_same = |other| is_same(read, other, self.is_watched);
            let mut others = self.all.iter().filter(|(_, other)| is_same(other));
            let (fast, _) = others.find(|(fast, _)| is_cold(*slow, *fast))?;
            Some((slow - fast, read, moved))
        });
        costs.max_by(|one, other| one.0.total_cmp(&other.0))
    }
}

/// Whether a line says that what was read was in memory.
fn is_cached(read: &Evidence) -> bool {
    let text = read.text.to_ascii_lowercase();
    ["page cache", "pagecache", "already cached", "file cache"]
        .iter()
        .any(|word| text.contains(word))
}

/// Lines that tell the same but for their numbers.
fn are_alike(one: &Evidence, other: &Evidence) -> bool {
    let same = |read: &Evidence| without_numbers(&normal(&read.text));
    one.source == other.source && same(one) == same(other)
}

/// Reads of which lines tell in the same words, but for names of machines and the like; or in about the same,
/// where somebody looks at the disk and each tells what it took.
fn is_same(one: &Evidence, other: &Evidence, is_watched: bool) -> bool {
    let texts = [one, other].map(|read| normal(&read.text));
    if texts.iter().any(|text| amounts(text).is_empty()) {
        return are_alike(one, other);
    }
    let [one, other] = texts.map(|text| {
        let text = without_numbers(&text);
        let words = text.split(|c: char| !c.is_alphabetic());
        let words = words.filter(|word| word.len() > 2);
        words.map(str::to_owned).collect::<Vec<_>>()
    });
    let both = one.iter().filter(|word| other.contains(word)).count();
    let least = one.len().min(other.len());
    match is_watched {
        true => 2 * both > least,
        false => both == least,
    }
}

impl Diagnosis {
    pub(super) fn cold_cache(&mut self) {
        if let Some((cost, read)) = self.reads.again() {
            let read = read.clone();
            self.see(Cause::ColdPageCache, 0.65, read, Some(cost), None);
        }
        let Some((cost, read, moved)) = self.reads.cold() else {
            return;
        };
        let (read, moved) = (read.clone(), moved.clone());
        self.see(Cause::ColdPageCache, 0.7, read, Some(cost), None);
        self.see(Cause::ColdPageCache, 0.7, moved, None, None);
    }
}
