//! What has come together about one cause, or about one part of a start.

use super::Evidence;
use super::rules::CONSEQUENCE;

/// Lines that are kept for a cause.
pub(super) const EVIDENCE: usize = 5;

/// What has come together about one cause.
#[derive(Debug, Clone, Default)]
pub(super) struct Sighting {
    pub(super) evidence: Vec<Evidence>,
    pub(super) told_ms: Option<f64>,
    pub(super) seen_ms: Option<f64>,
    pub(super) longest_ms: Option<f64>,
    pub(super) is_told: bool,
    pub(super) confidence: f64,
    /// Where it was seen, by number; 0 for what no line tells.
    pub(super) streams: Vec<u32>,
}

impl Sighting {
    pub(super) fn add(
        &mut self,
        evidence: Evidence,
        confidence: f64,
        told: Option<f64>,
        seen: Option<f64>,
    ) {
        if self.evidence.len() < EVIDENCE && !self.evidence.contains(&evidence) {
            self.evidence.push(evidence);
        }
        self.confidence = self.confidence.max(confidence);
        let sum = |into: &mut Option<f64>, ms: Option<f64>| {
            *into = ms.map(|ms| into.unwrap_or(0.0) + ms).or(*into);
        };
        sum(&mut self.told_ms, told);
        sum(&mut self.seen_ms, seen);
        // What a line tells is worth more than what time stamps show.
        if told.is_some() && !self.is_told {
            (self.is_told, self.longest_ms) = (true, None);
        }
        let counted = told.or(seen.filter(|_| !self.is_told));
        let both = [self.longest_ms, counted].into_iter().flatten();
        self.longest_ms = both.reduce(f64::max);
    }

    pub(super) fn seen_in(&mut self, stream: u32) {
        if !self.streams.contains(&stream) {
            self.streams.push(stream);
        }
    }

    /// Only what may follow from it was seen.
    pub(super) fn is_guess(&self) -> bool {
        self.confidence <= CONSEQUENCE
    }

    /// What lines say counts; time stamps only where no line says anything.
    pub(super) fn cost_ms(&self) -> Option<f64> {
        self.told_ms.or(self.seen_ms)
    }
}
