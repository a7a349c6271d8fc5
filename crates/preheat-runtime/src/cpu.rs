//! How many CPUs this process may really use: a container with a quota of two on a machine of
//! sixty-four must not start sixty-four threads.

use std::num::NonZeroUsize;
use std::path::Path;

use crate::cgroup::{self, Group, Version};

/// The smaller of the CPUs that the scheduler may put us on and the time that our group is given,
/// the latter rounded up.
#[must_use]
pub fn usable() -> NonZeroUsize {
    let quota = cgroup::groups("cpu")
        .iter()
        .filter_map(cgroup_quota)
        .reduce(f64::min);
    combine(affinity(), quota)
}

fn combine(affinity: usize, quota: Option<f64>) -> NonZeroUsize {
    let whole = quota.map_or(usize::MAX, |cpus| cpus.ceil() as usize);
    NonZeroUsize::new(affinity.min(whole)).unwrap_or(NonZeroUsize::MIN)
}

#[cfg(target_os = "linux")]
fn affinity() -> usize {
    // The standard library would mix in the quota, rounded down.
    match rustix::thread::sched_getaffinity(None) {
        Ok(set) => set.count() as usize,
        Err(_) => std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
    }
}

#[cfg(not(target_os = "linux"))]
fn affinity() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

fn cgroup_quota(group: &Group) -> Option<f64> {
    let read = |level: &Path, file: &str| std::fs::read_to_string(level.join(file)).ok();
    cgroup::smallest(group, |level| match group.version {
        Version::V2 => parse_v2(&read(level, "cpu.max")?),
        Version::V1 => parse_v1(
            &read(level, "cpu.cfs_quota_us")?,
            &read(level, "cpu.cfs_period_us")?,
        ),
    })
}

/// `max 100000`, or quota and period in microseconds.
fn parse_v2(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    ratio(quota, period)
}

/// The quota is -1 where there is none.
fn parse_v1(quota: &str, period: &str) -> Option<f64> {
    ratio(quota.trim(), period.trim())
}

fn ratio(quota: &str, period: &str) -> Option<f64> {
    let (quota, period) = (quota.parse::<u64>().ok()?, period.parse::<u64>().ok()?);
    (period > 0).then(|| quota as f64 / period as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_writes() {
        assert_eq!(parse_v2("max 100000\n"), None);
        assert_eq!(parse_v2("150000 100000\n"), Some(1.5));
        assert_eq!(parse_v2("150000 0\n"), None);
        assert_eq!(parse_v1("-1\n", "100000\n"), None);
        assert_eq!(parse_v1("50000\n", "100000\n"), Some(0.5));
    }

    #[test]
    fn a_quota_is_rounded_up_and_never_adds_cpus() {
        for (affinity, quota, usable) in [
            (8, None, 8),
            (8, Some(1.5), 2),
            (8, Some(0.2), 1),
            (2, Some(16.0), 2),
            (0, None, 1),
            (4, Some(0.0), 1),
        ] {
            assert_eq!(
                combine(affinity, quota).get(),
                usable,
                "{affinity} {quota:?}"
            );
        }
    }

    #[test]
    fn this_process_has_a_cpu() {
        assert!(usable().get() <= std::thread::available_parallelism().unwrap().get().max(1) + 1);
    }
}
