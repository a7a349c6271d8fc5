//! What a service is written down as, so that a gateway that comes after this one can go on.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use preheat_api::state::ServiceState;
use preheat_runtime::file;

/// Three configurations, each of at most 4 MB where it was written by hand.
const LIMIT_MB: u64 = 16;

/// What the last gateway wrote is of no use to this one, which begins anew.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be gone on from: {source}", path.display())]
pub struct StateError {
    path: PathBuf,
    source: io::Error,
}

impl StateError {
    /// What to do next.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self.source.kind() {
            io::ErrorKind::PermissionDenied => {
                "run this gateway as the user who ran the last one, or give it a folder of its own"
                    .to_owned()
            }
            _ => "nothing, if the last gateway was of another version; else check the disk. Scale \
                  or roll out again what had been set by hand"
                .to_owned(),
        }
    }
}

/// One service's file. Written whole or not at all.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
}

impl StateFile {
    #[must_use]
    pub fn of(dir: &Path) -> Self {
        StateFile {
            path: dir.join("service.json"),
        }
    }

    /// What the last gateway wrote; none if there was none.
    ///
    /// # Errors
    /// When it cannot be read, is too large, or was written otherwise than this gateway would.
    pub fn read(&self) -> Result<Option<ServiceState>, StateError> {
        let unusable = |source| StateError {
            path: self.path.clone(),
            source,
        };
        match file::read(&self.path, LIMIT_MB) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|error| unusable(error.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unusable(error)),
        }
    }

    /// Without it the next gateway would begin anew: bad for its users, and for nobody now.
    ///
    /// # Errors
    /// When it cannot be written; what was written before stays.
    pub fn write(&self, state: &ServiceState) -> io::Result<()> {
        let next = self.path.with_extension("next");
        let text = serde_json::to_vec(state)?;
        let dir = self.path.parent().unwrap_or(&self.path);
        let mut private = fs::DirBuilder::new();
        private.mode(0o700).recursive(true).create(dir)?;
        fs::write(&next, text)?;
        fs::rename(&next, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_gone_on_from_is_named_with_its_reason() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateFile::of(dir.path());
        assert_eq!(state.read().unwrap(), None);
        let file = fs::File::create(&state.path).unwrap();
        for (bytes, reason) in [(1, "expected value"), (16_000_001, "larger than 16 MB")] {
            file.set_len(bytes).unwrap();
            let error = state.read().unwrap_err();
            assert!(error.to_string().contains(reason), "{error}");
            assert!(!error.remedy().is_empty());
        }
    }
}
