//! ONNX files by ONNX Runtime or, without it, by rten: tensors in, tensors out, or texts in and
//! vectors out where the file takes token ids and a tokenizer lies beside it.
//!
//! The file's own declaration is the interface; which library computes shows in the engine's name
//! and nowhere else. Never fetches: where the library is, is the caller's to know.
//!
//! | to change | look in |
//! |---|---|
//! | what is read from the file | `declaration.rs`, encoded as `wire.rs` says; damage: `whole.rs` |
//! | how ONNX Runtime is found in the process | `library.rs` |
//! | its sessions: threads, devices, conversion of tensors | `session.rs` |
//! | what it made of a file, kept for the next start | `artefact.rs`, `relocate.rs` |
//! | the memory that its runs take | `memory.rs` |
//! | running without it | `rust.rs` |
//! | tensors through either | `engine.rs` |
//! | texts through either | `texts.rs` |

mod artefact;
mod declaration;
mod engine;
mod library;
mod memory;
mod relocate;
mod rust;
mod session;
mod texts;
mod whole;
mod wire;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, Scope};

use ort::environment::Environment;

use crate::bake::Baked;
use crate::engine::{Engine, Task};
use crate::load::{
    ARTEFACTS_LIMIT, ArtefactState, LoadError, Running, StageTiming, TextConfig, TokenizerForm,
    WeightsFile, join, sha256, spawn, timed,
};
use crate::source::{ONNX_IN_FOLDER, RuntimeBuild, TOKENIZER, texts_of};
use crate::store::{Identity, Places};
use crate::tokenizer::{self, Opened, Tokenizer};
use artefact::Artefact;
use declaration::Declaration;
use engine::{OnnxEngine, Sessions};
use texts::{TextEngine, TextWay};

/// What to load and how.
#[derive(Debug, Clone)]
pub struct OnnxSpec {
    pub file: PathBuf,
    /// The directory of the model that it is a file of; its tokenizer is there, or beside the file.
    pub root: PathBuf,
    /// Threads that compute one batch.
    pub threads: NonZeroUsize,
    /// None: rten.
    pub library: Option<PathBuf>,
    /// In order of preference; none: the CPU.
    pub providers: Vec<Provider>,
    /// Of the file, in hexadecimal.
    pub expected_sha256: Option<String>,
    /// None: texts, where the file takes token ids and a tokenizer lies beside it, else tensors.
    pub task: Option<Task>,
    pub labels: Vec<String>,
    /// Where what ONNX Runtime makes of files is kept, and compiled tokenizers are.
    pub artefacts: Option<PathBuf>,
    pub artefacts_limit: u64,
    /// Believes the digests of a baked directory.
    pub trust_baked: bool,
}

impl OnnxSpec {
    /// One thread of rten, nothing cached, nothing checked; the file lies in its model's directory.
    #[must_use]
    pub fn new(file: impl Into<PathBuf>) -> Self {
        let file = file.into();
        OnnxSpec {
            root: file.parent().unwrap_or(Path::new("")).to_owned(),
            file,
            threads: NonZeroUsize::MIN,
            library: None,
            providers: Vec::new(),
            expected_sha256: None,
            task: None,
            labels: Vec::new(),
            artefacts: None,
            artefacts_limit: ARTEFACTS_LIMIT,
            trust_baked: true,
        }
    }

    /// Where its tokenizer is, and whatever else is said of texts.
    fn texts(&self) -> PathBuf {
        let name = self.file.strip_prefix(&self.root).ok();
        let name = name.and_then(Path::to_str).unwrap_or_default();
        let is_there = |name: &str| self.root.join(name).is_file();
        self.root.join(texts_of(name, is_there))
    }
}

/// A device's part of ONNX Runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    Cuda,
    TensorRt,
    OpenVino,
}

impl Provider {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Provider::Cuda => "cuda",
            Provider::TensorRt => "tensorrt",
            Provider::OpenVino => "openvino",
        }
    }

    /// The build of the library that its makers put this device's part into.
    #[must_use]
    pub const fn build(self) -> RuntimeBuild {
        match self {
            Provider::Cuda | Provider::TensorRt => RuntimeBuild::Gpu,
            // Their own builds have it; ours says that it does not.
            Provider::OpenVino => RuntimeBuild::Cpu,
        }
    }
}

/// A model that can run, though nothing has run yet.
#[derive(Debug)]
pub struct LoadedOnnx {
    pub engine: Arc<dyn Engine>,
    /// Of models that take texts.
    pub tokenizer: Option<Arc<Tokenizer>>,
    pub tokenizer_form: Option<TokenizerForm>,
    pub artefact: ArtefactState,
    pub stages: Vec<StageTiming>,
    /// Whether the file's digest was compared with an expected one.
    pub checked: bool,
}

/// The one ONNX file of a directory.
///
/// # Errors
/// When there is none, or more than one.
pub fn find(dir: &Path) -> Result<PathBuf, LoadError> {
    let usual = dir.join("model.onnx");
    if usual.is_file() {
        return Ok(usual);
    }
    let in_folder = dir.join(ONNX_IN_FOLDER);
    if in_folder.is_file() {
        return Ok(in_folder);
    }
    let entries = std::fs::read_dir(dir).map_err(|source| LoadError::Directory {
        path: dir.to_owned(),
        source,
    })?;
    let is_onnx = |path: &PathBuf| path.extension().is_some_and(|e| e == "onnx");
    let mut found = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(is_onnx);
    match (found.next(), found.next()) {
        (Some(file), None) => Ok(file),
        (None, _) => Err(LoadError::MissingFile { path: usual }),
        (Some(one), Some(_)) => Err(LoadError::Onnx {
            path: one,
            reason: "is not the only ONNX file: give the path of one of them as the source".into(),
        }),
    }
}

/// Loads the model that `spec` describes. The library is loaded while the file is looked at, its
/// artefact found and its tokenizer opened.
///
/// # Errors
/// The first fault found.
pub fn load(spec: &OnnxSpec) -> Result<LoadedOnnx, LoadError> {
    let baked = Baked::read(&spec.root).filter(|_| spec.trust_baked);
    let places = Places {
        baked: baked.as_ref(),
        store: spec.artefacts.as_deref(),
        limit: spec.artefacts_limit,
    };
    thread::scope(|scope| {
        let mut stages = Vec::new();
        let runtime = match spec.library.as_deref() {
            Some(library) => Some(spawn(scope, "runtime", || library::environment(library))?),
            None => None,
        };
        let (file, stage) = timed("declaration", || File::read(spec, places))?;
        stages.push(stage);
        let texts = spawn_texts(scope, spec, &file.declared, places)?;
        let way = texts.as_ref().map(|(way, _)| way.clone());
        let mut declared = file.declared.clone();
        if let Some(way) = &way {
            declared.outputs = vec![way.output().clone()];
        }
        let (engine, artefact) = match runtime {
            None => {
                let open = || OnnxEngine::on_rust(spec, declared);
                let (engine, stage) = timed("engine", open)?;
                stages.push(stage);
                (engine, ArtefactState::Off)
            }
            Some(runtime) => {
                let kept = Kept {
                    spec,
                    file: &file,
                    places,
                };
                kept.open(runtime, declared, &mut stages)?
            }
        };
        let engine = match spec.task {
            Some(Task::Image) => engine.for_images(),
            _ => engine,
        };
        let (engine, tokenizer, form): (Arc<dyn Engine>, _, _) = match texts {
            None => (Arc::new(engine), None, None),
            Some((way, opening)) => {
                let ((config, opened), stage) = join(opening)?;
                stages.push(stage);
                let on_cpu = spec.providers.is_empty();
                let engine = TextEngine::over(engine, way, config, on_cpu);
                let tokenizer = Arc::new(opened.tokenizer);
                (Arc::new(engine), Some(tokenizer), Some(opened.form))
            }
        };
        stages.sort_by_key(|stage| stage.started);
        Ok(LoadedOnnx {
            engine,
            tokenizer,
            tokenizer_form: form,
            artefact,
            stages,
            checked: spec.expected_sha256.is_some(),
        })
    })
}

/// An ONNX file that was looked at.
struct File {
    declared: Declaration,
    /// Known where somebody needs it.
    sha256: Option<String>,
}

impl File {
    fn read(spec: &OnnxSpec, places: Places<'_>) -> Result<Self, LoadError> {
        let file = [Arc::new(WeightsFile::map(&spec.file)?)];
        let sha256 = sha256(&file, places, spec.expected_sha256.as_deref())?;
        let read = || {
            whole::check(file[0].bytes())?;
            declaration::read(file[0].bytes())
        };
        let declared = read().map_err(|reason| LoadError::Onnx {
            path: spec.file.clone(),
            reason,
        })?;
        Ok(File { declared, sha256 })
    }
}

type Texts<'scope> = (TextWay, Running<'scope, (TextConfig, Opened)>);

/// Opens the tokenizer of a file that takes token ids.
fn spawn_texts<'scope>(
    scope: &'scope Scope<'scope, '_>,
    spec: &'scope OnnxSpec,
    declared: &Declaration,
    places: Places<'scope>,
) -> Result<Option<Texts<'scope>>, LoadError> {
    let dir = spec.texts();
    let path = dir.join(TOKENIZER);
    let way = TextWay::of(declared);
    let way = match (spec.task, way) {
        (Some(Task::Embed), None) => {
            return Err(LoadError::Onnx {
                path: spec.file.clone(),
                reason: "does not take token ids and give vectors: it is no encoder".into(),
            });
        }
        (Some(Task::Embed), Some(way)) => way,
        (None, Some(way)) if path.is_file() => way,
        _ => return Ok(None),
    };
    let opening = spawn(scope, "tokenizer", move || {
        let config = TextConfig::read(&dir)?;
        let opened = tokenizer::open(&path, config.adjust, config.max_tokens, places)?
            .prompted(config.prompts.clone())
            .within(config.vocab, &path)?;
        Ok((config, opened))
    })?;
    Ok(Some((way, opening)))
}

/// A file that is opened through what was kept of it.
struct Kept<'a> {
    spec: &'a OnnxSpec,
    file: &'a File,
    places: Places<'a>,
}

impl Kept<'_> {
    fn open(
        &self,
        runtime: Running<'_, Environment>,
        declared: Declaration,
        stages: &mut Vec<StageTiming>,
    ) -> Result<(OnnxEngine, ArtefactState), LoadError> {
        let (found, stage) = timed("artefact", || Ok(self.find()))?;
        stages.push(stage);
        let (environment, stage) = join(runtime)?;
        stages.push(stage);
        let (artefact, mut state) = match found {
            Found::Not => (None, ArtefactState::Off),
            Found::Artefact(artefact) => (Some(artefact), ArtefactState::Mapped),
            Found::Missing(identity) => {
                let make = || {
                    Ok(Artefact::open(
                        &environment,
                        self.spec,
                        &identity,
                        self.places,
                    ))
                };
                let (made, stage) = timed("artefact_made", make)?;
                stages.push(stage);
                made
            }
        };
        let sessions = Sessions {
            environment,
            spec: self.spec.clone(),
            artefact,
        };
        let open = || OnnxEngine::on_library(sessions, declared, &mut state);
        let (engine, stage) = timed("engine", open)?;
        stages.push(stage);
        Ok((engine, state))
    }

    fn find(&self) -> Found {
        // What is made for other devices is those devices' business, and weights in other files
        // have no digest here.
        let ours = self.spec.providers.is_empty() && !self.file.declared.external;
        let identity = || {
            let (library, sha256) = (self.spec.library.as_ref()?, self.file.sha256.as_ref()?);
            artefact::identity(library, sha256, self.places).ok()
        };
        match identity().filter(|_| ours) {
            None => Found::Not,
            Some(identity) => match Artefact::find(&identity, self.places) {
                Some(artefact) => Found::Artefact(artefact),
                None => Found::Missing(identity),
            },
        }
    }
}

enum Found {
    /// Nothing is kept of such files.
    Not,
    Missing(Identity),
    Artefact(Artefact),
}
