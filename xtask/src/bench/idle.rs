//! The request after a quiet while, without keep-warm traffic, and what waiting costs.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::param::clock_ticks_per_second;
use serde_json::json;

use super::client::Client;
use super::server::{Server, Setup};
use super::shapes::shapes;
use super::stats::{median, worst};
use super::{Table, ms};

const STEADY: usize = 200;
/// How long it is quiet, and how often.
const QUIET: [(Duration, usize); 2] = [(Duration::from_secs(1), 15), (Duration::from_secs(60), 3)];

pub(super) fn run(setup: &Setup) -> Result<Table> {
    let server = setup.ready()?;
    let short = &shapes()[0].request;
    let mut client = Client::connect(server.http)?;
    let mut steady = || -> Result<Vec<f64>> { (0..STEADY).map(|_| client.time(short)).collect() };
    let mut usual = steady()?;
    usual.extend(steady()?);
    let mut rows = vec![vec![
        "steady".to_owned(),
        ms(median(&usual)),
        String::new(),
        String::new(),
    ]];
    let mut samples = serde_json::Map::new();
    for (quiet, times) in QUIET {
        let mut first = Vec::new();
        let mut busy = Vec::new();
        for _ in 0..times {
            let before = cpu(&server)?;
            thread::sleep(quiet);
            busy.push(100.0 * (cpu(&server)? - before) / quiet.as_secs_f64());
            first.push(client.time(short)?);
            // Steady again before the next pause.
            for _ in 0..STEADY {
                client.time(short)?;
            }
        }
        let ratio = |time: f64| format!("{:.2}", time / median(&usual));
        rows.push(vec![
            format!("after {} s, {times} times", quiet.as_secs()),
            ms(median(&first)),
            format!("{} ({})", ratio(median(&first)), ratio(worst(&first))),
            format!("{:.2}", median(&busy)),
        ]);
        samples.insert(
            quiet.as_secs().to_string(),
            json!({"first_ms": first, "cpu_percent": busy}),
        );
    }
    samples.insert("steady_ms".to_owned(), usual.into());
    Ok(Table {
        name: "Idle",
        about: "One short text on one kept connection. Processor time is of the replica while it \
                is quiet, in percent of one core; the worst ratio in brackets."
            .to_owned(),
        columns: &["", "first ms", "first ÷ steady", "processor %"],
        rows,
        samples: samples.into(),
    })
}

/// Processor time of the process so far, in seconds.
fn cpu(server: &Server) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", server.id()))?;
    // The name may hold spaces, so fields count from its bracket: user and system are 12th and 13th.
    let (_, fields) = stat.rsplit_once(") ").context("no name in stat")?;
    let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<u64>);
    let ticks = ticks.sum::<Result<u64, _>>()?;
    Ok(ticks as f64 / clock_ticks_per_second() as f64)
}
