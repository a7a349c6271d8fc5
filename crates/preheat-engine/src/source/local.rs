//! Models that are on this machine already: a directory of the user's, or a snapshot in the hub's
//! own cache. Used in place, never copied, never changed.
//!
//! Their digests are remembered in `<cache>/digests/`, so that only the first start after a change
//! reads every byte. A file counts as unchanged while its size, its time of change and its inode
//! are the same. What was baked (`crate::bake`) brings its digests along.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::error::FetchError;
use super::files::{self, FileFacts};
use super::{Fetch, Fetched, HubRepo, blocking, hub};
use crate::bake::Baked;
use crate::digest;
use crate::file::{self, RECORD_MB};

/// More than lie in any model's directory; beyond, a model is not looked for.
const MOST_NAMES: usize = 100_000;

/// Opens a directory as a model.
pub(super) async fn open(
    dir: &Path,
    source: String,
    fetch: &Fetch<'_>,
) -> Result<Fetched, FetchError> {
    let (dir, cache) = (dir.to_owned(), fetch.options.cache.clone());
    blocking(move || {
        let files = facts(&dir, &cache)?;
        let dir = match dir.is_file() {
            true => dir.parent().unwrap_or(&dir).to_owned(),
            false => dir,
        };
        Ok(Fetched {
            revision: files::revision(&files),
            dir,
            source,
            files,
            bytes_fetched: 0,
            cached: true,
        })
    })
    .await
}

/// The model in the cache that other tools of the hub keep, when it is there and complete. Not where one
/// file of several is named: what is there may be another.
pub(super) async fn hub_snapshot(
    repo: &HubRepo,
    fetch: &Fetch<'_>,
) -> Result<Option<Fetched>, FetchError> {
    if repo.file.is_some() {
        return Ok(None);
    }
    let Some((dir, commit)) = fetch
        .options
        .hf_home
        .as_deref()
        .and_then(|h| snapshot(h, repo))
    else {
        return Ok(None);
    };
    let found = match open(&dir, format!("hf:{}@{commit}", repo.repo), fetch).await {
        Ok(found) => found,
        // Someone else's cache: what is wrong with it is no reason not to fetch the model.
        Err(error) => {
            tracing::debug!(dir = %dir.display(), error = error.chain(), "snapshot not used");
            return Ok(None);
        }
    };
    Ok(files::agree(&found.files, fetch.pins).then_some(found))
}

fn snapshot(home: &Path, repo: &HubRepo) -> Option<(PathBuf, String)> {
    let dir = home
        .join("hub")
        .join(format!("models--{}", repo.repo.replace('/', "--")));
    let revision = repo.revision.as_deref().unwrap_or(hub::DEFAULT_BRANCH);
    let commit = if hub::is_commit(revision) {
        revision.to_owned()
    } else {
        file::read_text(&dir.join("refs").join(revision), RECORD_MB)
            .ok()?
            .trim()
            .to_owned()
    };
    hub::is_commit(&commit).then(|| (dir.join("snapshots").join(&commit), commit))
}

fn facts(dir: &Path, cache: &Path) -> Result<Vec<FileFacts>, FetchError> {
    let place = dir.display().to_string();
    let dir = match fs::canonicalize(dir) {
        Ok(dir) => dir,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(FetchError::NotFound { what: place });
        }
        Err(error) => return Err(FetchError::io("read", dir, error)),
    };
    let (dir, found) = match Stamp::of(&dir)? {
        Some(stamp) => alone(dir, stamp)?,
        None => {
            let found = inside(&place, &dir)?;
            (dir, found)
        }
    };

    let memory = Memory::of(cache, &dir);
    let mut known = memory.read();
    let baked = Baked::read(&dir);
    let mut changed = false;
    let mut facts = Vec::with_capacity(found.len());
    for (name, stamp) in found {
        let sha256 = match known.iter().position(|(n, s, _)| *n == name && *s == stamp) {
            Some(at) => known.swap_remove(at).2,
            None => {
                changed = true;
                digest_of(&dir, &name, baked.as_ref())?
            }
        };
        facts.push((name, stamp, sha256));
    }
    if changed {
        memory.write(&facts);
    }
    Ok(facts
        .into_iter()
        .map(|(name, stamp, sha256)| FileFacts {
            name,
            bytes: stamp.bytes,
            sha256,
        })
        .collect())
}

fn digest_of(dir: &Path, name: &str, baked: Option<&Baked>) -> Result<String, FetchError> {
    let path = dir.join(name);
    let read = |error| FetchError::io("read", &path, error);
    if let Some(baked) = baked
        && let Some(sha256) = baked.digest(name, &fs::metadata(&path).map_err(read)?)
    {
        return Ok(sha256.to_owned());
    }
    Ok(digest::of_file(&path).map_err(read)?.1)
}

/// The path of an ONNX file is a model too.
fn alone(file: PathBuf, stamp: Stamp) -> Result<(PathBuf, Vec<(String, Stamp)>), FetchError> {
    let place = file.display().to_string();
    let missing = "an ONNX file, or a directory with a model";
    match (file.file_name(), file.parent()) {
        (Some(name), Some(dir)) if file.extension().is_some_and(|e| e == "onnx") => {
            let mut found = beside(dir)?;
            found.push((name.to_string_lossy().into_owned(), stamp));
            Ok((dir.to_owned(), found))
        }
        _ => Err(FetchError::NotAModel { place, missing }),
    }
}

/// What a start from the file reads too: its tokenizer, and how its vectors are pooled.
fn beside(dir: &Path) -> Result<Vec<(String, Stamp)>, FetchError> {
    let mut found = Vec::new();
    for name in files::beside_weights() {
        if let Some(stamp) = Stamp::of(&dir.join(name))? {
            found.push((name.to_owned(), stamp));
        }
    }
    Ok(found)
}

/// The files of the model in a directory: those of the usual names, or its only ONNX file.
fn inside(place: &str, dir: &Path) -> Result<Vec<(String, Stamp)>, FetchError> {
    let listed = listed(dir)?;
    let mut found = Vec::new();
    for name in files::beside_weights().chain(listed.iter().map(String::as_str)) {
        if !found.iter().any(|(known, _)| known == name)
            && let Some(stamp) = Stamp::of(&dir.join(name))?
        {
            found.push((name.to_owned(), stamp));
        }
    }
    let there: Vec<&str> = found.iter().map(|(name, _)| &name[..]).collect();
    let names = files::select(place, &there).or_else(|error| {
        let beside = listed.iter().filter(|name| !name.contains('/'));
        let beside: Vec<String> = beside.cloned().collect();
        let file = files::onnx(place, &beside, None)?.ok_or(error)?;
        Ok::<_, FetchError>(files::of_onnx(&file, &there))
    })?;
    found.retain(|(name, _)| names.contains(name));
    Ok(found)
}

/// Every name in a directory, and in the folder that exporters put ONNX files into.
fn listed(dir: &Path) -> Result<Vec<String>, FetchError> {
    let mut names = Vec::new();
    for (folder, prefix) in [(dir.to_owned(), ""), (dir.join("onnx"), "onnx/")] {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(_) if !prefix.is_empty() => continue,
            Err(error) => return Err(FetchError::io("read", &folder, error)),
        };
        let entries = entries.filter_map(Result::ok).take(MOST_NAMES);
        let texts = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names.extend(texts.map(|name| format!("{prefix}{name}")));
    }
    Ok(names)
}

/// What changes when a file's content does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    inode: u64,
    changed_s: i64,
    changed_ns: i64,
}

impl Stamp {
    /// `None` when there is no such file.
    fn of(path: &Path) -> Result<Option<Self>, FetchError> {
        let found = match fs::metadata(path) {
            Ok(found) if found.is_file() => found,
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(FetchError::io("read", path, error)),
        };
        // The time of change, not of modification: tools set the latter back.
        Ok(Some(Stamp {
            bytes: found.len(),
            inode: found.ino(),
            changed_s: found.ctime(),
            changed_ns: found.ctime_nsec(),
        }))
    }
}

type Remembered = (String, Stamp, String);

/// The remembered digests of one directory. Losing them costs time, nothing else, so no failure
/// here is an error.
struct Memory {
    path: PathBuf,
}

impl Memory {
    fn of(cache: &Path, dir: &Path) -> Self {
        let name = digest::of_bytes(dir.as_os_str().as_encoded_bytes());
        Memory {
            path: cache.join("digests").join(format!("{}.json", &name[..32])),
        }
    }

    fn read(&self) -> Vec<Remembered> {
        let json: Value = file::read(&self.path, RECORD_MB)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        let remembered = |file: &Value| {
            let stamp = Stamp {
                bytes: file["bytes"].as_u64()?,
                inode: file["inode"].as_u64()?,
                changed_s: file["changed_s"].as_i64()?,
                changed_ns: file["changed_ns"].as_i64()?,
            };
            Some((
                file["name"].as_str()?.to_owned(),
                stamp,
                file["sha256"].as_str()?.to_owned(),
            ))
        };
        json.as_array()
            .map(|files| files.iter().filter_map(remembered).collect())
            .unwrap_or_default()
    }

    fn write(&self, facts: &[Remembered]) {
        let files: Vec<Value> = facts
            .iter()
            .map(|(name, stamp, sha256)| {
                json!({
                    "name": name,
                    "bytes": stamp.bytes,
                    "inode": stamp.inode,
                    "changed_s": stamp.changed_s,
                    "changed_ns": stamp.changed_ns,
                    "sha256": sha256,
                })
            })
            .collect();
        let written = || -> io::Result<()> {
            let dir = self.path.parent().unwrap_or(&self.path);
            fs::create_dir_all(dir)?;
            let mut file = tempfile::NamedTempFile::new_in(dir)?;
            io::Write::write_all(&mut file, Value::Array(files).to_string().as_bytes())?;
            file.persist(&self.path)?;
            Ok(())
        };
        if let Err(error) = written() {
            tracing::debug!(path = %self.path.display(), %error, "digests not remembered");
        }
    }
}
