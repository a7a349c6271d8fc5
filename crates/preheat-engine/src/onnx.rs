//! ONNX files: tensors in, tensors out, by ONNX Runtime or, without it, by rten.
//!
//! The file's own declaration is the interface; which library computes shows in the engine's name
//! and nowhere else. Never fetches: where the library is, is the caller's to know.
//!
//! | to change | look in |
//! |---|---|
//! | what is read from the file | `declaration.rs` |
//! | how ONNX Runtime is found in the process | `library.rs` |
//! | its sessions: threads, devices, conversion of tensors | `session.rs` |
//! | running without it | `rust.rs` |

mod declaration;
mod library;
mod rust;
mod session;

use std::fmt;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use ort::environment::Environment;
use ort::session::Session;

use crate::engine::{Engine, EngineInfo, Instance, RunError, Signature, Task, Tensor};
use crate::load::{LoadError, StageTiming, timed, verify};
use declaration::Declaration;
use rust::Graph;

/// What to load and how.
#[derive(Debug, Clone)]
pub struct OnnxSpec {
    pub file: PathBuf,
    /// Threads that compute one batch.
    pub threads: NonZeroUsize,
    /// None: rten.
    pub library: Option<PathBuf>,
    /// In order of preference; none: the CPU.
    pub providers: Vec<Provider>,
    /// Of the file, in hexadecimal.
    pub expected_sha256: Option<String>,
    pub task: Task,
    pub labels: Vec<String>,
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
}

/// A model that can run, though nothing has run yet.
#[derive(Debug)]
pub struct LoadedOnnx {
    pub engine: Arc<dyn Engine>,
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

/// Loads the model that `spec` describes: the library and the file at the same time.
///
/// # Errors
/// The first fault found.
pub fn load(spec: &OnnxSpec) -> Result<LoadedOnnx, LoadError> {
    let mut stages = Vec::new();
    let (declared, environment) = thread::scope(|scope| {
        let environment = spec.library.as_deref().map(|library| {
            let body = move || timed("runtime", || library::environment(library));
            thread::Builder::new()
                .name("load-runtime".into())
                .spawn_scoped(scope, body)
        });
        let declared = timed("declaration", || declared(spec))?;
        let environment = match environment {
            None => None,
            Some(thread) => {
                let stage = "runtime";
                let thread = thread.map_err(|source| LoadError::Thread { stage, source })?;
                Some(thread.join().map_err(|_| LoadError::Panicked { stage })??)
            }
        };
        Ok::<_, LoadError>((declared, environment))
    })?;
    let (declared, stage) = declared;
    stages.push(stage);
    let environment = environment.map(|(environment, stage)| {
        stages.push(stage);
        environment
    });
    let (engine, stage) = timed("engine", || OnnxEngine::open(spec, declared, environment))?;
    stages.push(stage);
    stages.sort_by_key(|stage| stage.started);
    Ok(LoadedOnnx {
        engine: Arc::new(engine),
        stages,
        checked: spec.expected_sha256.is_some(),
    })
}

fn declared(spec: &OnnxSpec) -> Result<Declaration, LoadError> {
    let path = spec.file.as_path();
    let file = verify(path, spec.expected_sha256.as_deref())?;
    declaration::read(file.bytes()).map_err(|reason| LoadError::Onnx {
        path: path.to_owned(),
        reason,
    })
}

struct OnnxEngine {
    info: EngineInfo,
    spec: OnnxSpec,
    backend: Backend,
}

enum Backend {
    Library {
        environment: Environment,
        /// Built while loading, so that a file which cannot run is found there.
        first: Mutex<Option<Session>>,
    },
    Rust(Graph),
}

impl OnnxEngine {
    fn open(
        spec: &OnnxSpec,
        declared: Declaration,
        environment: Option<Environment>,
    ) -> Result<Self, LoadError> {
        let backend = match environment {
            Some(environment) => {
                let first = session::open(&environment, spec)?;
                Backend::Library {
                    environment,
                    first: Mutex::new(Some(first)),
                }
            }
            None => Backend::Rust(Graph::open(&spec.file, &declared, spec)?),
        };
        let name = match (&backend, spec.providers.first()) {
            (Backend::Rust(_), _) => "rten-cpu".to_owned(),
            (_, None) => "onnx-cpu".to_owned(),
            (_, Some(provider)) => format!("onnx-{}", provider.name()),
        };
        let all = || declared.inputs.iter().chain(&declared.outputs);
        let row = declared
            .outputs
            .first()
            .and_then(|o| o.row_size(all().all(|t| t.has_rows())));
        Ok(OnnxEngine {
            info: EngineInfo {
                name,
                dtype: declared
                    .outputs
                    .first()
                    .map_or("f32", |o| o.element.name())
                    .to_owned(),
                pooling: String::new(),
                dim: row.unwrap_or(0),
                max_tokens: 0,
                vocab: 0,
                // Memory for a size is taken when it is first met.
                shape_state: true,
                simulated: false,
                signature: Signature {
                    task: spec.task,
                    batched: all().all(|tensor| tensor.has_rows()),
                    inputs: declared.inputs,
                    outputs: declared.outputs,
                    labels: spec.labels.clone(),
                },
            },
            spec: spec.clone(),
            backend,
        })
    }
}

impl Engine for OnnxEngine {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn instance(&self) -> Result<Box<dyn Instance>, RunError> {
        let (environment, first) = match &self.backend {
            Backend::Rust(graph) => return Ok(Box::new(graph.clone())),
            Backend::Library { environment, first } => (environment, first),
        };
        let built = first.lock().unwrap_or_else(PoisonError::into_inner).take();
        let session = match built {
            Some(session) => session,
            None => session::open(environment, &self.spec)
                .map_err(|error| RunError::Engine(error.to_string()))?,
        };
        Ok(Box::new(LibraryInstance {
            session,
            signature: self.info.signature.clone(),
        }))
    }
}

impl fmt::Debug for OnnxEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnnxEngine")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

struct LibraryInstance {
    session: Session,
    signature: Signature,
}

impl Instance for LibraryInstance {
    fn infer(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, RunError> {
        session::run(&mut self.session, &self.signature.outputs, inputs)
    }
}
