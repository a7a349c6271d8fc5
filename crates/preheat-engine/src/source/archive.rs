//! Models inside archives: zip (wheels too) and tar.gz.
//!
//! An archive is somebody else's: the files written are those whose names this crate knows, under
//! names of its own, up to a size; an archive with a name that leads out of it is refused whole.

use std::fmt::Display;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use zip::ZipArchive;

use super::cache::{Staging, create_dir};
use super::error::FetchError;
use super::files::{self, FileFacts};
use super::transfer::{self, Remote, Wanted};
use super::{Fetch, blocking};
use crate::digest::Sink;

/// More entries than any model has.
const MAX_ENTRIES: usize = 100_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Zip,
    TarGz,
}

impl Kind {
    pub(super) fn of(path: &str) -> Option<Self> {
        if path.ends_with(".zip") || path.ends_with(".whl") {
            Some(Kind::Zip)
        } else if path.ends_with(".tar.gz") || path.ends_with(".tgz") {
            Some(Kind::TarGz)
        } else {
            None
        }
    }
}

/// Downloads an archive and takes the model out of it.
pub(super) async fn download(
    remote: &Remote<'_>,
    kind: Kind,
    fetch: &Fetch<'_>,
    staging: &mut Staging,
) -> Result<(), FetchError> {
    let wanted = Wanted {
        name: "archive",
        bytes: None,
        sha256: fetch.archive_pin,
    };
    transfer::download(remote, &wanted, fetch, staging).await?;
    let path = staging.part(wanted.name)?;
    // A bad archive must not be what the next attempt goes on from; a full disk is not its fault.
    unpack(path, kind, fetch, staging)
        .await
        .inspect_err(|error| {
            if !error.is_local() {
                staging.forget(wanted.name);
            }
        })
}

/// Takes the model out of an archive on this machine.
pub(super) async fn unpack(
    archive: PathBuf,
    kind: Kind,
    fetch: &Fetch<'_>,
    staging: &mut Staging,
) -> Result<(), FetchError> {
    let place = archive
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let job = Unpack {
        archive,
        place,
        to: staging.parts(),
        limit: fetch.options.max_file_bytes,
        onnx: fetch.onnx.map(str::to_owned),
    };
    let lock = staging.lock();
    let unpacked = blocking(move || {
        let _lock = lock;
        match kind {
            Kind::Zip => job.zip(),
            Kind::TarGz => job.tar(),
        }
    })
    .await?;
    for facts in unpacked {
        fetch.check_pin(&facts)?;
        staging.add(facts);
    }
    Ok(())
}

struct Unpack {
    archive: PathBuf,
    /// For messages.
    place: String,
    to: PathBuf,
    limit: u64,
    /// How the path of the ONNX file ends, if that is what is wanted.
    onnx: Option<String>,
}

impl Unpack {
    fn zip(&self) -> Result<Vec<FileFacts>, FetchError> {
        let mut zip = ZipArchive::new(BufReader::new(self.open()?)).map_err(|e| self.bad(&e))?;
        let paths = zip
            .file_names()
            .take(MAX_ENTRIES)
            .map(|name| name.map(|name| name.into_owned()).map_err(|e| self.bad(&e)))
            .collect::<Result<Vec<_>, _>>()?;
        let chosen = self.choose(&paths)?;
        let mut files = Vec::new();
        for (path, name) in chosen {
            let mut entry = zip.by_name(&path).map_err(|e| self.bad(&e))?;
            if !entry.is_file() {
                return Err(self.bad(&format!("{path} is not a file")));
            }
            files.push(self.extract(&name, &mut entry)?);
        }
        Ok(files)
    }

    /// Twice through the stream: what to take is known only once every name has been seen.
    fn tar(&self) -> Result<Vec<FileFacts>, FetchError> {
        let mut paths = Vec::new();
        self.tar_entries(|path, _| {
            paths.push(path.to_owned());
            Ok(())
        })?;
        let chosen = self.choose(&paths)?;
        let mut files: Vec<FileFacts> = Vec::new();
        self.tar_entries(|path, entry| {
            let Some((_, name)) = chosen.iter().find(|(chosen, _)| chosen == path) else {
                return Ok(());
            };
            if !entry.header().entry_type().is_file() {
                return Err(self.bad(&format!("{path} is not a file")));
            }
            if files.iter().any(|file| file.name == *name) {
                return Err(self.bad(&format!("it holds {path} twice")));
            }
            files.push(self.extract(name, entry)?);
            Ok(())
        })?;
        Ok(files)
    }

    fn tar_entries(
        &self,
        mut each: impl FnMut(&str, &mut TarEntry<'_>) -> Result<(), FetchError>,
    ) -> Result<(), FetchError> {
        // All entries together are bounded, so that a small archive cannot unfold without end.
        let stream = GzDecoder::new(BufReader::new(self.open()?)).take(self.limit);
        let mut tar = tar::Archive::new(stream);
        // Raw: extension headers, whose size the archive chooses, are not gathered in memory. Names
        // beyond 100 bytes (255 with a prefix) are not understood for it.
        let entries = tar.entries().map_err(|e| self.bad(&e))?.raw(true);
        for (count, entry) in entries.enumerate() {
            let mut entry = entry.map_err(|e| self.bad(&e))?;
            if count >= MAX_ENTRIES {
                return Err(self.bad(&"it has too many entries"));
            }
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            each(path.strip_prefix("./").unwrap_or(&path), &mut entry)?;
        }
        Ok(())
    }

    /// Which entries to take, and the names they get.
    fn choose(&self, paths: &[String]) -> Result<Vec<(String, String)>, FetchError> {
        if paths.len() >= MAX_ENTRIES {
            return Err(self.bad(&"it has too many entries"));
        }
        if let Some(path) = paths.iter().find(|path| leads_out(path)) {
            return Err(self.bad(&format!("the entry `{path}` leads out of it")));
        }
        if let Some(file) = self.onnx(paths)? {
            return Ok(vec![(file, "model.onnx".to_owned())]);
        }
        let root = files::root(&self.place, paths)?;
        let entry = |name: &str| format!("{root}{name}");
        let inside: Vec<&str> = paths
            .iter()
            .filter_map(|path| path.strip_prefix(&root))
            .collect();
        let names = files::select(&self.place, &inside)?;
        Ok(names.into_iter().map(|name| (entry(&name), name)).collect())
    }

    /// The ONNX file, where one was named or nothing else is a model.
    fn onnx(&self, paths: &[String]) -> Result<Option<String>, FetchError> {
        let wanted = self.onnx.as_deref();
        match wanted.is_some() || files::root(&self.place, paths).is_err() {
            true => files::onnx(&self.place, paths, wanted),
            false => Ok(None),
        }
    }

    fn extract(&self, name: &str, from: &mut impl Read) -> Result<FileFacts, FetchError> {
        let to = self.to.join(name);
        create_dir(to.parent().unwrap_or(&self.to))?;
        let write = |error| FetchError::write(&to, 0, error);
        let mut sink = Sink::create(&to).map_err(write)?;
        let mut buffer = vec![0; 1 << 18];
        loop {
            let read = from.read(&mut buffer).map_err(|e| self.bad(&e))?;
            if read == 0 {
                break;
            }
            if sink.written() + read as u64 > self.limit {
                return Err(FetchError::TooLarge {
                    file: name.to_owned(),
                    limit: self.limit,
                });
            }
            sink.write(&buffer[..read]).map_err(write)?;
        }
        let (bytes, sha256) = sink.finish().map_err(write)?;
        Ok(FileFacts {
            name: name.to_owned(),
            bytes,
            sha256,
        })
    }

    fn open(&self) -> Result<File, FetchError> {
        File::open(&self.archive).map_err(|error| FetchError::io("read", &self.archive, error))
    }

    fn bad(&self, reason: &dyn Display) -> FetchError {
        FetchError::Archive {
            file: self.place.clone(),
            reason: reason.to_string(),
        }
    }
}

type TarEntry<'a> = tar::Entry<'a, std::io::Take<GzDecoder<BufReader<File>>>>;

fn leads_out(path: &str) -> bool {
    path.contains('\\') || Path::new(path).is_absolute() || path.split('/').any(|part| part == "..")
}
