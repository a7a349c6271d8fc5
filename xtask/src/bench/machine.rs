//! Which machine and which build a figure is of.

use std::fs;
use std::thread;

use anyhow::Result;
use serde_json::{Value, json};

use crate::shell;

pub(super) fn facts() -> Result<Value> {
    let said = |program: &str, args: &[&str]| -> Result<String> {
        Ok(shell::output(&mut shell::command(program, args))?
            .trim()
            .to_owned())
    };
    let dirty = !said("git", &["status", "--porcelain", "--untracked-files=no"])?.is_empty();
    Ok(json!({
        "date": said("date", &["+%Y-%m-%d"])?,
        "revision": said("git", &["rev-parse", "--short", "HEAD"])?,
        "uncommitted_changes": dirty,
        "rustc": said("rustc", &["--version"])?,
        "kernel": said("uname", &["-srm"])?,
        "cpu": field("/proc/cpuinfo", "model name"),
        "cpus": thread::available_parallelism()?.get(),
        "memory": field("/proc/meminfo", "MemTotal"),
    }))
}

/// A value of a `key : value` file; none where there is no such file.
fn field(path: &str, key: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    line.split_once(':')
        .map(|(_, value)| value.trim().to_owned())
}
