//! The process shell: telemetry, signals, tasks, gate, listeners, drain. Knows nothing of models.
//!
//! This is the only crate that spawns tasks and threads. It reads neither arguments nor environment:
//! what it needs is passed in.

pub mod body;
pub mod causes;
pub mod cgroup;
pub mod child;
pub mod cors;
pub mod cpu;
pub mod drain;
pub mod edge;
pub mod file;
pub mod guardian;
pub mod hops;
pub mod inflight;
pub mod keeper;
pub mod keys;
pub mod lanes;
pub mod latch;
pub mod memory;
pub mod metrics;
pub mod origin;
pub mod output;
pub mod priority;
pub mod probe;
pub mod process;
pub mod process_tree;
pub mod rates;
pub mod reload;
pub mod replay;
pub mod signals;
pub mod tap;
pub mod tasks;
pub mod telemetry;
pub mod thread;
pub mod tls;
pub mod tunnel;
pub mod unread;
pub mod upstream;

pub use drain::{Drain, DrainLimits, DrainReport, Draining, Stage};
pub use edge::{BindError, ConnectionCounters, EdgeConfig, Listener, Peer, Shell, bind, serve};
pub use inflight::{InFlight, Permit, PermitBody};
pub use lanes::Lanes;
pub use latch::Latch;
pub use probe::ProbeThread;
pub use signals::{Shutdown, Urgency};
pub use tasks::{StillRunning, Tasks};
