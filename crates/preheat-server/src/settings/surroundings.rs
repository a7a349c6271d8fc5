//! What is not in the configuration.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// What the binary knows of the process's surroundings; nobody else reads the environment.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// Where the cache goes if the configuration does not say.
    pub cache_dir: PathBuf,
    pub hf_endpoint: Option<String>,
    pub hf_token: Option<String>,
    pub hf_home: Option<PathBuf>,
    pub hf_offline: bool,
    /// Settings of object stores from the environment; the configuration's own win.
    pub store: Vec<(String, String)>,
    /// CPUs that this process may really use.
    pub cpus: NonZeroUsize,
    /// Program and arguments before which a command stands that is to be kept.
    pub keeper: Vec<OsString>,
    /// A folder that no other process has, for sockets; made when it is needed.
    pub run_dir: PathBuf,
}
