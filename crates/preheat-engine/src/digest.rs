//! SHA-256 of what is read and written, in lower-case hexadecimal.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

/// A file that is hashed while it is written.
#[derive(Debug)]
pub(crate) struct Sink {
    file: File,
    hasher: Sha256,
    written: u64,
}

impl Sink {
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        Ok(Sink {
            file: File::create(path)?,
            hasher: Sha256::new(),
            written: 0,
        })
    }

    /// Goes on where an earlier attempt ended: reads what is there, then appends.
    pub(crate) fn resume(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)?;
        let mut sink = Sink {
            file,
            hasher: Sha256::new(),
            written: 0,
        };
        sink.written = feed(&mut sink.file, &mut sink.hasher)?;
        Ok(sink)
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.written += bytes.len() as u64;
        Ok(())
    }

    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Puts the file on the disk and returns its size and digest.
    pub(crate) fn finish(self) -> io::Result<(u64, String)> {
        self.file.sync_all()?;
        Ok((self.written, hex(&self.hasher.finalize())))
    }
}

pub(crate) fn of_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Size and digest.
pub(crate) fn of_file(path: &Path) -> io::Result<(u64, String)> {
    let mut hasher = Sha256::new();
    let bytes = feed(&mut File::open(path)?, &mut hasher)?;
    Ok((bytes, hex(&hasher.finalize())))
}

fn feed(file: &mut File, hasher: &mut Sha256) -> io::Result<u64> {
    let mut buffer = vec![0; 1 << 18];
    let mut total = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(total),
            read => {
                hasher.update(&buffer[..read]);
                total += read as u64;
            }
        }
    }
}

fn hex(digest: &[u8]) -> String {
    digest
        .iter()
        .fold(String::with_capacity(2 * digest.len()), |mut text, byte| {
            let _ = write!(text, "{byte:02x}"); // a String takes every write
            text
        })
}
