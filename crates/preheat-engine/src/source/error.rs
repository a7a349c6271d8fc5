//! What can go wrong between a source and a directory, with the facts a person needs, and what to
//! do about each.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::reference::SourceError;

type Cause = Box<dyn Error + Send + Sync>;

#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error("{source_ref} is not on this machine and fetching is switched off")]
    Offline { source_ref: String },
    #[error("cannot reach {host}")]
    Unreachable { host: String, source: Cause },
    #[error("{url} is refused (status {status})")]
    Refused { url: String, status: u16 },
    #[error("{what} does not exist")]
    NotFound { what: String },
    #[error("{url} answered with status {status}")]
    Status { url: String, status: u16 },
    #[error("{url} answered what was not asked for: {reason}")]
    Answer { url: String, reason: &'static str },
    #[error("the transfer of {file} broke off after {done} bytes")]
    Interrupted {
        file: String,
        done: u64,
        source: Cause,
    },
    #[error("{file} has {actual} bytes instead of {expected}")]
    Size {
        file: String,
        expected: u64,
        actual: u64,
    },
    #[error("{file} has the SHA-256 {actual} instead of {expected}")]
    Checksum {
        file: String,
        expected: String,
        actual: String,
    },
    #[error("{file} is larger than the limit of {limit} bytes")]
    TooLarge { file: String, limit: u64 },
    #[error("{place} holds no model that can be served: {missing} is missing")]
    NotAModel {
        place: String,
        missing: &'static str,
    },
    #[error("{file} cannot be unpacked: {reason}")]
    Archive { file: String, reason: String },
    #[error("no room in {}{}", dir.display(), wanting(*needed))]
    NoRoom { dir: PathBuf, needed: u64 },
    #[error("{}: cannot {action}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("another process has been fetching {model} for {} s", waited.as_secs())]
    Locked { model: String, waited: Duration },
    #[error("cannot run {}", python.display())]
    NoPython { python: PathBuf, source: io::Error },
    #[error("{} has no pip", python.display())]
    NoPip { python: PathBuf },
    #[error("pip could not download {package}: {output}")]
    Pip { package: String, output: String },
    #[error("the object store cannot be used for {what}")]
    Bucket { what: String, source: Cause },
    #[error("the hub endpoint {endpoint} cannot be used: {reason}")]
    Endpoint {
        endpoint: String,
        reason: &'static str,
    },
    #[error("the HTTP client cannot be set up")]
    Client { source: Cause },
    #[error("`{name}` is not in the cache")]
    NotCached { name: String },
    #[error("no origin of {name} could serve it: {}", list(causes))]
    NoOrigin {
        name: &'static str,
        causes: Vec<(String, FetchError)>,
    },
    #[error("the fetch was stopped")]
    Stopped,
}

impl FetchError {
    /// What to do next.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            FetchError::Source(error) => error.remedy(),
            FetchError::Offline { .. } => {
                "fetch it once with `preheat models pull` while online, or give the path of a \
                 local copy"
            }
            .to_owned(),
            FetchError::Unreachable { host, .. } => format!(
                "check the network and the proxy settings, set HF_ENDPOINT to a mirror if {host} \
                 is the hub, or give the path of a local copy"
            ),
            FetchError::Refused { .. } => "check that the name is right and that you may read it: \
                 HF_TOKEN for the hub, AWS_* settings for a bucket"
                .to_owned(),
            FetchError::NotFound { .. } => "check the spelling and the revision".to_owned(),
            FetchError::Status { .. }
            | FetchError::Answer { .. }
            | FetchError::Interrupted { .. }
            | FetchError::Size { .. } => {
                "try again: what has arrived is kept and the transfer goes on from there".to_owned()
            }
            FetchError::Checksum { .. } => {
                "the file was damaged or replaced: it has been dropped, \
                 try again, and distrust the source if it happens twice"
                    .to_owned()
            }
            FetchError::TooLarge { .. } => "raise the limit if the file is meant".to_owned(),
            FetchError::NotAModel { .. } => "give a source with config.json and model.safetensors \
                 or pytorch_model.bin in one directory"
                .to_owned(),
            FetchError::Archive { .. } => "build the archive again".to_owned(),
            FetchError::NoRoom { dir, .. } => format!(
                "free some space, remove models with `preheat models rm`, or move the cache away \
                 from {}",
                dir.display()
            ),
            FetchError::Io { path, source, .. } if source.kind() == io::ErrorKind::FileTooLarge => {
                format!(
                    "remove {}: it is none that was written there, and what it stood for is fetched again",
                    path.display()
                )
            }
            FetchError::Io { path, .. } => format!("check {} and its permissions", path.display()),
            FetchError::Locked { .. } => "wait for the other process, or stop it".to_owned(),
            FetchError::NoPython { .. } => {
                "install Python 3, or name the interpreter to use".to_owned()
            }
            FetchError::NoPip { python } => format!(
                "install it with `{} -m ensurepip --upgrade` or as your system's python3-pip",
                python.display()
            ),
            FetchError::Pip { .. } => "run the same `pip download` by hand: pip's own settings \
                 (index-url, proxy, cert) are used"
                .to_owned(),
            FetchError::Bucket { .. } => "check the bucket's name, region and credentials (AWS_*; \
                 AWS_SKIP_SIGNATURE=true for a public bucket)"
                .to_owned(),
            FetchError::Endpoint { .. } => {
                "set HF_ENDPOINT to an https URL; plain http is accepted from this machine only"
                    .to_owned()
            }
            FetchError::Client { .. } => "check the system's certificates".to_owned(),
            FetchError::NotCached { .. } => "`preheat models list` shows what is there".to_owned(),
            FetchError::NoOrigin { causes, .. } => causes
                .iter()
                .map(|(origin, error)| format!("{origin}: {}", error.remedy()))
                .collect::<Vec<_>>()
                .join("; "),
            FetchError::Stopped => "start again".to_owned(),
        }
    }

    /// The text with all its causes, outermost first.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let part = error.to_string();
            // Many libraries repeat their cause in their own text.
            if !text.contains(&part) {
                text.push_str(": ");
                text.push_str(&part);
            }
            cause = error.source();
        }
        text
    }

    /// The fault is this machine's: another source would meet it too.
    pub(super) fn is_local(&self) -> bool {
        matches!(
            self,
            FetchError::NoRoom { .. }
                | FetchError::Io { .. }
                | FetchError::Locked { .. }
                | FetchError::Stopped
        )
    }

    pub(super) fn is_no_room(&self) -> bool {
        matches!(self, FetchError::NoRoom { .. })
    }

    /// The same request may well succeed in a moment. A host that cannot be reached is not asked
    /// again: whoever waits would rather know.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            FetchError::Interrupted { .. } => true,
            FetchError::Status { status, .. } => matches!(status, 408 | 429 | 500..=599),
            _ => false,
        }
    }

    /// Names the directory that the user chose rather than one deep inside it.
    pub(super) fn in_cache(self, cache: &Path) -> Self {
        match self {
            FetchError::NoRoom { needed, .. } => FetchError::NoRoom {
                dir: cache.to_owned(),
                needed,
            },
            other => other,
        }
    }

    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        FetchError::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }

    /// A write that failed: no room, when that is why.
    pub(super) fn write(path: &Path, needed: u64, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => FetchError::NoRoom {
                dir: path.parent().unwrap_or(path).to_owned(),
                needed,
            },
            _ => FetchError::io("write", path, source),
        }
    }
}

/// Somebody else's program does not say how much it lacked.
fn wanting(bytes: u64) -> String {
    match bytes {
        0 => String::new(),
        bytes => format!(": {bytes} more bytes are needed"),
    }
}

fn list(causes: &[(String, FetchError)]) -> String {
    let texts: Vec<String> = causes
        .iter()
        .map(|(origin, error)| format!("{origin}: {}", error.chain()))
        .collect();
    texts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_much_room_is_wanting_is_told_where_it_is_known() {
        let told = |needed| {
            let dir = PathBuf::from("/cache");
            FetchError::NoRoom { dir, needed }.to_string()
        };
        assert_eq!(told(0), "no room in /cache");
        assert_eq!(told(7), "no room in /cache: 7 more bytes are needed");
    }
}
