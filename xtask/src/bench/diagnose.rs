//! A gigabyte of log through `preheat diagnose`: how long it takes, and the most memory it held.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::server::Setup;
use super::{Table, ms};
use crate::shell;

const SIZE: u64 = 1_000_000_000;
/// What it may hold, whatever it reads.
const MOST_MB: u64 = 256;
const CORPUS: &str = "crates/preheat-diagnosis/tests/corpus/seen";

pub(super) fn run(setup: &Setup) -> Result<Table> {
    let scratch = tempfile::tempdir_in(shell::root().join("target"))?;
    let path = scratch.path().join("large.log");
    write(&path)?;
    let began = Instant::now();
    let mut child = Command::new(setup.binary())
        .args(["diagnose", "--json"])
        .arg(&path)
        .stdout(Stdio::null())
        .spawn()?;
    let mut peak = 0;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        peak = peak.max(held(child.id()));
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    let took = began.elapsed().as_secs_f64();
    // 1: something was found, as it should be.
    if status.code() != Some(1) {
        bail!("diagnose ended with {status}");
    }
    if peak > MOST_MB {
        bail!("diagnose held {peak} MB, more than {MOST_MB}");
    }
    let speed = SIZE as f64 / 1e6 / took;
    Ok(Table {
        name: "A gigabyte of log through diagnose",
        about: "Logs of real servers, one after the other, again and again; the file is in the page cache."
            .into(),
        columns: &["seconds", "MB a second", "peak memory MB"],
        rows: vec![vec![ms(took), ms(speed), peak.to_string()]],
        samples: json!({"seconds": took, "bytes": SIZE, "peak_mb": peak}),
    })
}

/// Every log of the corpus, again and again.
fn write(path: &std::path::Path) -> Result<()> {
    let mut logs = Vec::new();
    for entry in std::fs::read_dir(shell::root().join(CORPUS))? {
        logs.push(std::fs::read(entry?.path())?);
    }
    logs.sort();
    let mut file = BufWriter::new(File::create(path)?);
    let mut written = 0;
    while written < SIZE {
        for log in &logs {
            file.write_all(log)?;
            file.write_all(b"\n")?;
            written += log.len() as u64 + 1;
        }
    }
    Ok(file.flush()?)
}

/// Megabytes at most so far.
fn held(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))
        .context("gone")
        .unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kb = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kb.unwrap_or(0) / 1024
}
