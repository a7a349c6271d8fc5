//! Files that users hand in, read whole: never more of them than a limit, whatever they are. A device
//! or a pipe has no size that could be asked for first.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

const MB: u64 = 1_000_000;

/// All bytes of a file of at most so many megabytes.
///
/// # Errors
/// [`io::ErrorKind::FileTooLarge`] for one that holds more, else what reading meets.
pub fn read(path: &Path, limit_mb: u64) -> io::Result<Vec<u8>> {
    let most = limit_mb.saturating_mul(MB);
    let mut bytes = Vec::new();
    File::open(path)?
        .take(most.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let problem = format!("it is larger than {limit_mb} MB");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
    }
    Ok(bytes)
}

/// The same of text.
///
/// # Errors
/// As [`read`], and for what is not UTF-8.
pub fn read_text(path: &Path, limit_mb: u64) -> io::Result<String> {
    String::from_utf8(read(path, limit_mb)?).map_err(|_| {
        let problem = "it is not text in UTF-8";
        io::Error::new(io::ErrorKind::InvalidData, problem)
    })
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
    fn what_never_ends_is_too_large() {
        let error = read(Path::new("/dev/zero"), 1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn bytes_that_are_no_text_are_named_so() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"\xff\xfe").unwrap();
        let error = read_text(file.path(), 1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
