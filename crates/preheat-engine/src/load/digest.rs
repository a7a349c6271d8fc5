//! The digest of a weights file, and whether it is the one it must be.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::{LoadError, WeightsFile};
use crate::bake::Baked;
use crate::store::stamp;

/// Of the whole file, in lower-case hexadecimal.
pub(super) fn digest(file: &WeightsFile, memory: Option<&Path>, baked: Option<&Baked>) -> String {
    let read = || Ok::<_, Infallible>(hex(file.bytes()));
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

pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
