//! ONNX Runtime, loaded while the process runs. One library and one environment for a process.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;
use ort::logging::LogLevel;

use crate::load::LoadError;

static LOADED: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

/// The environment of this library.
///
/// # Errors
/// When it cannot be loaded, or another one has been.
pub(super) fn environment(library: &Path) -> Result<Environment, LoadError> {
    let fault = |reason: String| LoadError::Library {
        path: library.to_owned(),
        reason,
    };
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((path, environment)) = &*loaded {
        return match path == library {
            true => Ok(environment.clone()),
            false => Err(fault(format!("{} is loaded already", path.display()))),
        };
    }
    let builder = ort::init_from(library).map_err(|error| fault(error.to_string()))?;
    let built = builder.with_name("preheat").with_telemetry(false).build();
    let environment = built.map_err(|error| fault(error.to_string()))?;
    // What it warns of are peculiarities of files, which their user can do nothing about.
    environment.set_log_level(LogLevel::Error);
    *loaded = Some((library.to_owned(), environment.clone()));
    Ok(environment)
}
