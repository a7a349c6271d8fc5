//! Loads that failed, until another one does not.

use crate::Evidence;

/// So few lines behind the failure, a request tells that it failed for it.
const NEARBY_LINES: u64 = 4;

/// Failures that are kept.
const KEPT: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Failures {
    all: Vec<Evidence>,
    /// Those after which another load or a warm-up began.
    retried: Vec<Evidence>,
    /// Those of a server that had answered requests before.
    aside: Vec<Evidence>,
    /// Those after which the server was ready all the same.
    overcome: Vec<Evidence>,
    /// The newest, if a port was open by then.
    asked: Option<Evidence>,
}

impl Failures {
    pub(crate) fn add(&mut self, evidence: &Evidence) {
        if self.all.len() < KEPT {
            self.all.push(evidence.clone());
        }
    }

    /// It failed beside what serves.
    pub(crate) fn is_aside(&mut self, evidence: &Evidence) {
        if self.aside.len() < KEPT {
            self.aside.push(evidence.clone());
        }
    }

    /// Whoever served before is gone.
    pub(crate) fn begin_anew(&mut self) {
        self.aside.clear();
    }

    /// A request is answered as before.
    pub(crate) fn serves_on(&mut self) {
        let room = KEPT.saturating_sub(self.overcome.len());
        self.overcome.extend(self.aside.drain(..).take(room));
    }

    /// It failed while somebody may have waited for it.
    pub(crate) fn may_be_asked(&mut self, evidence: &Evidence) {
        self.asked = Some(evidence.clone());
    }

    /// A request fails at that line: the load that failed right before it, which it most likely asked for.
    pub(crate) fn asked_by(&mut self, line: u64) -> Option<Evidence> {
        let asked = self.asked.take();
        self.aside.retain(|failure| Some(failure) != asked.as_ref());
        asked.filter(|failure| line.abs_diff(failure.line) <= NEARBY_LINES)
    }

    /// Something is loaded, or warmed, although a load failed before.
    pub(crate) fn goes_on(&mut self) {
        self.retried.append(&mut self.all);
        self.retried.truncate(KEPT);
    }

    /// The server is ready all the same.
    pub(super) fn overcome(&mut self) {
        let room = KEPT.saturating_sub(self.overcome.len());
        let retried = std::mem::take(&mut self.retried);
        self.overcome.extend(retried.into_iter().take(room));
    }

    pub(crate) fn are_none(&self) -> bool {
        self.all.is_empty() && self.retried.is_empty()
    }

    pub(crate) fn is_overcome(&self, failure: &Evidence) -> bool {
        self.overcome.contains(failure)
    }
}
