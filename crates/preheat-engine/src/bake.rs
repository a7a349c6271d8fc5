//! A model and what is made of it in one directory, for a volume or a layer of an image: whoever
//! serves it maps everything, and makes nothing.
//!
//! ```text
//! <dir>/config.json, model.safetensors, …   the model, as it was fetched
//! <dir>/artefacts/                          what its engine makes of it for this CPU
//! <dir>/baked.json                          names, lengths, dates and digests; written last
//! ```
//!
//! A copy of the directory has other inodes, so the digests that were computed here are believed by
//! name, length and date (to the second, which is what archives keep). A file that is changed later
//! has another date, and is read.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::digest;
use crate::file::{self, RECORD_MB};
use crate::load::{LoadError, LoadSpec};
use crate::onnx::OnnxSpec;
use crate::prepare::{ModelSpec, Part, prepare};
use crate::source::Fetched;

const RECORD: &str = "baked.json";
const ARTEFACTS: &str = "artefacts";
/// Raised when an older reader would misread a newer file; others are not believed.
const VERSION: u64 = 1;

/// Why a model could not be baked.
#[derive(Debug, thiserror::Error)]
pub enum BakeError {
    #[error("{path} is not empty")]
    NotEmpty { path: PathBuf },
    #[error("{path} cannot be written or read: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{file} changed while it was copied")]
    Changed { file: String },
    #[error("the model cannot be loaded: {0}")]
    Load(#[source] LoadError),
}

impl BakeError {
    /// What to do next.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            BakeError::NotEmpty { .. } => "name a directory that is empty or not there".to_owned(),
            BakeError::Io { path, source } if source.kind() == io::ErrorKind::StorageFull => {
                format!(
                    "free some space where {} is, or bake elsewhere",
                    path.display()
                )
            }
            BakeError::Io { path, .. } => {
                format!(
                    "check the permissions of {} and the disk it is on",
                    path.display()
                )
            }
            BakeError::Changed { .. } => "verify the model, and bake it again".to_owned(),
            BakeError::Load(error) => error.remedy(),
        }
    }
}

/// What was written.
#[derive(Debug)]
pub struct Written {
    pub bytes: u64,
    pub parts: Vec<Part>,
}

/// Copies the model to `dir`, which is empty or not there, and makes its artefacts there. `spec` says
/// how it will be loaded; its directories are those of `dir`.
///
/// # Errors
/// What could not be copied or made. The directory then has no record, and is not believed.
pub fn bake(fetched: &Fetched, spec: &ModelSpec, dir: &Path) -> Result<Written, BakeError> {
    let artefacts = dir.join(ARTEFACTS);
    fs::create_dir_all(dir).map_err(at(dir))?;
    if fs::read_dir(dir).map_err(at(dir))?.next().is_some() {
        return Err(BakeError::NotEmpty {
            path: dir.to_owned(),
        });
    }
    let files = copy(fetched, dir)?;
    fs::create_dir_all(&artefacts).map_err(at(&artefacts))?;
    let parts = prepare(&moved(spec, dir, &artefacts)).map_err(BakeError::Load)?;
    let mut bytes = tidy(&artefacts).map_err(at(&artefacts))?;
    let mut listed = Vec::with_capacity(files.len());
    for (name, path, sha256) in files {
        let facts = fs::metadata(&path).map_err(at(&path))?;
        bytes += facts.len();
        listed.push(json!({
            "name": name, "bytes": facts.len(), "modified": facts.mtime(), "sha256": sha256,
        }));
    }
    let record = json!({ "version": VERSION, "revision": fetched.revision, "files": listed });
    let path = dir.join(RECORD);
    fs::write(&path, format!("{record:#}\n"))
        .and_then(|()| File::open(&path)?.sync_all())
        .map_err(at(&path))?;
    Ok(Written { bytes, parts })
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> BakeError {
    let path = path.to_owned();
    move |source| BakeError::Io { path, source }
}

/// Returns name, path and digest of each file.
fn copy(fetched: &Fetched, dir: &Path) -> Result<Vec<(String, PathBuf, String)>, BakeError> {
    let mut files = Vec::with_capacity(fetched.files.len());
    for file in &fetched.files {
        let (from, to) = (fetched.dir.join(&file.name), dir.join(&file.name));
        let parent = to.parent().unwrap_or(dir);
        fs::create_dir_all(parent).map_err(at(parent))?;
        let mut source = File::open(&from).map_err(at(&from))?;
        File::create(&to)
            .and_then(|mut copy| io::copy(&mut source, &mut copy))
            .map_err(at(&to))?;
        let (_, sha256) = digest::of_file(&to).map_err(at(&to))?;
        if !file.sha256.is_empty() && file.sha256 != sha256 {
            return Err(BakeError::Changed {
                file: file.name.clone(),
            });
        }
        files.push((file.name.clone(), to, sha256));
    }
    Ok(files)
}

/// The model where it was copied to. Its digests were compared on the way.
fn moved(spec: &ModelSpec, dir: &Path, artefacts: &Path) -> ModelSpec {
    match spec {
        ModelSpec::Native(spec) => ModelSpec::Native(LoadSpec {
            dir: dir.to_owned(),
            artefacts: Some(artefacts.to_owned()),
            artefacts_limit: u64::MAX,
            expected_sha256: None,
            ..spec.clone()
        }),
        ModelSpec::Onnx(spec) => ModelSpec::Onnx(OnnxSpec {
            file: dir.join(spec.file.strip_prefix(&spec.root).unwrap_or(&spec.file)),
            root: dir.to_owned(),
            artefacts: Some(artefacts.to_owned()),
            artefacts_limit: u64::MAX,
            expected_sha256: None,
            ..spec.clone()
        }),
    }
}

/// Locks and memories are of this machine. Returns the bytes of what stays.
fn tidy(artefacts: &Path) -> io::Result<u64> {
    let mut total = 0;
    for entry in fs::read_dir(artefacts)? {
        let entry = entry?;
        let facts = entry.metadata()?;
        match facts.permissions().readonly() {
            _ if facts.is_dir() => fs::remove_dir_all(entry.path())?,
            true => total += facts.len(),
            false => fs::remove_file(entry.path())?,
        }
    }
    Ok(total)
}

/// What a baked directory says about its files.
#[derive(Debug)]
pub(crate) struct Baked {
    dir: PathBuf,
    pub(crate) artefacts: PathBuf,
    files: Vec<(String, u64, i64, String)>,
}

impl Baked {
    /// None when the directory is not a baked one.
    pub(crate) fn read(dir: &Path) -> Option<Self> {
        let record: Value =
            serde_json::from_slice(&file::read(&dir.join(RECORD), RECORD_MB).ok()?).ok()?;
        if record["version"] != VERSION {
            return None;
        }
        let files = record["files"].as_array()?.iter().map(|file| {
            let sha256 = file["sha256"]
                .as_str()
                .filter(|digest| digest.len() == 64)?;
            Some((
                file["name"].as_str()?.to_owned(),
                file["bytes"].as_u64()?,
                file["modified"].as_i64()?,
                sha256.to_owned(),
            ))
        });
        Some(Baked {
            dir: dir.to_owned(),
            artefacts: dir.join(ARTEFACTS),
            files: files.collect::<Option<_>>()?,
        })
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|(name, ..)| &name[..])
    }

    /// The digest that this file had, while it looks as it did.
    pub(crate) fn digest(&self, path: &Path, facts: &Metadata) -> Option<&str> {
        let name = path.strip_prefix(&self.dir).ok()?;
        let mut files = self.files.iter();
        let found = files.find(|(file, bytes, modified, _)| {
            Path::new(file) == name && *bytes == facts.len() && *modified == facts.mtime()
        });
        found.map(|(_, _, _, sha256)| &sha256[..])
    }
}
