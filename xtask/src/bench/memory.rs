//! Memory that processes are charged with, as the kernel counts it.

use std::fs;

use anyhow::{Context, Result};

/// Of one process, in MB.
#[derive(Clone, Copy)]
pub(super) struct Memory {
    /// Proportional set size: what processes share is counted once among them.
    pub(super) pss: f64,
    /// What no other process has mapped.
    pub(super) private: f64,
}

/// Of one process; none when it has ended.
pub(super) fn of(process: u32) -> Result<Option<Memory>> {
    let Ok(rollup) = fs::read_to_string(format!("/proc/{process}/smaps_rollup")) else {
        return Ok(None);
    };
    let megabytes = |key: &str| -> Result<f64> {
        let line = rollup.lines().find_map(|line| line.strip_prefix(key));
        let words = line.and_then(|line| line.split_whitespace().next());
        let kilobytes: u64 = words.with_context(|| format!("no {key} line"))?.parse()?;
        Ok(kilobytes as f64 / 1e3)
    };
    Ok(Some(Memory {
        pss: megabytes("Pss:")?,
        private: megabytes("Private_Clean:")? + megabytes("Private_Dirty:")?,
    }))
}

/// Proportional set size of a process and its children in MB.
pub(super) fn tree_pss(root: u32) -> Result<f64> {
    let mut sum = 0.0;
    let mut open = vec![root];
    while let Some(process) = open.pop() {
        // One may have ended since it was listed.
        if let Some(memory) = of(process)? {
            sum += memory.pss;
            open.extend(children(process));
        }
    }
    Ok(sum)
}

fn children(process: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{process}/task"));
    let lists = threads.into_iter().flatten().flatten();
    lists
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|id| id.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect()
}
