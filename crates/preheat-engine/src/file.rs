//! Files that come with a model, or were left beside one, read whole: never more of them than a
//! limit, and nothing that is no file, as a pipe would be waited for. `preheat-runtime` has the same
//! for what users hand in; the engine does not know that crate.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// Lists of labels and modules are far smaller.
pub(crate) const CONFIG_MB: u64 = 4;

/// A line for each tensor, of which large models have some thousands.
pub(crate) const INDEX_MB: u64 = 16;

/// The largest vocabularies that are in use take a third of it.
pub(crate) const TOKENIZER_MB: u64 = 100;

/// What the cache and baked directories say of themselves.
pub(crate) const RECORD_MB: u64 = 4;

const MB: u64 = 1_000_000;

/// All bytes of a file of at most so many megabytes; [`io::ErrorKind::FileTooLarge`] for one that
/// holds more, [`io::ErrorKind::InvalidInput`] for what is no file.
pub(crate) fn read(path: &Path, limit_mb: u64) -> io::Result<Vec<u8>> {
    let most = limit_mb * MB;
    let mut bytes = Vec::new();
    open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let problem = format!("it is larger than {limit_mb} MB");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
    }
    Ok(bytes)
}

/// A file to be read; [`io::ErrorKind::InvalidInput`] for what is none, and would be waited for.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    if !fs::metadata(path)?.is_file() {
        let problem = "it is a pipe, a device or a directory, not a file";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
    }
    File::open(path)
}

/// The same of text.
pub(crate) fn read_text(path: &Path, limit_mb: u64) -> io::Result<String> {
    String::from_utf8(read(path, limit_mb)?)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_limit_and_not_beyond() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(MB).unwrap();
        assert_eq!(read(file.path(), 1).unwrap().len() as u64, MB);
        file.as_file().set_len(MB + 1).unwrap();
        let error = read(file.path(), 1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(error.to_string(), "it is larger than 1 MB");
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, mode).unwrap();
        for path in [&pipe, dir.path(), Path::new("/dev/zero")] {
            let error = read(path, 1).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{path:?}");
        }
    }
}
