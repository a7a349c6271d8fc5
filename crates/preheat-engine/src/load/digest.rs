//! The digest of a weights file, remembered between starts.
//!
//! Hashing 90 MB costs 50 ms of every start. A digest that was computed before is taken again when
//! the file is still the same one: same device, inode, length, and times of its last change, which
//! the kernel sets and no one can set back.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{LoadError, WeightsFile};

/// Of the whole file, in lower-case hexadecimal.
pub(super) fn digest(file: &WeightsFile, memory: Option<&Path>) -> String {
    let Some(memory) = memory else {
        return hex(file.bytes());
    };
    let stamp = Stamp::of(file);
    if let Some(digest) = stamp.as_ref().and_then(|stamp| stamp.recall(memory)) {
        return digest;
    }
    let digest = hex(file.bytes());
    // A file that changed while it was read has no digest worth remembering.
    if let Some(stamp) = stamp
        && Stamp::of(file).as_ref() == Some(&stamp)
    {
        stamp.remember(memory, &digest);
    }
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

/// What a file has only while its content stays as it is.
#[derive(Debug, PartialEq, Eq)]
struct Stamp(String);

impl Stamp {
    fn of(file: &WeightsFile) -> Option<Self> {
        let facts = file.metadata().ok()?;
        let (modified, changed) = (facts.mtime(), facts.ctime());
        let (modified_ns, changed_ns) = (facts.mtime_nsec(), facts.ctime_nsec());
        let (device, inode, length) = (facts.dev(), facts.ino(), facts.size());
        Some(Stamp(format!(
            "device {device} inode {inode} length {length} \
             modified {modified}.{modified_ns:09} changed {changed}.{changed_ns:09}"
        )))
    }

    fn path(&self, memory: &Path) -> PathBuf {
        memory.join(format!("{}.sha256", &hex(self.0.as_bytes())[..32]))
    }

    fn recall(&self, memory: &Path) -> Option<String> {
        let text = fs::read_to_string(self.path(memory)).ok()?;
        let digest = text.strip_prefix(&self.0)?.trim();
        let whole = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        whole.then(|| digest.to_owned())
    }

    /// Forgetting costs time only, so failing to remember is no failure.
    fn remember(&self, memory: &Path, digest: &str) {
        let write = || -> std::io::Result<()> {
            fs::create_dir_all(memory)?;
            let mut file = tempfile::NamedTempFile::new_in(memory)?;
            writeln!(file, "{} {digest}", self.0)?;
            file.persist(self.path(memory))?;
            Ok(())
        };
        let _ = write();
    }
}
