//! Measures what preheat promises, from outside, on a release build.
//!
//! Each scenario starts the binary, drives it over plain sockets, and answers one table with its
//! raw samples. Figures are of the machine they were taken on: `--save` records which.

mod calibrate;
mod chaos;
mod client;
mod diagnose;
mod dtypes;
mod events;
mod first_request;
mod fleet;
mod from_disk;
mod from_zero;
mod gateway;
mod idle;
mod levels;
mod load;
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
mod step;
mod users;
mod variants;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
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
    #[arg(long, default_value = "5")]
    starts: NonZeroUsize,
    /// Of the peers, only those whose files have this in their names
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Serve without warm-up: what the first users would have paid
    #[arg(long)]
    skip_warmup: bool,
    /// How long faults are played
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    /// Scale events, one after another
    #[arg(long, default_value_t = 1000)]
    events: usize,
    /// Rollouts, one after another
    #[arg(long, default_value_t = 100)]
    rollouts: usize,
    /// What faults and arrivals are drawn from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// For fleets: this build of preheat in place of the present release build
    #[arg(long)]
    binary: Option<PathBuf>,
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
    /// A start without anything in the page cache, and rare words right after it
    FromDisk,
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
    /// Numbers that a model is computed in: throughput of the mix, latency, accuracy
    Dtypes,
    /// The native engine and ONNX Runtime with all instructions and with AVX2, in the same server
    Levels,
    /// Other servers on the same model and requests; installs gigabytes, so only when named
    Peers,
    /// Users of a gateway while replicas, connections, disk and the gateway itself fail; only when
    /// named
    Chaos,
    /// A thousand scale events and a hundred rollouts under load; only when named
    Events,
    /// Six times the load at one moment, with spares and with too few
    Step,
    /// The simulator against a real fleet
    Calibrate,
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
    match options.scenario {
        Some(Scenario::FromDisk | Scenario::FromZero | Scenario::Dtypes | Scenario::Step) => {
            setup::model()?
        }
        Some(Scenario::Levels) => {
            setup::model()?;
            setup::onnx()?;
        }
        Some(scenario) if !scenario.needs_model() => {}
        _ => setup::run()?,
    }
    if options.binary.is_none() || options.scenario.is_none_or(Scenario::needs_model) {
        shell::run(shell::command(
            "cargo",
            &["build", "--locked", "--release", "-p", "preheat"],
        ))?;
    }
    let setup = Setup::new(options.skip_warmup);
    let starts = options.starts.get();
    let binary = options.binary.as_deref().unwrap_or(setup.binary());
    // Told at the end: what one scenario misses keeps none of the others from being measured.
    let mut all_missed = Vec::new();
    for scenario in Scenario::value_variants() {
        let all = options.scenario.is_none() && !scenario.only_when_named();
        if !all && options.scenario != Some(*scenario) {
            continue;
        }
        let mut missed = Vec::new();
        let table = match scenario {
            Scenario::Startup => startup::run(&setup, starts),
            Scenario::FirstRequest => first_request::run(&setup, starts),
            Scenario::FromDisk => from_disk::run(&setup, starts),
            Scenario::Ready => ready::run(&setup),
            Scenario::Replicas => replicas::run(&setup),
            Scenario::Idle => idle::run(&setup),
            Scenario::SlowConnections => slow::run(&setup),
            Scenario::GatewayOverhead => gateway::run(binary, &mut missed),
            Scenario::FromZero => from_zero::run(&setup, starts),
            Scenario::Dtypes => dtypes::run(&setup, starts),
            Scenario::Levels => levels::run(&setup, starts),
            Scenario::Peers => peers::run(starts, &options.only),
            Scenario::Chaos => {
                let length = Duration::try_from_secs_f64(options.minutes * 60.0)?;
                chaos::run(&chaos(binary, length, options.seed), &mut missed)
            }
            Scenario::Events => {
                let run = events::Run {
                    binary,
                    events: options.events,
                    rollouts: options.rollouts,
                };
                events::run(&run, &mut missed)
            }
            Scenario::Calibrate => {
                let run = calibrate::Run {
                    binary,
                    seed: options.seed,
                };
                calibrate::run(&run, &mut missed)
            }
            Scenario::Step => {
                let run = step::Run {
                    binary,
                    model: setup.model(),
                    times: starts,
                    seed: options.seed,
                };
                step::run(&run, &mut missed)
            }
            Scenario::Diagnose => diagnose::run(&setup),
        };
        let name = scenario.to_possible_value().expect("no scenario is hidden");
        let table = table.with_context(|| name.get_name().to_owned())?;
        println!("\n{}", table.markdown());
        if options.save {
            println!("saved as {}", save::save(&table)?);
        }
        let of = name.get_name();
        all_missed.extend(missed.into_iter().map(|missed| format!("{of}: {missed}")));
    }
    told(&all_missed)
}

/// One round of faults on the build that the tests use.
pub(crate) fn short_chaos() -> Result<()> {
    let mut missed = Vec::new();
    let binary = shell::root().join("target/debug/preheat");
    let table = chaos::run(&chaos(&binary, Duration::ZERO, 1), &mut missed)?;
    println!("{}", table.markdown());
    told(&missed)
}

fn told(missed: &[String]) -> Result<()> {
    match missed.is_empty() {
        true => Ok(()),
        false => bail!("missed:\n  {}", missed.join("\n  ")),
    }
}

fn chaos(binary: &Path, length: Duration, seed: u64) -> chaos::Run<'_> {
    chaos::Run {
        binary,
        length,
        seed,
    }
}

impl Scenario {
    fn only_when_named(self) -> bool {
        matches!(self, Scenario::Peers | Scenario::Chaos | Scenario::Events)
    }

    /// Fleets are measured with the engine that declares its times.
    fn needs_model(self) -> bool {
        !matches!(
            self,
            Scenario::Chaos
                | Scenario::Events
                | Scenario::Step
                | Scenario::Calibrate
                | Scenario::GatewayOverhead
        )
    }
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
