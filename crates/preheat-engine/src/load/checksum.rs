//! The digest of a weights file, and whether it is the one it must be.

use std::convert::Infallible;
use std::path::Path;

use super::{LoadError, WeightsFile};
use crate::bake::Baked;
use crate::digest::of_bytes;
use crate::store::stamp;

/// Of the whole file.
pub(super) fn found(file: &WeightsFile, memory: Option<&Path>, baked: Option<&Baked>) -> String {
    let read = || Ok::<_, Infallible>(of_bytes(file.bytes()));
    let Ok(digest) = stamp::digest(file.file(), file.path(), memory, baked, read);
    digest
}

/// # Errors
/// [`LoadError::Checksum`] when it is another one.
pub(super) fn compare(file: &WeightsFile, found: &str, expected: &str) -> Result<(), LoadError> {
    if found.eq_ignore_ascii_case(expected.trim()) {
        return Ok(());
    }
    Err(LoadError::Checksum {
        path: file.path().to_owned(),
        expected: expected.to_owned(),
        found: found.to_owned(),
    })
}
