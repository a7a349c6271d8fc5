//! What a service is written down as, so that a gateway that comes after this one can go on.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use preheat_api::state::ServiceState;

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

    /// What the last gateway wrote; none if there was none, or one that wrote it otherwise.
    #[must_use]
    pub fn read(&self) -> Option<ServiceState> {
        serde_json::from_slice(&fs::read(&self.path).ok()?).ok()
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
