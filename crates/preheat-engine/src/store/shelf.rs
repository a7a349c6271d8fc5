//! The store as a person looks at it: what is there, and whether it is whole.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::header::{self, HEADER, Header};
use super::{Kind, bounds};

/// One artefact of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artefact {
    pub path: PathBuf,
    /// `weights`, `tokenizer` or `session`.
    pub kind: &'static str,
    /// What it was made from, as its header says; none when that cannot be read.
    pub made_from: Option<String>,
    pub bytes: u64,
    pub used: SystemTime,
    /// A process has it mapped.
    pub in_use: bool,
}

/// Everything in this directory, used last first. A directory that does not exist is empty.
///
/// # Errors
/// When the directory is there and cannot be read.
pub fn list(dir: &Path) -> io::Result<Vec<Artefact>> {
    let files = match bounds::files(dir) {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found: Vec<Artefact> = files.into_iter().map(look).collect();
    found.sort_by(|a, b| (b.used, &a.path).cmp(&(a.used, &b.path)));
    Ok(found)
}

fn look(path: PathBuf) -> Artefact {
    Artefact {
        kind: Kind::of(&path).map_or("unknown", Kind::name),
        made_from: made_from(&path),
        bytes: fs::metadata(&path).map_or(0, |facts| facts.len()),
        used: bounds::last_use(&path),
        in_use: bounds::is_in_use(&path),
        path,
    }
}

fn made_from(path: &Path) -> Option<String> {
    let mut page = vec![0; HEADER];
    File::open(path).ok()?.read_exact(&mut page).ok()?;
    let (_, text) = Header::parse(&page)?;
    Some(String::from_utf8_lossy(text).into_owned())
}

/// Reads every byte of an artefact; whether it is what its header says. One that is not
/// loses its seal: the next start finds the damage, and makes it again.
///
/// # Errors
/// When it cannot be read.
pub fn verify(artefact: &Artefact) -> io::Result<bool> {
    let bytes = fs::read(&artefact.path)?;
    let whole = bytes
        .split_at_checked(HEADER)
        .and_then(|(page, body)| Some((Header::parse(page)?.0, body)))
        .is_some_and(|(header, body)| header.checksum == header::checksum(body));
    if !whole {
        // Without its seal it is read again before it is believed.
        let _ = fs::remove_file(artefact.path.with_extension("seal"));
    }
    Ok(whole)
}
