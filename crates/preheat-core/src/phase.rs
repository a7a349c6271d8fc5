//! The phases of a replica's life and what follows from each.

use crate::failure::Failure;

/// Where a replica is in its life. Changed only by [`Lifecycle::step`](crate::Lifecycle::step).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// Sockets are bound; nothing else has happened.
    Starting,
    /// The model's files are being brought here and checked.
    Fetching,
    /// Weights, tokenizer and engine are being set up.
    Loading,
    /// The plan's cases are running.
    Warming,
    /// The whole path is being measured against the criteria.
    Proving,
    /// A pass was handed in; users are served.
    Ready,
    /// Readiness is off; what was accepted is being finished.
    Draining,
    Stopped,
    Failed(Failure),
}

impl Phase {
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Phase::Starting => "starting",
            Phase::Fetching => "fetching",
            Phase::Loading => "loading",
            Phase::Warming => "warming",
            Phase::Proving => "proving",
            Phase::Ready => "ready",
            Phase::Draining => "draining",
            Phase::Stopped => "stopped",
            Phase::Failed(_) => "failed",
        }
    }

    /// Every phase name, in the order of a life.
    pub const NAMES: [&'static str; 9] = [
        "starting", "fetching", "loading", "warming", "proving", "ready", "draining", "stopped",
        "failed",
    ];

    #[must_use]
    pub const fn group(&self) -> PhaseGroup {
        match self {
            Phase::Starting | Phase::Fetching => PhaseGroup::Cold,
            Phase::Loading => PhaseGroup::Loading,
            Phase::Warming | Phase::Proving => PhaseGroup::Warming,
            Phase::Ready => PhaseGroup::Warm,
            Phase::Draining | Phase::Stopped => PhaseGroup::Draining,
            Phase::Failed(_) => PhaseGroup::Failed,
        }
    }

    /// Waiting for this replica to become ready is in vain, or at least not to be counted on.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        matches!(self, Phase::Draining | Phase::Stopped | Phase::Failed(_))
    }
}

/// Phases as people read them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PhaseGroup {
    Cold,
    Loading,
    Warming,
    Warm,
    Draining,
    Failed,
}

impl PhaseGroup {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            PhaseGroup::Cold => "cold",
            PhaseGroup::Loading => "loading",
            PhaseGroup::Warming => "warming",
            PhaseGroup::Warm => "warm",
            PhaseGroup::Draining => "draining",
            PhaseGroup::Failed => "failed",
        }
    }
}

/// What the probes answer. Computed, never set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probes {
    /// True once the first pass was handed in, and from then on.
    pub startup: bool,
    /// True while the process lives: a replica that failed to load is not helped by a restart.
    pub liveness: bool,
    pub readiness: bool,
}

impl Probes {
    #[must_use]
    pub fn of(phase: &Phase, was_ready: bool) -> Self {
        Probes {
            startup: was_ready,
            liveness: !matches!(phase, Phase::Stopped),
            readiness: matches!(phase, Phase::Ready),
        }
    }
}
