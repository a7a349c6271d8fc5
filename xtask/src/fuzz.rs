//! `cargo xtask fuzz`: the fuzzers of the tests, for minutes instead of a few hundred inputs.

use anyhow::Result;
use clap::Args;

use crate::shell;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Seconds for each reader
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// Only this reader; the tests name them
    #[arg(long)]
    only: Option<String>,
    /// Another number gives other inputs
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    const BINARY: [&str; 5] = ["preheat", "--bin", "preheat", "fuzz::", "--"];
    const ENGINE: [&str; 5] = ["preheat-engine", "--test", "it", "mutations::", "--"];
    // Models of other people are read by the engine, which has a fuzzer of its own.
    let all: &[&[&str]] = match options.only {
        Some(_) => &[&BINARY],
        None => &[&BINARY, &ENGINE],
    };
    for tests in all {
        let args = [&["test", "--locked", "-p"], *tests, &["--nocapture"]].concat();
        let mut fuzz = shell::command("cargo", &args);
        fuzz.env("PREHEAT_FUZZ_SECONDS", options.seconds.to_string())
            .env("PREHEAT_FUZZ_SEED", options.seed.to_string());
        if let Some(only) = &options.only {
            fuzz.env("PREHEAT_FUZZ_ONLY", only);
        }
        shell::run(fuzz)?;
    }
    Ok(())
}
