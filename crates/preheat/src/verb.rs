//! The verbs, one module each.

mod audit;
mod bench;
mod check;
mod diagnose;
mod drain;
mod floor;
#[cfg(test)]
pub mod fuzzed;
mod gateway;
mod init;
mod keep;
mod models;
mod orders;
mod plan;
mod probe;
mod process;
mod record;
mod reference;
mod rollout;
mod scale;
mod serve;
mod simulate;
mod status;
mod wait;
mod warm;
mod wrap;

use std::process::ExitCode;
use std::time::Instant;

use clap::CommandFactory;
use clap_complete::Shell;
use preheat_core::Failure;

use crate::cli::{Cli, Verb};
use crate::out;

pub fn run(cli: Cli, started: Instant) -> Result<ExitCode, Failure> {
    match cli.verb {
        Verb::Serve(args) => serve::run(&args, started),
        Verb::Gateway(args) => gateway::run(&args, started),
        Verb::Scale(args) => scale::run(&args),
        Verb::Rollout(args) => rollout::run(&args),
        Verb::Promote(args) => rollout::order(&args, "promote"),
        Verb::Rollback(args) => rollout::order(&args, "rollback"),
        Verb::Abort(args) => rollout::order(&args, "abort"),
        Verb::Drain(args) => drain::run(&args),
        Verb::Wrap(args) => wrap::run(args, started),
        Verb::Keep(args) => keep::run(&args),
        Verb::Warm(args) => warm::run(&args, started),
        Verb::Status(args) => status::run(&args),
        Verb::Wait(args) => wait::run(&args),
        Verb::Check(args) => check::run(&args),
        Verb::Models(args) => models::run(&args),
        Verb::Bench(args) => bench::run(&args),
        Verb::Probe(args) => probe::run(&args),
        Verb::Record(args) => record::run(&args),
        Verb::Plan(args) => plan::run(&args),
        Verb::Audit(args) => audit::run(&args),
        Verb::Diagnose(args) => diagnose::run(&args),
        Verb::Floor(args) => floor::run(&args),
        Verb::Init(args) => init::run(&args),
        Verb::Simulate(args) => simulate::run(&args),
        Verb::Completions { shell } => completions(shell),
        Verb::Man { folder } => reference::man(&folder),
        Verb::Reference { folder } => reference::chapters(&folder),
    }
}

fn completions(shell: Shell) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    let mut command = Cli::command();
    clap_complete::generate(shell, &mut command, "preheat", &mut script);
    out::print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
