//! Memory that a process and its children are charged with.

use std::fs;

use anyhow::{Context, Result};

/// Proportional set size of the whole tree in MB: what processes share is counted once.
pub(super) fn pss(root: u32) -> Result<f64> {
    let mut kilobytes = 0;
    let mut open = vec![root];
    while let Some(process) = open.pop() {
        let Ok(rollup) = fs::read_to_string(format!("/proc/{process}/smaps_rollup")) else {
            // It ended since it was listed.
            continue;
        };
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
        let words = line.and_then(|line| line.split_whitespace().next());
        kilobytes += words.context("no Pss line")?.parse::<u64>()?;
        open.extend(children(process));
    }
    Ok(kilobytes as f64 / 1e3)
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
