//! `manifest.json`: what a cached model consists of and where it came from. Its presence says that
//! the model is complete.

use std::fs;
use std::io;
use std::path::{Component, Path};

use serde_json::{Value, json};

use crate::file::{self, RECORD_MB};
use crate::source::{FetchError, FileFacts};

const NAME: &str = "manifest.json";
/// Raised when an older reader would misread a newer file; other versions count as not cached.
const VERSION: u64 = 1;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) requested: String,
    pub(super) source: String,
    pub(super) revision: String,
    pub(super) files: Vec<FileFacts>,
}

impl Manifest {
    /// `None` when there is none, or none that can be understood: then nothing is cached here.
    pub(super) fn read(dir: &Path) -> Result<Option<Manifest>, FetchError> {
        let path = dir.join(NAME);
        match file::read(&path, RECORD_MB) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)
                .ok()
                .and_then(|json| parse(&json))),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(FetchError::io("read", &path, error)),
        }
    }

    pub(super) fn write(&self, dir: &Path) -> Result<(), FetchError> {
        let files: Vec<Value> = self
            .files
            .iter()
            .map(|f| json!({ "name": f.name, "bytes": f.bytes, "sha256": f.sha256 }))
            .collect();
        let manifest = json!({
            "version": VERSION,
            "requested": self.requested,
            "source": self.source,
            "revision": self.revision,
            "files": files,
        });
        let path = dir.join(NAME);
        let text = format!("{manifest:#}\n");
        fs::write(&path, &text)
            .and_then(|()| fs::File::open(&path)?.sync_all())
            .map_err(|error| FetchError::write(&path, text.len() as u64, error))
    }
}

/// Whether this names a file of the model: every other one would be read, too.
fn is_inside(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    !name.is_empty() && parts.all(|part| matches!(part, Component::Normal(_)))
}

fn parse(json: &Value) -> Option<Manifest> {
    if json["version"] != VERSION {
        return None;
    }
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let files = json["files"].as_array()?.iter().map(|file| {
        Some(FileFacts {
            name: text(&file["name"]).filter(|name| is_inside(name))?,
            bytes: file["bytes"].as_u64()?,
            sha256: text(&file["sha256"])?,
        })
    });
    Some(Manifest {
        requested: text(&json["requested"])?,
        source: text(&json["source"])?,
        revision: text(&json["revision"])?,
        files: files.collect::<Option<_>>()?,
    })
}
