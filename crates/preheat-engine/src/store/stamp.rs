//! What is known about a file from an earlier reading, and whether it still is that file.
//!
//! Hashing 90 MB costs 50 ms of every start. What was computed before is taken again when the file
//! is still the same one: same device, inode, length, and times of its last change, which the
//! kernel sets and no one can set back. That is the kernel's word and not a reading: bits that rot
//! on the disk below it are found by `preheat models verify`, which reads everything.

use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::bake::Baked;
use crate::digest;
use crate::file::{self, RECORD_MB};

/// What a file has only while its content stays as it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stamp(String);

impl Stamp {
    pub(crate) fn of(facts: &Metadata) -> Self {
        let (modified, changed) = (facts.mtime(), facts.ctime());
        let (modified_ns, changed_ns) = (facts.mtime_nsec(), facts.ctime_nsec());
        let (device, inode, length) = (facts.dev(), facts.ino(), facts.size());
        Stamp(format!(
            "device {device} inode {inode} length {length} \
             modified {modified}.{modified_ns:09} changed {changed}.{changed_ns:09}"
        ))
    }

    /// Whether this very file had this checksum when it was last read.
    pub(super) fn is_sealed(&self, seal: &Path, checksum: u64) -> bool {
        file::read_text(seal, RECORD_MB).is_ok_and(|text| text == self.sealed(checksum))
    }

    /// Forgetting costs time only, so failing to remember is no failure.
    pub(super) fn seal(&self, seal: &Path, checksum: u64) {
        let _ = write(seal, &self.sealed(checksum));
    }

    fn sealed(&self, checksum: u64) -> String {
        format!("{} checksum {checksum:016x}\n", self.0)
    }

    fn path(&self, memory: &Path) -> PathBuf {
        memory.join(format!(
            "{}.sha256",
            &digest::of_bytes(self.0.as_bytes())[..32]
        ))
    }

    fn recall(&self, memory: &Path) -> Option<String> {
        let text = file::read_text(&self.path(memory), RECORD_MB).ok()?;
        let digest = text.strip_prefix(&self.0)?.trim();
        let whole = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        whole.then(|| digest.to_owned())
    }

    fn remember(&self, memory: &Path, digest: &str) {
        let _ = write(&self.path(memory), &format!("{} {digest}\n", self.0));
    }
}

/// The SHA-256 of a file, in lower-case hexadecimal. `read` hashes all of it; it is not called when
/// the digest is remembered, or was noted when the directory was baked.
///
/// # Errors
/// Those of `read`.
pub(crate) fn digest<E>(
    file: &File,
    path: &Path,
    memory: Option<&Path>,
    baked: Option<&Baked>,
    read: impl FnOnce() -> Result<String, E>,
) -> Result<String, E> {
    if let (Some(baked), Ok(facts)) = (baked, file.metadata())
        && let Some(digest) = baked.digest(path, &facts)
    {
        return Ok(digest.to_owned());
    }
    let stamp = || file.metadata().ok().map(|facts| Stamp::of(&facts));
    let (Some(memory), Some(before)) = (memory, stamp()) else {
        return read();
    };
    if let Some(digest) = before.recall(memory) {
        return Ok(digest);
    }
    let digest = read()?;
    // A file that changed while it was read has no digest worth remembering.
    if stamp().as_ref() == Some(&before) {
        before.remember(memory, &digest);
    }
    Ok(digest)
}

pub(super) fn write(path: &Path, text: &str) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(dir)?;
    // Replicas of other users may share the directory.
    let mut file = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o644))
        .tempfile_in(dir)?;
    file.write_all(text.as_bytes())?;
    file.persist(path)?;
    Ok(())
}
