//! How much memory this process uses, and how much it may.

use std::path::Path;

use crate::cgroup::{self, Group, Version};

/// What a process uses of main memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    pub resident: u64,
    /// The most that was ever resident.
    pub peak: u64,
}

/// What a process may use at most, and who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    pub bytes: u64,
    pub source: LimitSource,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitSource {
    Cgroup,
    /// No limit but the machine itself.
    Machine,
}

/// This process now. `None` where the system does not say.
#[must_use]
pub fn usage() -> Option<Usage> {
    parse_status(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// The limit of this process. `None` where the system does not say.
#[must_use]
pub fn limit() -> Option<Limit> {
    let machine = std::fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| parse_meminfo(&text));
    let cgroup = cgroup::groups("memory")
        .iter()
        .filter_map(cgroup_limit)
        .min();
    choose(machine, cgroup)
}

fn choose(machine: Option<u64>, cgroup: Option<u64>) -> Option<Limit> {
    match (machine, cgroup) {
        // Version 1 writes "no limit" as a number greater than any machine.
        (machine, Some(bytes)) if machine.is_none_or(|machine| bytes < machine) => Some(Limit {
            bytes,
            source: LimitSource::Cgroup,
        }),
        (machine, _) => machine.map(|bytes| Limit {
            bytes,
            source: LimitSource::Machine,
        }),
    }
}

fn cgroup_limit(group: &Group) -> Option<u64> {
    let file = match group.version {
        Version::V1 => "memory.limit_in_bytes",
        Version::V2 => "memory.max",
    };
    cgroup::smallest(group, |level: &Path| {
        parse_limit(&std::fs::read_to_string(level.join(file)).ok()?)
    })
}

/// `max`, or bytes.
fn parse_limit(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

fn parse_status(text: &str) -> Option<Usage> {
    Some(Usage {
        resident: kibibytes(text, "VmRSS:")?,
        peak: kibibytes(text, "VmHWM:")?,
    })
}

fn parse_meminfo(text: &str) -> Option<u64> {
    kibibytes(text, "MemTotal:")
}

/// The bytes of a line like `VmRSS:     1234 kB`.
fn kibibytes(text: &str, key: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(key))?;
    value
        .trim()
        .strip_suffix("kB")?
        .trim()
        .parse::<u64>()
        .ok()?
        .checked_mul(1024)
}
