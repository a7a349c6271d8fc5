//! What the log says of a load.

use preheat_engine::EngineInfo;
use preheat_engine::load::{ArtefactState, StageTiming, TokenizerForm};

use crate::human;

pub(super) fn log_loaded(info: &EngineInfo, stages: &[StageTiming]) {
    let parts: Vec<String> = stages
        .iter()
        .map(|stage| format!("{} {}", stage.stage, human::time(stage.took)))
        .collect();
    tracing::info!(
        event = "loaded",
        engine = info.name,
        "loaded on {}: {}",
        info.name,
        parts.join(", ")
    );
}

/// What could not be kept, or had to be made again, costs the next start time.
pub(super) fn log_artefact(what: &'static str, artefact: &ArtefactState) {
    match artefact {
        ArtefactState::Off | ArtefactState::Mapped | ArtefactState::Built => {}
        ArtefactState::Rebuilt { reason } => {
            tracing::warn!(
                event = "artefact_rebuilt",
                what,
                reason,
                "{what}: made again"
            );
        }
        ArtefactState::Unavailable { reason } => {
            tracing::warn!(
                event = "artefact_unavailable",
                what,
                reason,
                "{what}: not kept"
            );
        }
    }
}

/// Which of the two ways to token ids runs.
pub(super) fn log_tokenizer(form: &TokenizerForm) {
    match form {
        TokenizerForm::Compiled(artefact) => log_artefact("compiled tokenizer", artefact),
        TokenizerForm::Library { reason: None } => {}
        TokenizerForm::Library {
            reason: Some(reason),
        } => {
            tracing::info!(
                event = "tokenizer_not_compiled",
                reason,
                "the tokenizer is read anew at every start: {reason}"
            );
        }
    }
}
