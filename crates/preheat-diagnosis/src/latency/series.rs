//! What requests of one kind took, one after the other, and whether the first of them paid for those
//! that came after it.

use super::{Figure, Sure};

/// Latencies that are kept after the first; enough for a median.
const KEPT: usize = 4096;

/// Lives of a server that are told apart.
const LIVES: usize = 16;

/// A first request is slow if it takes so many times what a steady one takes, and so much more.
pub(super) const RATIO: f64 = 3.0;
pub(super) const SLACK_MS: f64 = 100.0;

/// The same where nobody says that requests are told of.
const LIKELY_RATIO: f64 = 5.0;

/// The same where a line tells what the first request had to do.
const EXPLAINED_RATIO: f64 = 2.0;

/// And where it is so many times slower than many others, so much is enough.
const SHARP_RATIO: f64 = 10.0;
const SHARP_SLACK_MS: f64 = 40.0;
const SHARP_COUNT: usize = 4;

/// The same against one other request alone.
const LONE_RATIO: f64 = 8.0;
const LONE_SLACK_MS: f64 = 500.0;

#[derive(Debug)]
pub(super) struct Series {
    /// The first of each life of whoever serves them.
    firsts: Vec<(Figure, Option<u64>)>,
    rest: Vec<f64>,
    /// What they take for each of what was asked for, as far as that is counted.
    each: Vec<f64>,
    /// The next one is the first of a life.
    is_new: bool,
    pub(super) sure: Sure,
    pub(super) stream: u32,
}

impl Series {
    pub(super) fn new(stream: u32, sure: Sure) -> Self {
        Series {
            firsts: Vec::new(),
            rest: Vec::new(),
            each: Vec::new(),
            is_new: true,
            sure,
            stream,
        }
    }

    /// Whoever serves has started anew.
    pub(super) fn begins_anew(&mut self) {
        self.is_new = true;
    }

    pub(super) fn add(&mut self, figure: impl FnOnce() -> Figure, ms: f64, size: Option<u64>) {
        if std::mem::take(&mut self.is_new) && self.firsts.len() < LIVES {
            self.firsts.push((figure(), size));
        } else if self.rest.len() < KEPT {
            self.rest.push(ms);
            self.each.extend(size.map(|size| ms / size as f64));
        }
    }

    pub(super) fn first(&self) -> Option<&Figure> {
        self.firsts.first().map(|(first, _)| first)
    }

    /// Whether a request took long because much was asked for.
    fn is_large(&self, first: &Figure, size: Option<u64>) -> bool {
        let Some(size) = size else { return false };
        // Nobody counts what is asked for where it is as usual.
        if self.each.is_empty() {
            return size > 1;
        }
        let mut each = self.each.clone();
        each.sort_by(f64::total_cmp);
        let usual = each.get(each.len() / 2);
        usual.is_some_and(|usual| first.ms / (size as f64) < EXPLAINED_RATIO * usual)
    }

    pub(super) fn count(&self) -> usize {
        self.rest.len()
    }

    /// What a request takes when nothing is cold any more.
    pub(super) fn steady(&self) -> Option<f64> {
        let sorted = self.settled();
        (self.rest.len() >= 2).then(|| sorted[sorted.len() / 2])
    }

    /// What came after the first few, or after the first where there are not more, from the shortest.
    fn settled(&self) -> Vec<f64> {
        let few = self.rest.len() <= 3;
        let mut settled = self.rest[usize::from(!few)..].to_vec();
        settled.sort_by(f64::total_cmp);
        settled
    }

    /// The first request that was slow, and what steady ones take. Where other lines tell what made it
    /// so, fewer steady ones are enough.
    pub(super) fn slow(&self, is_explained: bool) -> Option<(&Figure, f64)> {
        let firsts = self.firsts.iter();
        let mut firsts = firsts.filter(|(first, size)| !self.is_large(first, *size));
        firsts.find_map(|(first, _)| Some((first, self.against(first.ms, is_explained)?)))
    }

    fn against(&self, first: f64, is_explained: bool) -> Option<f64> {
        let settled = self.settled();
        let is_slow = |steady: f64, ratio: f64, slack: f64| {
            first >= ratio * steady && first - steady >= slack
        };
        let at = |share: usize| settled.get(settled.len() * share / 100).copied();
        let (quarter, median, most) = (at(25)?, at(50)?, at(80)?);
        let ratio = match self.sure {
            Sure::Likely => LIKELY_RATIO,
            Sure::Asked | Sure::Measured => RATIO,
        };
        if settled.len() >= 2 && is_slow(median, ratio, SLACK_MS) && first >= 2.0 * most {
            return Some(median);
        }
        if is_explained && settled.len() >= 2 {
            let is_sharp = settled.len() >= SHARP_COUNT
                && is_slow(median, SHARP_RATIO, SHARP_SLACK_MS)
                && first >= SHARP_RATIO / 2.0 * most;
            return Some(quarter)
                .filter(|steady| is_sharp || is_slow(*steady, EXPLAINED_RATIO, SLACK_MS));
        }
        let is_lone = settled.len() == 1 && self.sure == Sure::Measured;
        Some(median).filter(|steady| is_lone && is_slow(*steady, LONE_RATIO, LONE_SLACK_MS))
    }
}
