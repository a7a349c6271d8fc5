//! Limits of a machine, as `preheat floor` measured them and keeps them in the cache.

use serde::{Deserialize, Serialize};

/// What no start on this machine can be faster than, in parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MachineFloor {
    /// Which kind of processor it was measured on; figures of another one mean nothing here.
    pub cpu: String,
    /// Starting this program, which then does nothing.
    pub process_ms: f64,
    /// Mapping a megabyte of a file that is in the page cache.
    pub map_ms_per_mb: f64,
    /// Reading memory, one thread.
    pub read_gb_per_second: f64,
}

/// Where it is kept, in the cache.
pub const FILE: &str = "floor.json";
