//! The artefact store: files that are made from a model once, and mapped by every process that
//! serves it.
//!
//! ```text
//! <name>.packed, .tokenizer, .session   an artefact: a page of header, and the bytes behind it
//! <name>.seal                           that this very file was read to its end and found whole
//! <name>.lock, .new, .making            held and written by the process that makes it
//! <name>.note                           what was measured of it: for people, or a hint
//! <name>.sha256                         the digest of a model's file, see `stamp`
//! ```
//!
//! A name is the digest of what the artefact was made from, and the header repeats that as text.
//! What is believed: a read-only file whose length and header are right and whose checksum is, too.
//! Reading 40 MB for a checksum costs milliseconds of every start, so the kernel's word that a file
//! has not changed since it was last read (see [`stamp`]) stands in for reading it again. Anything
//! else is made anew. The store is never needed: whoever cannot use it makes what it needs in its
//! own memory.

mod bounds;
mod header;
mod shelf;
pub(crate) mod stamp;

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use memmap2::Mmap;

pub use shelf::{Artefact, list, verify};

use crate::ahead;
use crate::bake::Baked;
use crate::file::{self, RECORD_MB};
use crate::load::ArtefactState;
use header::Header;
use stamp::Stamp;

pub(crate) use header::HEADER;

/// How long to wait for another process that is making the same artefact.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Where artefacts are looked for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Places<'a> {
    /// Beside the model, made when the model was baked. Only read.
    pub(crate) baked: Option<&'a Baked>,
    pub(crate) store: Option<&'a Path>,
    /// Most bytes of the store. Artefacts in use do not count as removable.
    pub(crate) limit: u64,
}

/// What an artefact is made from. Equal text means equal bytes.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) kind: Kind,
    pub(crate) text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Packed for the native engine.
    Weights,
    Tokenizer,
    /// A graph and its weights, as ONNX Runtime made them.
    Session,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::Weights, Kind::Tokenizer, Kind::Session];

    fn extension(self) -> &'static str {
        match self {
            Kind::Weights => "packed",
            Kind::Tokenizer => "tokenizer",
            Kind::Session => "session",
        }
    }

    /// For people.
    fn name(self) -> &'static str {
        match self {
            Kind::Weights => "weights",
            Kind::Tokenizer => "tokenizer",
            Kind::Session => "session",
        }
    }

    fn of(path: &Path) -> Option<Self> {
        let extension = path.extension()?;
        let mut all = Kind::ALL.into_iter();
        all.find(|kind| extension == kind.extension())
    }

    /// Whether every run reads all of it where this process has it mapped.
    fn is_streamed(self) -> bool {
        // What a session reads of its weights, the library maps by itself.
        self != Kind::Session
    }
}

impl Identity {
    fn name(&self) -> String {
        let mut name = crate::digest::of_bytes(self.text.as_bytes());
        name.truncate(32);
        name
    }

    /// What its file is called.
    pub(crate) fn file_name(&self) -> String {
        format!("{}.{}", self.name(), self.kind.extension())
    }

    /// A directory that only who makes the artefact uses, and that is not there before.
    ///
    /// # Errors
    /// When what an earlier maker left cannot be cleared away.
    pub(crate) fn workshop(&self, store: &Path) -> io::Result<PathBuf> {
        let dir = store.join(format!("{}.making", self.name()));
        match fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => fs::create_dir(&dir).map(|()| dir),
        }
    }
}

/// An artefact in memory, with room for the header before its bytes.
pub(crate) trait Made {
    fn bytes(&self) -> &[u8];
    fn bytes_mut(&mut self) -> &mut [u8];
}

/// An artefact, wherever it is.
pub(crate) enum Content<M> {
    Private(M),
    Shared(Mapped),
}

/// A file of the store. The lock says that it is in use for as long as this lives.
#[derive(Debug)]
pub(crate) struct Mapped {
    map: Mmap,
    path: PathBuf,
    _in_use: File,
}

impl Mapped {
    /// The header included; begins on a page.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.map
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// The artefact, from where it was made before, if it can be had there. `len` is what it must
/// measure, where that is known before it is made.
pub(crate) fn open<M: Made, E>(
    places: Places<'_>,
    identity: &Identity,
    len: Option<usize>,
    make: impl FnOnce() -> Result<M, E>,
) -> Result<(Content<M>, ArtefactState), E> {
    if let Some(mapped) = find(places, identity, len) {
        return Ok((Content::Shared(mapped), ArtefactState::Mapped));
    }
    let Some(dir) = places.store else {
        return Ok((Content::Private(make()?), ArtefactState::Off));
    };
    let place = Place::of(dir, identity, len);
    let lock = match place.lock() {
        Ok(lock) => lock,
        Err(error) => {
            let reason = format!("{} cannot be locked: {error}", place.lock.display());
            let state = ArtefactState::Unavailable { reason };
            return Ok((Content::Private(make()?), state));
        }
    };
    // Whoever held the lock before may have made this very artefact.
    let distrust = match place.map(identity) {
        Ok(mapped) => return Ok((Content::Shared(mapped), ArtefactState::Mapped)),
        Err(distrust) => distrust,
    };
    let mut made = make()?;
    header::sign(identity, made.bytes_mut());
    let written = place.write(made.bytes()).and_then(|()| {
        place
            .map(identity)
            .map_err(|distrust| io::Error::other(format!("{distrust:?}")))
    });
    drop(lock);
    Ok(match (written, distrust) {
        (Ok(mapped), distrust) => {
            bounds::evict(dir, places.limit);
            let state = match distrust {
                Distrust::Missing => ArtefactState::Built,
                Distrust::Damaged(reason) => ArtefactState::Rebuilt {
                    reason: reason.to_owned(),
                },
            };
            (Content::Shared(mapped), state)
        }
        (Err(error), _) => {
            let reason = format!("{} cannot be written: {error}", place.file.display());
            (
                Content::Private(made),
                ArtefactState::Unavailable { reason },
            )
        }
    })
}

/// The artefact, if it was made before and can be believed.
pub(crate) fn find(places: Places<'_>, identity: &Identity, len: Option<usize>) -> Option<Mapped> {
    let baked = places.baked.map(|baked| baked.artefacts.as_path());
    let mut dirs = [baked, places.store].into_iter().flatten();
    dirs.find_map(|dir| Place::of(dir, identity, len).map(identity).ok())
}

/// What was noted about an artefact. Anybody may have written it: no answer depends on it.
pub(crate) fn noted(store: &Path, identity: &Identity) -> Option<String> {
    let path = store.join(format!("{}.note", identity.name()));
    file::read_text(&path, RECORD_MB)
        .ok()
        .filter(|text| !text.is_empty())
}

/// Failing to note it costs measuring it again.
pub(crate) fn note(store: &Path, identity: &Identity, text: &str) {
    let _ = stamp::write(&store.join(format!("{}.note", identity.name())), text);
}

/// Why a file is not used.
#[derive(Debug)]
enum Distrust {
    Missing,
    Damaged(&'static str),
}

struct Place {
    file: PathBuf,
    /// What is being written. Only who holds the lock does, so what a crash leaves is found again.
    new: PathBuf,
    lock: PathBuf,
    seal: PathBuf,
    /// Bytes of the file, where they are known.
    len: Option<usize>,
}

impl Place {
    fn of(dir: &Path, identity: &Identity, len: Option<usize>) -> Self {
        let name = identity.name();
        let file = |extension: &str| dir.join(format!("{name}.{extension}"));
        Place {
            file: dir.join(identity.file_name()),
            new: file("new"),
            lock: file("lock"),
            seal: file("seal"),
            len,
        }
    }

    fn map(&self, identity: &Identity) -> Result<Mapped, Distrust> {
        let file = File::open(&self.file).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Distrust::Missing,
            _ => Distrust::Damaged("it cannot be opened"),
        })?;
        // An eviction that comes between leaves the file without a name, and whole.
        let _ = file.try_lock_shared();
        let unreadable = |_| Distrust::Damaged("it cannot be read");
        let facts = file.metadata().map_err(unreadable)?;
        if !facts.permissions().readonly() {
            return Err(Distrust::Damaged("it may be written"));
        }
        if facts.len() < HEADER as u64 || self.len.is_some_and(|len| facts.len() != len as u64) {
            return Err(Distrust::Damaged("its length is wrong"));
        }
        #[expect(unsafe_code, reason = "mapping a file has no safe form")]
        // SAFETY: the map is only read, and the file is read-only: it is replaced, never changed.
        let map = unsafe { Mmap::map(&file) }.map_err(unreadable)?;
        let all = 0..map.len();
        if identity.kind.is_streamed() {
            ahead::map_all(&map, &file, all).map_err(unreadable)?;
        } else if !ahead::is_there(&file, all.clone()) {
            ahead::bring(&map, &file, all).map_err(unreadable)?;
        }
        let (header, body) = map.split_at(HEADER);
        let header = Header::read(header, identity)
            .ok_or(Distrust::Damaged("its header is that of something else"))?;
        let stamp = Stamp::of(&facts);
        if !stamp.is_sealed(&self.seal, header.checksum) {
            if header.checksum != header::checksum(body) {
                return Err(Distrust::Damaged("its checksum is wrong"));
            }
            stamp.seal(&self.seal, header.checksum);
        }
        bounds::note_use(&self.seal);
        Ok(Mapped {
            map,
            path: self.file.clone(),
            _in_use: file,
        })
    }

    fn lock(&self) -> io::Result<File> {
        fs::create_dir_all(self.lock.parent().unwrap_or(Path::new(".")))?;
        let lock = File::options().create(true).append(true).open(&self.lock)?;
        let start = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(lock),
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if start.elapsed() > PATIENCE => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                Err(TryLockError::WouldBlock) => thread::sleep(LOOK_AGAIN),
            }
        }
    }

    /// One large write leaves large folios in the page cache: fewer entries to map than a file that
    /// grew by small pieces has.
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        match fs::remove_file(&self.new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let written = self.write_new(bytes);
        if written.is_err() {
            // On a full disk it is part of the trouble.
            let _ = fs::remove_file(&self.new);
        }
        written
    }

    fn write_new(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = File::create_new(&self.new)?;
        file.write_all(bytes)?;
        let mut permissions = file.metadata()?.permissions();
        permissions.set_readonly(true);
        file.set_permissions(permissions)?;
        file.sync_all()?;
        fs::rename(&self.new, &self.file)
    }
}
