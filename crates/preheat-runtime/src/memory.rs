//! How much memory this process uses, and how much it may.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
use std::num::NonZeroUsize;
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

/// CPUs that have one heap together.
const CPUS_PER_HEAP: usize = 4;

/// Has threads that are started from now on share heaps. A C library that gives nearly each thread one
/// of its own keeps in every one of them what its busiest moment took. What is small comes from a
/// cache that each thread has all the same, without a lock. Elsewhere than on GNU's C library it is
/// as it was.
pub fn share_heaps() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "no safe wrapper sets the allocator up")]
    {
        let cpus = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let heaps = i32::try_from(cpus.div_ceil(CPUS_PER_HEAP)).unwrap_or(i32::MAX);
        // SAFETY: a number of the allocator's own is set, which takes effect when it makes heaps. A
        // number that it refuses changes nothing.
        let _ = unsafe { libc::mallopt(libc::M_ARENA_MAX, heaps) };
    }
}

/// What stays at the top of the heap: what a few more connections take at once. Their first bytes would
/// meet a page fault each.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const AT_HAND: usize = 128 << 10;

/// Hands free pages of this process's heaps back to the system, all but a few: for the end of work that
/// took much more than what follows it. Elsewhere than on GNU's C library they stay.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "no safe wrapper gives pages back")]
    // SAFETY: only pages that hold nothing are given back, under the allocator's own locks.
    let _ = unsafe { libc::malloc_trim(AT_HAND) };
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
pub(crate) fn kibibytes(text: &str, key: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(key))?;
    value
        .trim()
        .strip_suffix("kB")?
        .trim()
        .parse::<u64>()
        .ok()?
        .checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_writes() {
        let status = "Name:\tpreheat\nVmHWM:\t   20 kB\nVmRSS:\t   12 kB\nThreads:\t3\n";
        assert_eq!(
            parse_status(status),
            Some(Usage {
                resident: 12 * 1024,
                peak: 20 * 1024
            })
        );
        assert_eq!(parse_status("Name:\tkthreadd\n"), None);
        assert_eq!(
            parse_meminfo("MemTotal:  1000 kB\nMemFree: 10 kB\n"),
            Some(1_024_000)
        );
        assert_eq!(parse_limit("max\n"), None);
        assert_eq!(parse_limit("536870912\n"), Some(536_870_912));
    }

    #[test]
    fn the_smaller_limit_counts() {
        let limit = |bytes, source| Some(Limit { bytes, source });
        assert_eq!(choose(Some(10), Some(4)), limit(4, LimitSource::Cgroup));
        assert_eq!(
            choose(Some(10), Some(1 << 62)),
            limit(10, LimitSource::Machine)
        );
        assert_eq!(choose(Some(10), None), limit(10, LimitSource::Machine));
        assert_eq!(choose(None, Some(4)), limit(4, LimitSource::Cgroup));
        assert_eq!(choose(None, None), None);
    }

    #[test]
    fn the_smallest_level_counts() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("slice/service");
        std::fs::create_dir_all(&own).unwrap();
        std::fs::write(own.join("memory.max"), "max\n").unwrap();
        std::fs::write(folder.path().join("slice/memory.max"), "4096\n").unwrap();
        std::fs::write(folder.path().join("memory.max"), "8192\n").unwrap();
        let levels = own.ancestors().take(3).map(Path::to_owned).collect();
        assert_eq!(
            cgroup_limit(&Group {
                version: Version::V2,
                levels
            }),
            Some(4096)
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_uses_memory_and_may() {
        let usage = usage().unwrap();
        assert!(
            usage.resident > 0 && usage.peak >= usage.resident,
            "{usage:?}"
        );
        assert!(limit().unwrap().bytes > usage.resident);
    }
}
