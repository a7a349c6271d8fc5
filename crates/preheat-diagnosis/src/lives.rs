//! How long somebody had lived before it ended. What ends after hours of service did not end while it
//! loaded, and is another matter.

use std::collections::BTreeSet;

use super::cause::Cause;
use super::timeline::Stream;
use super::{Diagnosis, Evidence};

/// A start takes no longer, in seconds.
pub(super) const LONG_S: f64 = 3_600.0;

/// Places that are kept.
const KEPT: usize = 64;

/// What ends a replica whenever it happens.
const ENDS: [Cause; 2] = [Cause::OutOfMemory, Cause::LivenessKills];

/// Where somebody ended who had lived long.
#[derive(Debug, Default)]
pub(super) struct Lives {
    long: Vec<(String, Option<String>)>,
    /// Texts in which somebody serves.
    serving: Vec<String>,
}

impl Lives {
    pub(super) fn long(&mut self, source: &str, pod: Option<&str>) {
        if self.long.len() < KEPT {
            self.long.push((source.to_owned(), pod.map(str::to_owned)));
        }
    }

    pub(super) fn serves(&mut self, source: &str) {
        if self.serving.len() < KEPT && !self.serving.iter().any(|known| known == source) {
            self.serving.push(source.to_owned());
        }
    }

    fn is_of(&self, evidence: &Evidence) -> bool {
        self.long.iter().any(|(source, pod)| {
            let is_its = match (pod, &evidence.pod) {
                (Some(one), Some(other)) => one == other,
                _ => true,
            };
            *source == evidence.source && is_its
        })
    }
}

impl Diagnosis {
    /// Somebody of this text ended after a long life.
    pub(super) fn lived_long(&mut self, source: &str, pod: Option<&str>) {
        self.lives.long(source, pod);
    }

    pub(super) fn drop_ends_of_long_lives(&mut self) {
        let lives = std::mem::take(&mut self.lives);
        for cause in ENDS {
            self.drop_evidence(cause, |evidence| lives.is_of(evidence));
        }
    }
}

impl Diagnosis {
    pub(super) fn has_served(&mut self, stream: &Stream) {
        if stream.has_answered()
            && let Some(source) = self.subjects.source(stream.number)
        {
            self.lives.serves(source);
        }
    }

    /// Somebody served, nothing is said to load, and it is ended: not for a load.
    pub(super) fn drop_ends_of_service(&mut self) {
        let serving = std::mem::take(&mut self.lives.serving);
        let loads = std::mem::take(&mut self.refusals.loads);
        let starts: BTreeSet<String> = self
            .at_start
            .values()
            .flat_map(|s| s.evidence.iter().map(|e| e.source.clone()))
            .collect();
        self.drop_evidence(Cause::LivenessKills, |evidence| {
            serving.contains(&evidence.source)
                && !loads.contains(&evidence.source)
                && !starts.contains(&evidence.source)
        });
    }
}

/// From the stamps of a status: `Started:` and `Finished:`, or `startedAt` and `finishedAt`, in either
/// order, and close to each other.
#[derive(Debug, Default)]
pub(super) struct Statuses {
    started: Option<(u64, f64)>,
    finished: Option<(u64, f64)>,
}

/// So many lines apart, the two are of one status.
const TOGETHER: u64 = 3;

impl Statuses {
    /// Takes a line with its stamp in; whether it ends a long life.
    pub(super) fn take(&mut self, number: u64, text: &str, at: Option<f64>) -> bool {
        let Some(at) = at else { return false };
        let key = text.trim_start().trim_start_matches(['"', '-', ' ']);
        let is = |names: [&str; 2]| names.iter().any(|name| key.starts_with(name));
        if is(["Started:", "startedAt"]) {
            self.started = Some((number, at));
        } else if is(["Finished:", "finishedAt"]) {
            self.finished = Some((number, at));
        } else {
            return false;
        }
        let both = self.started.zip(self.finished);
        let is_long = both.is_some_and(|((one, from), (other, to))| {
            one.abs_diff(other) <= TOGETHER && to - from >= LONG_S
        });
        if is_long {
            *self = Statuses::default();
        }
        is_long
    }

    /// Whether a line may be of interest at all.
    pub(super) fn may_be(text: &str) -> bool {
        let key = text.trim_start().trim_start_matches(['"', '-', ' ']);
        ["Started:", "Finished:", "startedAt", "finishedAt"]
            .iter()
            .any(|name| key.starts_with(name))
    }
}
