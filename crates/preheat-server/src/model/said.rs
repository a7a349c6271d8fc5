//! What the log says of a load.

use preheat_engine::load::{ArtefactState, StageTiming, TokenizerForm};
use preheat_engine::{EngineInfo, Tokenizer};

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

/// Texts that are not run as they were sent are worth a word.
pub(super) fn log_prompt(tokenizer: Option<&Tokenizer>) {
    let prompts = tokenizer.map(Tokenizer::prompts);
    if let Some(prompts) = prompts.filter(|prompts| !prompts.usual().is_empty()) {
        tracing::info!(
            event = "default_prompt",
            name = prompts.default_name(),
            prompt = prompts.usual(),
            "texts for which no prompt is named get `{}` in front",
            prompts.usual()
        );
    }
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
