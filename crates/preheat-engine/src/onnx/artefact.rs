//! What ONNX Runtime makes of a file for this CPU, kept: the optimised graph, and the weights as its
//! kernels read them. Making that is most of what opening a file costs; a session over what was kept
//! maps the weights, and so do all sessions of all processes of the machine.
//!
//! ```text
//! header (a page) | weights, and as kernels read them | graph | bytes of the graph (8)
//! ```

use std::fs::{self, File};
use std::io;
use std::path::Path;

use ort::environment::Environment;
use ort::session::Session;

use super::relocate::Mover;
use super::{OnnxSpec, session};
use crate::digest;
use crate::load::ArtefactState;
use crate::store::{self, Content, HEADER, Identity, Kind, Made, Mapped, Places, stamp};

/// Raised whenever the same bytes would mean something else.
const VERSION: u32 = 2;

/// What a graph is called that knows where its weights are.
const GRAPH: &str = "graph";
const WEIGHTS: &str = "weights";

/// More than this is not taken because a note says so.
const MOST_TAKEN: usize = 1 << 30;

/// A graph and its weights in a file.
#[derive(Debug)]
pub(super) struct Artefact {
    mapped: Mapped,
    identity: Identity,
}

impl Artefact {
    /// If it was made before.
    pub(super) fn find(identity: &Identity, places: Places<'_>) -> Option<Self> {
        let mapped = store::find(places, identity, None)?;
        is_whole(mapped.bytes()).then(|| Artefact::over(mapped, identity))
    }

    fn over(mapped: Mapped, identity: &Identity) -> Self {
        let identity = identity.clone();
        Artefact { mapped, identity }
    }

    /// From the store, or made now. None, and why, where it cannot be kept or cannot be made: the
    /// file itself can still be opened.
    pub(super) fn open(
        environment: &Environment,
        spec: &OnnxSpec,
        identity: &Identity,
        places: Places<'_>,
    ) -> (Option<Self>, ArtefactState) {
        let Some(store) = places.store else {
            return (None, ArtefactState::Off);
        };
        let unavailable = |reason| (None, ArtefactState::Unavailable { reason });
        let make = || make(environment, spec, identity, store);
        match store::open(places, identity, None, make) {
            Ok((Content::Shared(mapped), state)) if is_whole(mapped.bytes()) => {
                (Some(Artefact::over(mapped, identity)), state)
            }
            Ok((Content::Shared(mapped), _)) => {
                unavailable(format!("{} makes no sense", mapped.path().display()))
            }
            Ok((Content::Private(_), state)) => (None, state),
            Err(reason) => unavailable(reason),
        }
    }

    pub(super) fn path(&self) -> &Path {
        self.mapped.path()
    }

    /// # Errors
    /// Those of the library.
    pub(super) fn session(
        &self,
        environment: &Environment,
        spec: &OnnxSpec,
    ) -> Result<Session, ort::Error> {
        let dir = self.mapped.path().parent().unwrap_or(Path::new("."));
        let graph = graph(self.mapped.bytes()).unwrap_or_default();
        session::over(environment, spec, dir, graph)
    }

    /// Bytes that `run` was seen to take, if somebody noted them.
    pub(super) fn memory(&self, spec: &OnnxSpec, run: &str) -> Option<usize> {
        let noted = store::noted(spec.artefacts.as_deref()?, &self.identity)?;
        let bytes = noted.strip_prefix(&begin(spec, run))?.trim_end();
        bytes.parse().ok().filter(|bytes| *bytes <= MOST_TAKEN)
    }

    pub(super) fn note_memory(&self, spec: &OnnxSpec, run: &str, bytes: usize) {
        if let Some(store) = &spec.artefacts {
            let text = format!("{}{bytes}\n", begin(spec, run));
            store::note(store, &self.identity, &text);
        }
    }
}

/// Of the note; some of what a run takes is one piece for each thread.
fn begin(spec: &OnnxSpec, run: &str) -> String {
    format!("bytes for {run} on {} threads: ", spec.threads)
}

/// What decides the bytes: the file, the library, and what this CPU can do, which the library
/// arranges weights for.
pub(super) fn identity(library: &Path, sha256: &str, places: Places<'_>) -> io::Result<Identity> {
    let read = || digest::of_file(library).map(|(_, digest)| digest);
    let runtime = stamp::digest(&File::open(library)?, library, places.store, None, read)?;
    let cpu = crate::floor::this_cpu();
    Ok(Identity {
        kind: Kind::Session,
        text: format!("session {sha256} runtime {runtime} cpu {cpu} form {VERSION}"),
    })
}

/// In memory, with room for the header.
struct Bytes(Vec<u8>);

impl Made for Bytes {
    fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

/// Has the library write what it made, and puts it together. Only one process does this at a time.
fn make(
    environment: &Environment,
    spec: &OnnxSpec,
    identity: &Identity,
    store: &Path,
) -> Result<Bytes, String> {
    let io = |error: io::Error| format!("it cannot be written: {error}");
    let dir = identity.workshop(store).map_err(io)?;
    let made = session::save(environment, spec, &dir.join(GRAPH), WEIGHTS)
        .map_err(|error| format!("ONNX Runtime cannot save it: {error}"))
        .and_then(|()| put_together(&dir, &identity.file_name()));
    // What stays is cleared away by the next maker.
    let _ = fs::remove_dir_all(&dir);
    made
}

fn put_together(dir: &Path, name: &str) -> Result<Bytes, String> {
    let io = |error: io::Error| format!("what ONNX Runtime saved cannot be read: {error}");
    let graph = fs::read(dir.join(GRAPH)).map_err(io)?;
    let weights = match fs::read(dir.join(WEIGHTS)) {
        // A model of a few numbers has them all in its graph, and no such file.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        weights => weights.map_err(io)?,
    };
    let mut bytes = Vec::with_capacity(HEADER + weights.len() + weights.len() / 8);
    bytes.resize(HEADER, 0);
    let mut mover = Mover {
        from: &weights,
        file: name,
        to: bytes,
    };
    let graph = mover.relocate(&graph)?;
    let mut bytes = mover.to;
    bytes.extend_from_slice(&graph);
    bytes.extend_from_slice(&(graph.len() as u64).to_le_bytes());
    Ok(Bytes(bytes))
}

fn is_whole(bytes: &[u8]) -> bool {
    graph(bytes).is_some()
}

fn graph(bytes: &[u8]) -> Option<&[u8]> {
    let (rest, length) = bytes.get(HEADER..)?.split_last_chunk::<8>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let begin = rest.len().checked_sub(length)?;
    rest.get(begin..)
}
