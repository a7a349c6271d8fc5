//! Whole fleets in simulated time, over the very policies of core.
//!
//! A [`Scenario`] says what comes in, what a replica costs and what fails; a [`Strategy`] who decides:
//! preheat, preheat with parts switched off, or the published rules of other systems. [`run`] plays
//! it, and the same seed gives the same [`Outcome`], to the bit.
//!
//! Nothing here reads a clock, a file or the network.

pub mod calibrate;
mod cluster;
mod front;
mod histogram;
mod ledger;
pub mod plan;
mod random;
mod record;
mod rules;
mod run;
mod scenario;
mod traffic;

pub use histogram::Histogram;
pub use ledger::{Outcome, Point, Snapshot, Stretch};
pub use record::{End, PhaseChange, RecordedRequest, Recording};
pub use run::{record, run};
pub use scenario::{
    ColdRuns, Failures, FleetModel, Gate, Holding, PreheatOptions, Probation, Promotion,
    ReplicaModel, Scenario, Service, StageTime, Strategy,
};
pub use traffic::{Arrivals, Part, Shape, Traffic};
