//! The verbs, one module each.

mod serve;

use std::process::ExitCode;
use std::time::Instant;

use preheat_core::Failure;

use crate::cli::{Cli, Verb};

pub fn run(cli: Cli, started: Instant) -> Result<ExitCode, Failure> {
    match cli.verb {
        Verb::Serve(args) => serve::run(&args, started),
        _ => Err(crate::exit::configuration("not there yet", "wait")),
    }
}
