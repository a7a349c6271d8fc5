//! `preheat keep`: stands between preheat and a command that it started. Not for people.

use std::process::ExitCode;

use preheat_core::{Failure, FailureKind};
use preheat_runtime::keeper;
use tokio::runtime::Builder;

use crate::cli::KeepArgs;
use crate::exit::failure;

pub fn run(args: &KeepArgs) -> Result<ExitCode, Failure> {
    let not_started = |error: std::io::Error| {
        let program = args
            .command
            .first()
            .map(|program| program.display().to_string());
        let cause = format!("{}: {error}", program.unwrap_or_default());
        failure(FailureKind::Load, cause, "check the command and its path")
    };
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(not_started)?;
    let code = runtime
        .block_on(keeper::keep(&args.command))
        .map_err(not_started)?;
    Ok(ExitCode::from(code))
}
