//! A recorded trace, one JSON object a line: its head, then what happened on one or two sides that
//! share a clock and their arrivals. `preheat simulate --trace` writes it, the dashboard plays it.

use serde::Serialize;

/// The first line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TraceHead {
    /// The version of the format: 1.
    pub trace: u32,
    pub title: String,
    pub about: String,
    pub simulated: bool,
    pub slo_ms: f64,
    pub from_ms: f64,
    pub until_ms: f64,
    pub sides: Vec<String>,
}

/// Any other line.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum TraceLine {
    /// A replica came into a phase.
    Phase {
        side: usize,
        at_ms: u64,
        replica: String,
        phase: &'static str,
    },
    /// Requests came: the first at `at_ms`, each other so long after the one before.
    Arrivals { at_ms: u64, gaps: Vec<u64> },
    /// What became of each of them on one side.
    Answers { side: usize, ms: Vec<TraceAnswer> },
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(untagged)]
pub enum TraceAnswer {
    /// Answered after so many milliseconds.
    Took(u64),
    /// Ended in another way after so many milliseconds: `refused` or `failed`.
    Ended(u64, &'static str),
    /// Never answered: `null`.
    Open(Option<u64>),
}
