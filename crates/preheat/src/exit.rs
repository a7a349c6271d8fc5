//! How a verb that failed says so: stage, cause, remedy, exit code.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use preheat_api::report::ErrorReport;
use preheat_core::{Failure, FailureKind, Phase};
use preheat_server::SettingsError;

use crate::config::ConfigError;
use crate::out;
use crate::table::plain_lines;

/// Exit code of a `status` that is not ready.
pub const NOT_READY: u8 = 1;

/// Exit code of `wait` when its time is up.
pub const WAIT_TIMED_OUT: u8 = 18;

/// The last lines that a person sees, and the code that a script sees.
pub fn report(failure: &Failure) -> ExitCode {
    let error = ErrorReport {
        stage: failure.stage.into(),
        cause: failure.cause.clone(),
        remedy: failure.remedy.clone(),
        exit_code: failure.kind.exit_code(),
        retry: false,
    };
    out::say(&format!("preheat: {}", explain(&error)));
    ExitCode::from(error.exit_code)
}

/// Stage, cause, remedy and code on three lines.
pub fn explain(error: &ErrorReport) -> String {
    format!(
        "{} failed: {}\n  what to do: {}\n  exit code: {}",
        plain_lines(&error.stage),
        plain_lines(&error.cause),
        plain_lines(&error.remedy),
        error.exit_code
    )
}

pub fn configuration(cause: impl Into<String>, remedy: impl Into<String>) -> Failure {
    staged("configuration", FailureKind::Configuration, cause, remedy)
}

pub fn failure(kind: FailureKind, cause: impl Into<String>, remedy: impl Into<String>) -> Failure {
    Failure::new(kind, &Phase::Starting, cause, remedy)
}

/// A failure of a verb that has no replica's phases.
pub fn staged(
    stage: &'static str,
    kind: FailureKind,
    cause: impl Into<String>,
    remedy: impl Into<String>,
) -> Failure {
    Failure {
        stage,
        ..failure(kind, cause, remedy)
    }
}

/// A file, or a folder of files, that a verb was to write.
pub fn unwritten(stage: &'static str, path: &Path, error: &io::Error) -> Failure {
    let remedy = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some space there, or name another place"
        }
        _ => "name a place in a folder that exists and may be written",
    };
    let cause = format!("{} cannot be written: {error}", path.display());
    staged(stage, FailureKind::Internal, cause, remedy)
}

pub fn from_config(error: &ConfigError) -> Failure {
    configuration(error.to_string(), error.remedy())
}

pub fn from_settings(error: &SettingsError) -> Failure {
    configuration(error.to_string(), error.remedy.clone())
}
