//! What reading the weights took, whoever they were read for: many times more after a move, no cache
//! of that machine had them.

use super::cause::Cause;
use super::line::wording::without_numbers;
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
        if self.all.len() < KEPT {
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
            let is_same = |other: &Evidence| are_alike(read, other) || is_cached(other);
            let fast = later.find(|(fast, other)| is_cold(*slow, *fast) && is_same(other));
            fast.map(|(fast, _)| (slow - fast, read))
        })
    }

    /// What a read from no cache cost, the read, and the move before it.
    fn cold(&self) -> Option<(f64, &Evidence, &Evidence)> {
        let moved = self.moved.as_ref()?;
        let by = |a: &&(f64, Evidence), b: &&(f64, Evidence)| a.0.total_cmp(&b.0);
        let slow = self.all.iter().max_by(by)?;
        let fast = self.all.iter().min_by(by)?;
        let cost = slow.0 - fast.0;
        let is_cold = slow.0 >= COLD_RATIO * fast.0 && cost >= LEAST_MS;
        is_cold.then_some((cost, &slow.1, moved))
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
    one.source == other.source && without_numbers(&one.text) == without_numbers(&other.text)
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
