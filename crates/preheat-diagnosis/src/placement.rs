//! A replica that found no place at first, and got one on a node that a scale-up brought: a wait, and no
//! want of nodes.

use super::cause::Cause;
use super::lives::age_s;
use super::{Diagnosis, Evidence};

/// Replicas and scale-ups that are kept.
const KEPT: usize = 64;

/// A request that takes longer may have waited until there was a replica, in ms.
const ASKED_MS: f64 = 5_000.0;

/// So long after its answer somebody looks at what has happened.
const SINCE_MS: f64 = 30_000.0;

#[derive(Debug, Default)]
pub(super) struct Placement {
    /// Texts that tell of a scale-up.
    scaled_up: Vec<String>,
    /// Text and replica, if that is told.
    placed: Vec<(String, Option<String>)>,
    /// Text, image and line, where an image was pulled after all.
    pulled: Vec<(String, String, u64)>,
}

impl Placement {
    pub(super) fn scaled_up(&mut self, evidence: &Evidence) {
        if self.scaled_up.len() < KEPT && !self.scaled_up.contains(&evidence.source) {
            self.scaled_up.push(evidence.source.clone());
        }
    }

    pub(super) fn placed(&mut self, evidence: &Evidence) {
        if self.placed.len() < KEPT {
            let placed = (evidence.source.clone(), replica(evidence));
            self.placed.push(placed);
        }
    }

    /// Takes a line in that may tell that an image was pulled.
    pub(super) fn pulled(&mut self, evidence: &Evidence) {
        if self.pulled.len() < KEPT
            && evidence.text.contains("uccessfully pulled")
            && let Some(image) = image(&evidence.text)
        {
            let pulled = (evidence.source.clone(), image.to_owned(), evidence.line);
            self.pulled.push(pulled);
        }
    }

    /// Whether what could not be pulled was pulled later.
    fn is_pulled(&self, failed: &Evidence) -> bool {
        image(&failed.text).is_some_and(|failed_image| {
            self.pulled.iter().any(|(source, image, line)| {
                *source == failed.source && image == failed_image && *line > failed.line
            })
        })
    }

    /// Whether a replica that had no place has one now, thanks to a scale-up.
    fn is_overcome(&self, unplaced: &Evidence) -> bool {
        let unplaced_name = replica(unplaced);
        self.scaled_up.contains(&unplaced.source)
            && self.placed.iter().any(|(source, name)| {
                let is_its = match (name, &unplaced_name) {
                    (Some(one), Some(other)) => one == other,
                    _ => true,
                };
                *source == unplaced.source && is_its
            })
    }
}

/// `pod/NAME` in a column, `Successfully assigned NAMESPACE/NAME to NODE`, or whose description it is.
fn replica(evidence: &Evidence) -> Option<String> {
    let mut words = evidence.text.split_whitespace();
    let in_column = words.find_map(|word| word.strip_prefix("pod/"));
    let assigned = || {
        let (_, behind) = evidence.text.split_once("assigned ")?;
        let place = behind.split_whitespace().next()?;
        Some(place.rsplit('/').next().unwrap_or(place))
    };
    let known = evidence.pod.as_deref().or(in_column);
    known.or_else(assigned).map(str::to_owned)
}

/// `… image "registry/name:tag"`
pub(super) fn image(text: &str) -> Option<&str> {
    let (_, behind) = text.split_once("image \"")?;
    behind.split('"').next()
}

impl Diagnosis {
    /// A replica got a place: while a client waited for its answer, if it is no older than that.
    pub(super) fn placed(&mut self, evidence: &Evidence) {
        self.placement.placed(evidence);
        let asked_ms = self.latency.printed_ms;
        let age = evidence.text.split_whitespace().take(4).find_map(age_s);
        if asked_ms >= ASKED_MS && age.is_some_and(|s| s * 1e3 <= asked_ms + SINCE_MS) {
            self.waited = self.waited.max(asked_ms);
        }
    }

    /// One that is pulled at last was late, and is there.
    pub(super) fn drop_the_pulled(&mut self) {
        let Some(seen) = self.seen.get(&Cause::ImagePull) else {
            return;
        };
        let named = || seen.evidence.iter().filter(|e| image(&e.text).is_some());
        let is_over = named().next().is_some() && named().all(|e| self.placement.is_pulled(e));
        if is_over {
            self.seen.remove(&Cause::ImagePull);
        }
    }

    pub(super) fn drop_the_placed(&mut self) {
        let placement = std::mem::take(&mut self.placement);
        self.drop_evidence(Cause::Unschedulable, |evidence| {
            placement.is_overcome(evidence)
        });
    }
}
