//! From exec to the first sign of life, and to ready.

use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::json;

use super::server::{Server, Setup};
use super::stats::{median, worst};
use super::{Table, ms};

pub(super) fn run(setup: &Setup, starts: usize) -> Result<Table> {
    let mut alive = Vec::new();
    let mut ready = Vec::new();
    for _ in 0..starts {
        let server = setup.start()?;
        alive.push(until_ok(&server, "/health")?);
        ready.push(until_ok(&server, "/ready")?);
    }
    let row =
        |name: &str, times: &[f64]| vec![name.to_owned(), ms(median(times)), ms(worst(times))];
    Ok(Table {
        name: "Start-up",
        about: format!("{starts} starts with the model in the page cache; times count from exec."),
        columns: &["", "median ms", "worst ms"],
        rows: vec![row("alive", &alive), row("ready", &ready)],
        samples: json!({"alive_ms": alive, "ready_ms": ready}),
    })
}

pub(super) fn until_ok(server: &Server, path: &str) -> Result<f64> {
    while server.ask(path) != Some(200) {
        if server.started.elapsed() > Duration::from_secs(300) {
            bail!("{path} never answered 200");
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(server.started.elapsed().as_secs_f64() * 1e3)
}
