//! Why a model could not be loaded, and what to do about it. Never logs, never retries.

use std::io;
use std::path::{Path, PathBuf};

use crate::native::Isa;

/// Every way in which loading fails. The text says what was found and where; [`remedy`] says what
/// to do next, in one sentence for a person.
///
/// [`remedy`]: LoadError::remedy
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("the model directory {path} cannot be read")]
    Directory { path: PathBuf, source: io::Error },
    #[error("the model has no {path}")]
    MissingFile { path: PathBuf },
    #[error("{path} cannot be read")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} is too large")]
    TooLarge { path: PathBuf, source: io::Error },
    #[error("{path} is not valid JSON")]
    Json {
        path: PathBuf,
        source: serde_json::Error,
    },
    #[error("{path}: `{field}` {problem}")]
    Config {
        path: PathBuf,
        field: String,
        problem: String,
    },
    #[error("{path}: unknown architecture `{found}` (known: {})", .known.join(", "))]
    UnknownArchitecture {
        path: PathBuf,
        found: String,
        known: &'static [&'static str],
    },
    #[error("{path}: {what} `{found}` is not supported (supported: {})", .known.join(", "))]
    Unsupported {
        path: PathBuf,
        what: &'static str,
        found: String,
        known: &'static [&'static str],
    },
    #[error("{path} names prompts that this model's pooling leaves out, which is not done here")]
    Prompt { path: PathBuf },
    #[error("{path} is not a usable tokenizer: {reason}")]
    Tokenizer { path: PathBuf, reason: String },
    #[error("{path} gives the token id {id}, the model's vocabulary ends before {vocab}")]
    Vocabulary {
        path: PathBuf,
        id: u32,
        vocab: usize,
    },
    #[error("{path} is truncated or corrupt ({bytes} bytes)")]
    Corrupt {
        path: PathBuf,
        bytes: u64,
        source: safetensors::SafeTensorError,
    },
    #[error("{path} is not a state dict that can be read: {reason}")]
    StateDict { path: PathBuf, reason: String },
    #[error("{path} is refused: its pickle asks for `{name}`, which is no part of a state dict")]
    Pickle { path: PathBuf, name: String },
    #[error("{path} has sha256 {found}, expected {expected}")]
    Checksum {
        path: PathBuf,
        expected: String,
        found: String,
    },
    #[error("{path} has no tensor `{tensor}`, which config.json asks for")]
    MissingTensor { path: PathBuf, tensor: String },
    #[error("{path}: tensor `{tensor}` has shape {found:?}, config.json asks for {expected:?}")]
    Shape {
        path: PathBuf,
        tensor: String,
        expected: Vec<usize>,
        found: Vec<usize>,
    },
    #[error("{path}: tensor `{tensor}` is {found} (supported: F32, F16, BF16)")]
    TensorDtype {
        path: PathBuf,
        tensor: String,
        found: String,
    },
    #[error("{path} {reason}")]
    Onnx { path: PathBuf, reason: String },
    #[error("ONNX Runtime cannot be loaded from {path}: {reason}")]
    Library { path: PathBuf, reason: String },
    #[error("this ONNX Runtime cannot compute on {provider}: {reason}")]
    Provider {
        provider: &'static str,
        reason: String,
    },
    #[error("not enough memory for {what} ({bytes} bytes)")]
    OutOfMemory { what: &'static str, bytes: usize },
    #[error("this CPU cannot run {wanted} (it can: {available:?})")]
    Isa { wanted: Isa, available: Vec<Isa> },
    #[error("a thread for loading {stage} cannot be started")]
    Thread {
        stage: &'static str,
        source: io::Error,
    },
    #[error("loading the {stage} panicked")]
    Panicked { stage: &'static str },
}

impl LoadError {
    /// Of a file that could not be read whole, for this or that reason.
    pub(crate) fn unread(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::FileTooLarge => LoadError::TooLarge { path, source },
            _ => LoadError::Read { path, source },
        }
    }

    /// A stable word for programs: reports, metrics and exit codes.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            LoadError::Directory { .. } => "directory_unreadable",
            LoadError::MissingFile { .. } => "file_missing",
            LoadError::Read { .. } => "file_unreadable",
            LoadError::TooLarge { .. } => "file_too_large",
            LoadError::Json { .. } | LoadError::Config { .. } => "config_invalid",
            LoadError::UnknownArchitecture { .. } => "architecture_unknown",
            LoadError::Unsupported { .. } | LoadError::Prompt { .. } => "unsupported",
            LoadError::Tokenizer { .. } => "tokenizer_invalid",
            LoadError::Corrupt { .. } | LoadError::StateDict { .. } => "weights_corrupt",
            LoadError::Pickle { .. } => "pickle_refused",
            LoadError::Checksum { .. } => "checksum_wrong",
            LoadError::MissingTensor { .. }
            | LoadError::Shape { .. }
            | LoadError::Vocabulary { .. }
            | LoadError::TensorDtype { .. } => "weights_mismatch",
            LoadError::Onnx { .. } => "onnx_invalid",
            LoadError::Library { .. } => "library_unusable",
            LoadError::Provider { .. } => "provider_unusable",
            LoadError::OutOfMemory { .. } => "out_of_memory",
            LoadError::Isa { .. } => "isa_unavailable",
            LoadError::Thread { .. } => "thread",
            LoadError::Panicked { .. } => "panicked",
        }
    }

    /// What to do next.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            LoadError::Directory { path, .. } => {
                format!("check that {} exists and that this user may read it", path.display())
            }
            LoadError::MissingFile { path } => {
                format!("fetch the model again, or add {}", path.display())
            }
            LoadError::Read { path, .. } => {
                format!("check the permissions of {} and the disk it is on", path.display())
            }
            LoadError::TooLarge { path, .. } => format!(
                "fetch {} again: no model needs one of that size, so that it is damaged or another file",
                path.display()
            ),
            LoadError::Json { path, .. } | LoadError::Tokenizer { path, .. } => {
                format!("fetch {} again; it is damaged or was edited by hand", path.display())
            }
            LoadError::Config { path, field, .. } => {
                format!("correct `{field}` in {}, or fetch the file again", path.display())
            }
            LoadError::UnknownArchitecture { known, .. } => format!(
                "choose a model of a known architecture ({}) or another engine",
                known.join(", ")
            ),
            LoadError::Unsupported { what, known, .. } => {
                format!("choose a model whose {what} is one of {}, or another engine", known.join(", "))
            }
            LoadError::Prompt { path } => format!(
                "take the prompts out of {}, or choose a model with include_prompt = true",
                path.display()
            ),
            LoadError::Corrupt { path, .. } => {
                format!("delete {} and fetch it again", path.display())
            }
            LoadError::StateDict { path, .. } => format!(
                "fetch {} again, or convert it to safetensors",
                path.display()
            ),
            LoadError::Pickle { path, .. } => format!(
                "do not load {} with Python unless you trust its maker; ask for the weights as \
                 safetensors",
                path.display()
            ),
            LoadError::Checksum { path, .. } => format!(
                "delete {} and fetch it again, or correct the expected checksum",
                path.display()
            ),
            LoadError::MissingTensor { .. } | LoadError::Shape { .. } => {
                "fetch config.json and the weights again from one revision; these two do not belong \
                 together"
                    .to_owned()
            }
            LoadError::Vocabulary { .. } => {
                "fetch config.json, tokenizer.json and the weights again from one revision; these do not \
                 belong together"
                    .to_owned()
            }
            LoadError::TensorDtype { .. } => {
                "convert the weights to F32, F16 or BF16 safetensors".to_owned()
            }
            LoadError::Onnx { path, .. } => format!(
                "check that {} is an ONNX file that other tools load, or choose another engine",
                path.display()
            ),
            LoadError::Library { .. } => {
                "set model.onnx.library to a libonnxruntime of version 1.24 or newer, or \
                 model.onnx.runtime = \"rust\" to do without"
                    .to_owned()
            }
            LoadError::Provider { .. } => {
                "set model.onnx.library to an ONNX Runtime that was built for it (the package \
                 onnxruntime-gpu holds one for cuda), or compute with device = \"cpu\""
                    .to_owned()
            }
            LoadError::OutOfMemory { .. } => {
                "raise the memory limit, lower the number of instances, or choose a smaller model"
                    .to_owned()
            }
            LoadError::Isa { .. } => "set model.isa to auto, or to one that this CPU has".to_owned(),
            LoadError::Thread { .. } => {
                "raise the limit on processes and threads, or lower the number of replicas".to_owned()
            }
            LoadError::Panicked { .. } => {
                "fetch the model again; if that does not help, report it with the model's name"
                    .to_owned()
            }
        }
    }
}
