//! The digest of a model's weights, and whether it is the one it must be.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use super::{LoadError, WeightsFile};
use crate::bake::Baked;
use crate::digest::of_bytes;
use crate::store::stamp;

/// Of the whole file, or of all parts.
pub(super) fn found(
    files: &[Arc<WeightsFile>],
    memory: Option<&Path>,
    baked: Option<&Baked>,
) -> String {
    let of_file = |file: &Arc<WeightsFile>| {
        let read = || Ok::<_, Infallible>(of_bytes(file.bytes()));
        let Ok(digest) = stamp::digest(file.file(), file.path(), memory, baked, read);
        digest
    };
    of_parts(files.iter().map(of_file).collect())
}

/// One digest for several, in the order of their files' names; a single one stands for itself.
pub(crate) fn of_parts(mut digests: Vec<String>) -> String {
    match digests.len() {
        1 => digests.remove(0),
        _ => of_bytes(digests.concat().as_bytes()),
    }
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
