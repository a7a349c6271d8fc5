//! The one binary: verbs, configuration, exit codes.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

mod cli;
mod config;
mod verb;

mod client;
mod exit;
mod fleet;
#[cfg(test)]
mod fuzz;
mod news;
mod out;
mod progress;
mod report;
mod surroundings;
mod table;
mod terminal;

fn main() -> ExitCode {
    // Before anything else: every figure of a cold start counts from here.
    let started = Instant::now();
    let cli = cli::Cli::parse();
    match verb::run(cli, started) {
        Ok(code) => code,
        Err(failure) => exit::report(&failure),
    }
}
