//! Why a replica cannot serve, in a form a person can act on.

use std::fmt;

use crate::phase::Phase;

/// Stage, cause and remedy. Every failure of a start carries all three.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub kind: FailureKind,
    /// The phase in which it happened, by its name.
    pub stage: &'static str,
    pub cause: String,
    /// What to do next.
    pub remedy: String,
}

impl Failure {
    pub fn new(
        kind: FailureKind,
        stage: &Phase,
        cause: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Failure {
            kind,
            stage: stage.name(),
            cause: cause.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed: {}; {}", self.stage, self.cause, self.remedy)
    }
}

/// The class of a failure; it decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    Configuration,
    NotFetched,
    Load,
    Warmup,
    Proof,
    Memory,
    AddressInUse,
    DrainCut,
    Internal,
}

impl FailureKind {
    pub const ALL: [FailureKind; 9] = [
        FailureKind::Configuration,
        FailureKind::NotFetched,
        FailureKind::Load,
        FailureKind::Warmup,
        FailureKind::Proof,
        FailureKind::Memory,
        FailureKind::AddressInUse,
        FailureKind::DrainCut,
        FailureKind::Internal,
    ];

    /// Exit codes are API: scripts branch on them.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            FailureKind::Configuration => 10,
            FailureKind::NotFetched => 11,
            FailureKind::Load => 12,
            FailureKind::Warmup => 13,
            FailureKind::Proof => 14,
            FailureKind::Memory => 15,
            FailureKind::AddressInUse => 16,
            FailureKind::DrainCut => 17,
            FailureKind::Internal => 1,
        }
    }
}
