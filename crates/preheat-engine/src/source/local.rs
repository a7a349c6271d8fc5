//! Models that are on this machine already: a directory of the user's, or a snapshot in the hub's
//! own cache. Used in place, never copied, never changed.
//!
//! Their digests are remembered in `<cache>/digests/`, so that only the first start after a change
//! reads every byte. A file counts as unchanged while its size, its time of change and its inode
//! are the same. What was baked (`crate::bake`) brings its digests along.

use std::collections::BTreeSet;
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
        let (dir, found) = find(&dir)?;
        let files = facts(&dir, found, &cache)?;
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

fn facts(
    dir: &Path,
    found: Vec<(String, Stamp)>,
    cache: &Path,
) -> Result<Vec<FileFacts>, FetchError> {
    let canonical = fs::canonicalize(dir).map_err(|error| FetchError::io("read", dir, error))?;
    let memory = Memory::of(cache, &canonical);
    let mut known = memory.read();
    let baked = Baked::read(dir);
    let mut changed = false;
    let mut facts = Vec::with_capacity(found.len());
    for (name, stamp) in found {
        let sha256 = match known.iter().position(|(n, s, _)| *n == name && *s == stamp) {
            Some(at) => known.swap_remove(at).2,
            None => {
                changed = true;
                digest_of(&dir.join(&name), baked.as_ref())?
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

fn digest_of(path: &Path, baked: Option<&Baked>) -> Result<String, FetchError> {
    let read = |error| FetchError::io("read", path, error);
    if let Some(baked) = baked
        && let Some(sha256) = baked.digest(path, &fs::metadata(path).map_err(read)?)
    {
        return Ok(sha256.to_owned());
    }
    Ok(digest::of_file(path).map_err(read)?.1)
}

/// The directory of the model at this path, and the files there that belong to it.
fn find(path: &Path) -> Result<(PathBuf, Vec<(String, Stamp)>), FetchError> {
    match fs::metadata(path) {
        Ok(facts) if facts.is_dir() => folder(path),
        Ok(_) => alone(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(FetchError::NotFound {
            what: path.display().to_string(),
        }),
        Err(error) => Err(FetchError::io("read", path, error)),
    }
}

/// A model's own directory; or the folder in it with its ONNX files, whose tokenizer is around it.
fn folder(dir: &Path) -> Result<(PathBuf, Vec<(String, Stamp)>), FetchError> {
    let found = inside(dir)?;
    let is_part = root_of(dir) != dir && !dir.join(files::TOKENIZER).is_file();
    let mut names = found.iter().map(|(name, _)| name);
    match names.find(|name| is_part && name.ends_with(".onnx")) {
        Some(onnx) => alone(&dir.join(onnx)),
        None => Ok((dir.to_owned(), found)),
    }
}

/// The path of an ONNX file is a model too, with its tokenizer and whatever else a start from it reads.
fn alone(file: &Path) -> Result<(PathBuf, Vec<(String, Stamp)>), FetchError> {
    let place = file.display().to_string();
    let missing = "an ONNX file, or a directory with a model";
    let is_onnx = file.extension().is_some_and(|e| e == "onnx");
    let dir = file.parent().filter(|_| is_onnx).map(root_of);
    let name = dir.and_then(|dir| file.strip_prefix(dir).ok()?.to_str());
    match (dir, name) {
        (Some(dir), Some(name)) => {
            let found = chosen(dir, Some(name), |names| match names.contains(&name) {
                true => Ok(files::of_onnx(name, names)),
                false => Err(FetchError::NotAModel { place, missing }),
            })?;
            Ok((dir.to_owned(), found))
        }
        _ => Err(FetchError::NotAModel { place, missing }),
    }
}

/// The directory of a model whose ONNX files are in this folder: the one around it, where exporters
/// leave the tokenizer.
fn root_of(folder: &Path) -> &Path {
    let around = folder
        .parent()
        .filter(|_| folder.ends_with(files::ONNX_FOLDER));
    let around = around.filter(|dir| dir.join(files::TOKENIZER).is_file());
    around.unwrap_or(folder)
}

/// The files of the model in a directory: those of the usual names, or its only ONNX file.
fn inside(dir: &Path) -> Result<Vec<(String, Stamp)>, FetchError> {
    let place = dir.display().to_string();
    chosen(dir, None, |names| {
        files::select(&place, names).or_else(|error| {
            let beside = names.iter().copied().filter(|name| !name.contains('/'));
            let file = match files::onnx(&place, &beside.collect::<Vec<_>>(), None)? {
                Some(file) => Some(file),
                None => files::onnx(&place, names, None)?,
            };
            Ok(files::of_onnx(&file.ok_or(error)?, names))
        })
    })
}

/// The files of a directory that are chosen among those that may belong to a model, and the one that is
/// asked for by name: it is looked at however many there are.
fn chosen(
    dir: &Path,
    named: Option<&str>,
    choose: impl FnOnce(&[&str]) -> Result<Vec<String>, FetchError>,
) -> Result<Vec<(String, Stamp)>, FetchError> {
    let mut there = Vec::new();
    let mut names = candidates(dir)?;
    names.extend(named.map(str::to_owned));
    for name in names {
        let stamp = Stamp::of(&dir.join(&name)).transpose();
        there.extend(stamp.map(|stamp| (name, stamp)));
    }
    let names: Vec<&str> = there.iter().map(|(name, _)| &name[..]).collect();
    let chosen = choose(&names);
    // What cannot be looked at is a fault where the model needs it, or there is none without it.
    if let Ok(chosen) = &chosen {
        there.retain(|(name, _)| chosen.contains(name));
    }
    let found = there.into_iter().map(|(name, stamp)| Ok((name, stamp?)));
    let found = found.collect::<Result<_, FetchError>>()?;
    chosen.map(|_| found)
}

/// What may belong to a model in a directory, and in the folder that exporters put ONNX files into; a
/// baked one says what does.
fn candidates(dir: &Path) -> Result<BTreeSet<String>, FetchError> {
    let baked = Baked::read(dir);
    let named = baked.iter().flat_map(Baked::names).map(str::to_owned);
    let mut names: BTreeSet<String> = named.collect();
    for (folder, prefix) in [
        (dir.to_owned(), ""),
        (dir.join(files::ONNX_FOLDER), "onnx/"),
    ] {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(_) if !prefix.is_empty() => continue,
            Err(error) => return Err(FetchError::io("read", &folder, error)),
        };
        names.extend(files::beside_weights().map(|name| format!("{prefix}{name}")));
        let entries = entries.filter_map(Result::ok).take(MOST_NAMES);
        let texts = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let weights = texts.map(|name| format!("{prefix}{name}"));
        names.extend(weights.filter(|name| files::may_be_weights(name)));
    }
    // Parts of another set are none of this model.
    if let Ok(parts) = crate::load::parts(&dir.join(files::INDEX)) {
        names.retain(|name| !files::is_part(name) || parts.contains(name));
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
