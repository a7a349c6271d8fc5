//! What was observed about a replica.

use std::time::Duration;

use crate::warmup::{CaseReport, Path, median, ratio};

/// Everything that was observed about a replica before judging it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evidence {
    pub weights: WeightsEvidence,
    /// What a server behind our doors says of itself. Its weights are its own, so `weights` then says
    /// nothing.
    pub server: Option<String>,
    /// Case runs on every path and instance.
    pub cases: Vec<CaseReport>,
    /// Planned runs that did not happen, by name and path.
    pub missing: Vec<String>,
    pub first_requests: Vec<FirstRequests>,
    pub concurrency: Option<ConcurrencyEvidence>,
    pub memory: MemoryEvidence,
    pub load: Option<LoadEvidence>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WeightsEvidence {
    pub device: String,
    /// None: nobody said what the checksum should be.
    pub checksum_ok: Option<bool>,
    pub tokenizer_ready: bool,
}

/// First and following requests on fresh connections through one front door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstRequests {
    pub path: Path,
    /// The first request of each fresh connection.
    pub first: Vec<Duration>,
    pub steady: Vec<Duration>,
}

impl FirstRequests {
    #[must_use]
    pub fn ratio(&self) -> f64 {
        ratio(median(&self.first), median(&self.steady))
    }
}

/// Overlapping requests compared with the same requests one at a time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ConcurrencyEvidence {
    pub requests: usize,
    pub failed: usize,
    /// Largest absolute difference of any number.
    pub max_difference: f32,
    /// How far apart answers may be: rounding differs with the batch on some engines.
    pub tolerance: f32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryEvidence {
    pub peak_bytes: u64,
    pub limit_bytes: u64,
}

impl MemoryEvidence {
    /// Share of the limit that the peak left free.
    #[must_use]
    pub fn headroom(&self) -> f64 {
        if self.limit_bytes == 0 {
            return 1.0;
        }
        let used = self.peak_bytes as f64 / self.limit_bytes as f64;
        (1.0 - used).max(0.0)
    }
}

/// What a short synthetic load showed.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct LoadEvidence {
    pub requests: usize,
    pub errors: usize,
    pub p95: Duration,
    pub rate: f64,
}
