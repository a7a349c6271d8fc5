//! One line, taken apart: what it names, the figures on it, and which of them belong together.

use super::Evidence;
use super::amount::Amount;
use super::cause::Cause;
use super::phrases::Hit;
use super::rules::{Mark, Meaning, Part};
use super::timeline::Place;

/// One line, taken apart.
pub(super) struct Parsed<'a> {
    pub(super) text: &'a str,
    pub(super) hits: &'a [Hit],
    pub(super) amounts: &'a [Amount],
    pub(super) at: Option<f64>,
    pub(super) evidence: Evidence,
}

impl Parsed<'_> {
    pub(super) fn first(&self, mark: Mark) -> Option<&Hit> {
        self.hits
            .iter()
            .find(|hit| hit.means == Meaning::Marks(mark))
    }

    pub(super) fn names(&self, cause: Cause) -> bool {
        self.hits
            .iter()
            .any(|hit| hit.means == Meaning::Names(cause))
    }

    pub(super) fn has(&self, mark: Mark) -> bool {
        self.first(mark).is_some()
    }

    pub(super) fn parts(&self) -> impl Iterator<Item = (&Hit, Part)> {
        self.hits.iter().filter_map(|hit| match hit.means {
            Meaning::Does(part) => Some((hit, part)),
            _ => None,
        })
    }

    /// The duration that belongs to what is named at `hit`.
    pub(super) fn cost(&self, hit: &Hit) -> Option<f64> {
        let others = || {
            self.hits
                .iter()
                .filter(|other| is_subject(other) && other.at != hit.at)
                .map(|other| other.at)
        };
        let next = others()
            .filter(|at| *at > hit.at)
            .min()
            .unwrap_or(usize::MAX);
        let previous = others().filter(|at| *at < hit.at).max();
        let first_subject = others().chain([hit.at]).min().unwrap_or(0);
        let figures_lead = self
            .amounts
            .first()
            .is_some_and(|a| a.start < first_subject)
            && self.amounts.len() == others().count() + 1;
        let after = self
            .amounts
            .iter()
            .find(|a| a.start >= hit.at && a.start < next);
        let before = self.amounts.iter().rev().find(|a| a.end <= hit.at);
        let chosen = match (figures_lead, previous) {
            (true, _) => before,
            (false, None) => after.or(before),
            (false, Some(_)) => after,
        };
        chosen.map(|amount| amount.ms)
    }

    /// Whether words on the line put what is at `hit` into the start or into a request: the
    /// nearest before it, else the first behind it.
    pub(super) fn place(&self, hit: &Hit) -> Option<Place> {
        let words = || {
            self.hits.iter().filter_map(|other| match other.means {
                Meaning::Marks(Mark::AtRequest) => Some((other.at, Place::AtRequest)),
                Meaning::Marks(Mark::AtStart) => Some((other.at, Place::AtStart)),
                _ => None,
            })
        };
        let before = words()
            .filter(|(at, _)| *at <= hit.at)
            .max_by_key(|(at, _)| *at);
        // "… (warm-up covered 128 only)" says nothing of when this ran.
        let aside = |at: usize| self.text[at..].starts_with("warm");
        let behind = words().filter(|(at, _)| !aside(*at));
        before
            .or_else(|| behind.min_by_key(|(at, _)| *at))
            .map(|(_, place)| place)
    }
}

/// Whether a figure on the line may belong to this.
fn is_subject(hit: &Hit) -> bool {
    matches!(
        hit.means,
        Meaning::Does(_) | Meaning::Marks(Mark::Percentile)
    )
}
