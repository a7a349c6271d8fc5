//! What was seen of a rotation: by those who look, and by the fleet loop at each turn.

use std::time::Duration;

use preheat_core::demand::Rate;
use preheat_core::{Moment, ReplicaId};

/// What requests found out about replicas.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// It missed the objective in its probation.
    BackToWarming {
        id: ReplicaId,
        seen: u32,
        missed: u32,
    },
    Passed {
        id: ReplicaId,
    },
    Ejected {
        id: ReplicaId,
        until: Moment,
    },
    /// It takes no connections, or breaks them.
    Unreachable {
        id: ReplicaId,
        /// Requests that it had answered since it was admitted.
        answered: u64,
    },
}

impl Fact {
    /// Its replica gets no further request until the loop admits it again.
    pub(super) fn leaves_rotation(&self) -> bool {
        matches!(self, Fact::BackToWarming { .. } | Fact::Unreachable { .. })
    }
}

/// What the fleet loop reads at each turn.
#[derive(Debug)]
pub struct Observed {
    pub rate: Rate,
    /// Arrivals a second in the last moments.
    pub latest: f64,
    pub peak: f64,
    pub last_arrival: Option<Moment>,
    pub held: usize,
    pub held_bytes: u64,
    pub in_flight: usize,
    pub facts: Vec<Fact>,
    pub starved: Option<Moment>,
    /// For how long a request takes a place of late, under the load of late.
    pub service: Option<Duration>,
    /// How long its answer takes to begin.
    pub latency: Option<Duration>,
}

/// One replica in rotation, for those who look.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    pub in_flight: usize,
    pub answered: u64,
    pub last_run: Moment,
    pub latency: Duration,
    pub ejected: bool,
}
