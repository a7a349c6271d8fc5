//! A model that a library runs, tensors in and tensors out.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;
use ort::session::Session;

use super::artefact::Artefact;
use super::declaration::Declaration;
use super::rust::Graph;
use super::{OnnxSpec, memory, session};
use crate::engine::{Engine, EngineInfo, Instance, RunError, Signature, Task, Tensor, TensorSpec};
use crate::load::{ArtefactState, LoadError};

pub(super) struct OnnxEngine {
    info: EngineInfo,
    outputs: Vec<TensorSpec>,
    backend: Backend,
}

enum Backend {
    Library {
        sessions: Box<Sessions>,
        /// Built while loading, so that a file which cannot run is found there.
        first: Mutex<Option<Session>>,
    },
    Rust(Graph),
}

/// What sessions are made from. Those over an artefact share its weights.
pub(super) struct Sessions {
    pub(super) environment: Environment,
    pub(super) spec: OnnxSpec,
    pub(super) artefact: Option<Artefact>,
}

impl Sessions {
    fn open(&self) -> Result<Session, LoadError> {
        match &self.artefact {
            None => session::open(&self.environment, &self.spec),
            Some(artefact) => {
                let opened = artefact.session(&self.environment, &self.spec);
                opened.map_err(|error| LoadError::Onnx {
                    path: artefact.path().to_owned(),
                    reason: error.to_string(),
                })
            }
        }
    }

    /// The one that was built while loading, then others.
    fn next(&self, first: &Mutex<Option<Session>>) -> Result<Session, RunError> {
        let built = first.lock().unwrap_or_else(PoisonError::into_inner).take();
        let open = || self.open();
        let opened = built.map_or_else(open, Ok);
        opened.map_err(|error| RunError::Engine(error.to_string()))
    }

    /// What a run takes is seen once, and noted. From then on it is taken without the run.
    fn give_memory(&self, instance: &mut LibraryInstance, run: &[Tensor]) -> Result<(), RunError> {
        let Some(artefact) = &self.artefact else {
            return instance.infer(run).map(drop);
        };
        let shapes: Vec<_> = run.iter().map(Tensor::shape).collect();
        let shapes = format!("{shapes:?}");
        let noted = artefact.memory(&self.spec, &shapes);
        if noted.is_some_and(|bytes| memory::take(&instance.session, bytes).is_ok()) {
            return Ok(());
        }
        let before = memory::used(&instance.session);
        instance.infer(run)?;
        let after = memory::used(&instance.session);
        if let (Some(before), Some(after)) = (before, after) {
            let took = after.most.saturating_sub(before.now);
            artefact.note_memory(&self.spec, &shapes, took);
        }
        Ok(())
    }
}

impl OnnxEngine {
    pub(super) fn on_library(
        mut sessions: Sessions,
        declared: Declaration,
        artefact: &mut ArtefactState,
    ) -> Result<Self, LoadError> {
        let first = sessions.open();
        let first = match first {
            Err(error) if sessions.artefact.is_some() => {
                // The file itself is the judge of whether it can run.
                let reason = error.to_string();
                *artefact = ArtefactState::Unavailable { reason };
                sessions.artefact = None;
                sessions.open()?
            }
            first => first?,
        };
        let name = match sessions.spec.providers.first() {
            None => "onnx-cpu".to_owned(),
            Some(provider) => format!("onnx-{}", provider.name()),
        };
        let labels = sessions.spec.labels.clone();
        let backend = Backend::Library {
            sessions: Box::new(sessions),
            first: Mutex::new(Some(first)),
        };
        Ok(OnnxEngine::new(backend, name, declared, labels))
    }

    pub(super) fn on_rust(spec: &OnnxSpec, declared: Declaration) -> Result<Self, LoadError> {
        let backend = Backend::Rust(Graph::open(&spec.file, &declared, spec)?);
        let labels = spec.labels.clone();
        Ok(OnnxEngine::new(
            backend,
            "rten-cpu".to_owned(),
            declared,
            labels,
        ))
    }

    fn new(backend: Backend, name: String, declared: Declaration, labels: Vec<String>) -> Self {
        let all = || declared.inputs.iter().chain(&declared.outputs);
        let batched = all().all(TensorSpec::has_rows);
        let first = declared.outputs.first();
        OnnxEngine {
            info: EngineInfo {
                name,
                dtype: first.map_or("f32", |o| o.element.name()).to_owned(),
                pooling: String::new(),
                dim: first.and_then(|o| o.row_size(batched)).unwrap_or(0),
                max_tokens: 0,
                vocab: 0,
                // Memory for a size is taken when it is first met.
                shape_state: true,
                simulated: false,
                accuracy: None,
                signature: Signature {
                    task: Task::Tensors,
                    batched,
                    normalized: false,
                    inputs: declared.inputs,
                    outputs: declared.outputs.clone(),
                    labels,
                },
            },
            outputs: declared.outputs,
            backend,
        }
    }

    pub(super) fn for_images(mut self) -> Self {
        self.info.signature.task = Task::Image;
        self
    }
}

impl OnnxEngine {
    /// An instance that has the memory which this run takes.
    pub(super) fn instance_for(&self, run: &[Tensor]) -> Result<Box<dyn Instance>, RunError> {
        match &self.backend {
            Backend::Rust(graph) => {
                let mut graph = graph.clone();
                graph.infer(run)?;
                Ok(Box::new(graph))
            }
            Backend::Library { sessions, first } => {
                let mut instance = self.over(sessions.next(first)?);
                sessions.give_memory(&mut instance, run)?;
                Ok(Box::new(instance))
            }
        }
    }

    fn over(&self, session: Session) -> LibraryInstance {
        let outputs = self.outputs.clone();
        LibraryInstance { session, outputs }
    }
}

impl Engine for OnnxEngine {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn instance(&self) -> Result<Box<dyn Instance>, RunError> {
        Ok(match &self.backend {
            Backend::Rust(graph) => Box::new(graph.clone()),
            Backend::Library { sessions, first } => Box::new(self.over(sessions.next(first)?)),
        })
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
    outputs: Vec<TensorSpec>,
}

impl Instance for LibraryInstance {
    fn infer(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, RunError> {
        session::run(&mut self.session, &self.outputs, inputs)
    }
}
