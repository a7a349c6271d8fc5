//! How a verb that failed says so: stage, cause, remedy, exit code.

use std::io::Write;
use std::process::ExitCode;

use preheat_core::{Failure, FailureKind, Phase};
use preheat_server::SettingsError;

use crate::config::ConfigError;

/// Exit code of `wait` when its time is up.
pub const WAIT_TIMED_OUT: u8 = 18;

/// The last line that a person sees, and the code that a script sees.
pub fn report(failure: &Failure) -> ExitCode {
    let code = failure.kind.exit_code();
    // A closed standard error cannot be told about.
    let _ = writeln!(
        std::io::stderr(),
        "preheat: {} failed: {}\n  what to do: {}\n  exit code: {code}",
        failure.stage,
        failure.cause,
        failure.remedy
    );
    ExitCode::from(code)
}

pub fn configuration(cause: impl Into<String>, remedy: impl Into<String>) -> Failure {
    Failure {
        stage: "configuration",
        ..failure(FailureKind::Configuration, cause, remedy)
    }
}

pub fn failure(kind: FailureKind, cause: impl Into<String>, remedy: impl Into<String>) -> Failure {
    Failure::new(kind, &Phase::Starting, cause, remedy)
}

pub fn from_config(error: &ConfigError) -> Failure {
    configuration(error.to_string(), error.remedy())
}

pub fn from_settings(error: &SettingsError) -> Failure {
    configuration(error.to_string(), error.remedy.clone())
}
