//! Measures what preheat promises, from outside, on a release build.
//!
//! Each scenario starts the binary, drives it over plain sockets, and answers one table with its
//! raw samples. Figures are of the machine they were taken on: `--save` records which.

mod client;
mod diagnose;
mod first_request;
mod from_zero;
mod gateway;
mod idle;
mod machine;
mod memory;
mod peers;
mod ready;
mod replicas;
mod save;
mod server;
mod shapes;
mod slow;
mod startup;
mod stats;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::{setup, shell};
use server::Setup;

#[derive(Clone, Args)]
pub(crate) struct Options {
    /// Only this one; all of them otherwise
    #[arg(value_enum)]
    scenario: Option<Scenario>,
    /// Fresh starts behind each figure that is about a start
    #[arg(long, default_value_t = 5)]
    starts: usize,
    /// Of the peers, only those whose files have this in their names
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Serve without warm-up: what the first users would have paid
    #[arg(long)]
    skip_warmup: bool,
    /// Keep table, samples and machine in bench/results
    #[arg(long)]
    save: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// Exec to alive, exec to ready
    Startup,
    /// First requests after ready against steady ones, five shapes
    FirstRequest,
    /// Readiness probes while every core computes
    Ready,
    /// Six replicas of one model: start and memory of each further one
    Replicas,
    /// The first request after a quiet while, and the processor time of waiting
    Idle,
    /// Latency with and without 2 000 half-open connections
    SlowConnections,
    /// What a gateway adds to a request: direct and through it, on the same replica
    GatewayOverhead,
    /// From zero to the first answer through a gateway
    FromZero,
    /// Other servers on the same model and requests; installs gigabytes, so only when named
    Peers,
    /// A gigabyte of log through diagnose: time, and the most memory held
    Diagnose,
}

/// What a scenario found.
struct Table {
    name: &'static str,
    /// What was done, in one sentence.
    about: String,
    columns: &'static [&'static str],
    rows: Vec<Vec<String>>,
    /// Every sample, for those who want other figures.
    samples: Value,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    setup::run()?;
    shell::run(shell::command(
        "cargo",
        &["build", "--locked", "--release", "-p", "preheat"],
    ))?;
    let setup = Setup::new(options.skip_warmup);
    for scenario in Scenario::value_variants() {
        let all = options.scenario.is_none() && *scenario != Scenario::Peers;
        if !all && options.scenario != Some(*scenario) {
            continue;
        }
        let table = match scenario {
            Scenario::Startup => startup::run(&setup, options.starts),
            Scenario::FirstRequest => first_request::run(&setup, options.starts),
            Scenario::Ready => ready::run(&setup),
            Scenario::Replicas => replicas::run(&setup),
            Scenario::Idle => idle::run(&setup),
            Scenario::SlowConnections => slow::run(&setup),
            Scenario::GatewayOverhead => gateway::run(&setup),
            Scenario::FromZero => from_zero::run(&setup, options.starts),
            Scenario::Peers => peers::run(options.starts, &options.only),
            Scenario::Diagnose => diagnose::run(&setup),
        };
        let name = scenario.to_possible_value().expect("no scenario is hidden");
        let table = table.with_context(|| name.get_name().to_owned())?;
        println!("\n{}", table.markdown());
        if options.save {
            println!("saved as {}", save::save(&table)?);
        }
    }
    Ok(())
}

impl Table {
    fn markdown(&self) -> String {
        let line = |cells: Vec<&str>| format!("| {} |\n", cells.join(" | "));
        let mut text = format!("# {}\n\n{}\n\n", self.name, self.about);
        text += &line(self.columns.to_vec());
        text += &line(vec!["---"; self.columns.len()]);
        for row in &self.rows {
            text += &line(row.iter().map(String::as_str).collect());
        }
        text
    }
}

/// Milliseconds with as many digits as mean something.
fn ms(milliseconds: f64) -> String {
    match milliseconds {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 1.0 => format!("{value:.1}"),
        value => format!("{value:.3}"),
    }
}
