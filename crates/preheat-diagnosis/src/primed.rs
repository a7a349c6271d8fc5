//! A start's own hook asks its server once, so that a model is loaded before anybody else asks.

use super::cause::Cause;
use super::line::Parsed;
use super::{Diagnosis, Evidence};

/// What the first request loads or makes, and that it is slow.
const LAZILY: [Cause; 5] = [
    Cause::WarmedByTraffic,
    Cause::LazyModel,
    Cause::LazyTokenizer,
    Cause::CudaContext,
    Cause::Kernels,
];

#[derive(Debug, Default)]
pub(super) struct Primed {
    has_hook: bool,
    /// Somebody on the same machine asked before anybody else did.
    is_own: bool,
    /// The first who asked from elsewhere.
    other: Option<Evidence>,
}

impl Primed {
    /// A line names such a hook.
    pub(super) fn hooked(&mut self) {
        self.has_hook = true;
    }

    /// Somebody asked for something that only a model answers.
    pub(super) fn asked(&mut self, line: &Parsed<'_>) {
        let is_local = ["127.0.0.1", "[::1]", "localhost"]
            .iter()
            .any(|host| line.text.contains(host));
        if is_local && self.other.is_none() {
            self.is_own = true;
        } else if self.other.is_none() {
            self.other = Some(line.evidence.clone());
        }
    }

    /// The first who asked, where the start's own hook asked before.
    fn first(&self) -> Option<&Evidence> {
        let is_primed = self.has_hook && self.is_own;
        self.other.as_ref().filter(|_| is_primed)
    }
}

impl Diagnosis {
    /// What the start's own request waited for is nobody's cold start.
    pub(super) fn drop_primed(&mut self) {
        let Some(first) = self.primed.first().cloned() else {
            return;
        };
        for cause in LAZILY {
            self.drop_evidence(cause, |seen| {
                seen.source == first.source && seen.line < first.line
            });
        }
    }
}
