//! What an engine makes of a model for this CPU, made before the first start needs it.

use crate::load::{ArtefactState, LoadError, LoadSpec, TokenizerForm, load};
use crate::onnx::{self, OnnxSpec};

/// A model, and how the engine that is to run it loads it.
#[derive(Debug, Clone)]
pub enum ModelSpec {
    Native(LoadSpec),
    Onnx(OnnxSpec),
}

/// One thing that an engine makes of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// For people.
    pub what: &'static str,
    pub state: PartState,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartState {
    /// It was there before.
    There,
    Made,
    /// Every start does without it, or makes it anew.
    Not {
        reason: String,
    },
}

/// Loads the model once, so that everything that can be kept of it is there.
///
/// # Errors
/// Those of loading it.
pub fn prepare(spec: &ModelSpec) -> Result<Vec<Part>, LoadError> {
    match spec {
        ModelSpec::Native(spec) => {
            let loaded = load(spec)?;
            let nowhere = "it has nowhere to be kept";
            let weights = Part::of("packed weights", loaded.artefact, nowhere);
            Ok([Some(weights), tokenizer(loaded.tokenizer_form)]
                .into_iter()
                .flatten()
                .collect())
        }
        ModelSpec::Onnx(spec) => onnx_parts(spec),
    }
}

fn onnx_parts(spec: &OnnxSpec) -> Result<Vec<Part>, LoadError> {
    const GRAPH: &str = "optimised graph";
    if let Some(device) = spec.providers.first() {
        // Loading would need the device, and nothing would come of it.
        let reason = format!("of sessions on {} nothing is kept", device.name());
        let state = PartState::Not { reason };
        return Ok(vec![Part { what: GRAPH, state }]);
    }
    let loaded = onnx::load(spec)?;
    // Without the library there is none: rten opens files as they are.
    let graph = spec.library.as_ref().map(|_| {
        let outside = "the weights are in other files";
        Part::of(GRAPH, loaded.artefact, outside)
    });
    let tokenizer = loaded.tokenizer_form.and_then(tokenizer);
    Ok([graph, tokenizer].into_iter().flatten().collect())
}

fn tokenizer(form: TokenizerForm) -> Option<Part> {
    let what = "compiled tokenizer";
    match form {
        TokenizerForm::Compiled(state) => Some(Part::of(what, state, "it has nowhere to be kept")),
        TokenizerForm::Library { reason } => {
            let state = PartState::Not { reason: reason? };
            Some(Part { what, state })
        }
    }
}

impl Part {
    fn of(what: &'static str, state: ArtefactState, why_off: &str) -> Self {
        let state = match state {
            ArtefactState::Mapped => PartState::There,
            ArtefactState::Built | ArtefactState::Rebuilt { .. } => PartState::Made,
            ArtefactState::Unavailable { reason } => PartState::Not { reason },
            ArtefactState::Off => PartState::Not {
                reason: why_off.to_owned(),
            },
        };
        Part { what, state }
    }
}
