//! Words and decisions of preheat: what a replica's life is, what it must do to prove that it is
//! warm, who is admitted, what runs together; how many replicas a fleet needs, which of them takes a
//! request, who waits, and how one revision gives way to the next.
//!
//! Everything here is a plain value or a pure function. Nothing awaits, logs, serialises, spawns or
//! reads a clock: `now` and every observation are arguments.

pub mod admission;
pub mod balance;
pub mod batching;
pub mod coverage;
pub mod decision;
pub mod demand;
pub mod drift;
pub mod failure;
pub mod fleet;
pub mod hold;
pub mod keepwarm;
pub mod lifecycle;
pub mod moment;
pub mod names;
pub mod phase;
pub mod plan;
pub mod pool;
pub mod proof;
pub mod rollout;
pub mod scaling;
pub mod shape;
pub mod slo;
pub mod tensor;
pub mod warmup;
pub mod waterfall;

pub use admission::{Admit, Load, ShedReason};
pub use decision::Because;
pub use failure::{Failure, FailureKind};
pub use lifecycle::{Effect, Event, Lifecycle, LifecycleSettings, OnFailure};
pub use moment::Moment;
pub use names::{ModelName, ReplicaId, Revision};
pub use phase::{Phase, PhaseGroup, Probes};
pub use plan::{Case, CaseInput, Expectation, ModelLimits, WarmupPlan};
pub use proof::{Check, CheckId, Criteria, Evidence, Pass, Proof, Verdict, Warmth};
pub use shape::{Buckets, ShapeBucket};
pub use slo::{Capacity, Slo};
pub use tensor::{Element, Fill, PlannedTensor, TensorSpec};
pub use warmup::{CaseReport, OutputFacts, Path, RoundPolicy, Rounds, WarmupReport};
pub use waterfall::{Span, Waterfall};
