//! House work, run as `cargo xtask VERB`.
//!
//! Everything a contributor runs besides plain cargo lives here, so that cargo is the only tool to
//! learn. Nothing here is part of the product, and no crate of the product depends on it.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what it says is its output"
)]

mod bench;
mod book;
mod codegen;
mod dashboard;
mod fuzz;
mod setup;
mod shell;
mod test;
mod tidy;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    about = "House work: set-up, tests, tidy rules, generated files."
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run everything that must pass before a change goes in
    Test,
    /// Check the rules of the house
    Tidy,
    /// Fetch what tests and benchmarks need: client programs and the default model
    Setup,
    /// Measure what preheat promises, on a release build
    Bench(bench::Options),
    /// Hand mangled files to every reader of users' files
    Fuzz(fuzz::Options),
    /// Build the book into target/book and follow its links
    Book,
    /// Build the dashboard into web/dist
    Dashboard,
    /// Write the generated files
    Codegen {
        /// Write nothing; fail when a file differs from what would be written
        #[arg(long)]
        check: bool,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> Result<()> {
    match verb {
        Verb::Test => test::run(),
        Verb::Tidy => tidy::run(),
        Verb::Setup => setup::run(),
        Verb::Bench(options) => bench::run(&options),
        Verb::Fuzz(options) => fuzz::run(&options),
        Verb::Book => book::run(),
        Verb::Dashboard => dashboard::build(),
        Verb::Codegen { check: false } => codegen::write(),
        Verb::Codegen { check: true } => codegen::check(),
    }
}
