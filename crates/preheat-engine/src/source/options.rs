//! What a caller allows a fetch to do, and how it is told what the fetch is doing.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Everything a fetch may know of its surroundings. The caller reads the environment; this crate
/// does not.
#[derive(Clone)]
pub struct FetchOptions {
    /// Our own cache; models are kept in `models/` under it.
    pub cache: PathBuf,
    /// Use only what is on this machine.
    pub offline: bool,
    /// The hub, or a mirror that speaks its protocol.
    pub hf_endpoint: String,
    /// Sent to the hub only.
    pub hf_token: Option<String>,
    /// Where other tools keep the hub's cache; used when the model is there already.
    pub hf_home: Option<PathBuf>,
    /// The interpreter whose pip downloads packages.
    pub python: PathBuf,
    /// Settings of object stores, by the names their own tools use (`aws_region`, …).
    pub bucket_options: Vec<(String, String)>,
    /// Longest wait for a connection: a source that cannot be reached is given up after it.
    pub connect_timeout: Duration,
    /// Longest silence in the middle of an answer.
    pub read_timeout: Duration,
    /// Longest wait for another process that fetches the same model.
    pub lock_wait: Duration,
    /// Larger files are refused, unpacked ones too.
    pub max_file_bytes: u64,
}

impl FetchOptions {
    #[must_use]
    pub fn new(cache: impl Into<PathBuf>) -> Self {
        FetchOptions {
            cache: cache.into(),
            offline: false,
            hf_endpoint: "https://huggingface.co".to_owned(),
            hf_token: None,
            hf_home: None,
            python: PathBuf::from("python3"),
            bucket_options: Vec::new(),
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(30),
            lock_wait: Duration::from_mins(30),
            max_file_bytes: 64 << 30,
        }
    }
}

/// Leaves secrets out.
impl fmt::Debug for FetchOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchOptions")
            .field("cache", &self.cache)
            .field("offline", &self.offline)
            .field("hf_endpoint", &self.hf_endpoint)
            .field("hf_home", &self.hf_home)
            .field("python", &self.python)
            .field("connect_timeout", &self.connect_timeout)
            .field("read_timeout", &self.read_timeout)
            .field("lock_wait", &self.lock_wait)
            .field("max_file_bytes", &self.max_file_bytes)
            .finish_non_exhaustive()
    }
}

/// Told what a fetch does, from within it: calls must return at once. `bytes` comes with every
/// piece of a body, so thin it out before drawing.
pub trait Progress: Send + Sync {
    /// This source is being tried now.
    fn source(&self, _source: &str) {}
    /// A file begins; its size, when the server tells.
    fn file(&self, _name: &str, _total: Option<u64>) {}
    /// Bytes of the current file that are here, those of an earlier attempt included.
    fn bytes(&self, _done: u64) {}
    /// Nothing moves until something else does; says what.
    fn waiting(&self, _what: &str) {}
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {}
