//! From a request's inputs to what an engine runs.

use std::sync::Arc;

use preheat_engine::picture::PictureError;
use preheat_engine::{Prompts, Task};

use super::Service;
use crate::batcher::Items;
use crate::model::Loaded;
use crate::prepare::{Inputs, TooLong};
use crate::serve_error::ServeError;
use crate::tensors;

/// How a request wants its inputs taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way<'a> {
    pub(super) task: Option<Task>,
    pub(super) too_long: TooLong,
    /// The name of what stands in front of texts.
    pub(super) prompt: Option<&'a str>,
}

impl Service {
    /// What is to run, and how many tokens it has.
    pub(super) async fn prepare(
        &self,
        loaded: &Loaded,
        inputs: Inputs,
        way: &Way<'_>,
    ) -> Result<(Items, usize), ServeError> {
        let own = loaded.info.signature.task;
        let wrong = ServeError::WrongTask { task: own.name() };
        if way.task.is_some_and(|task| task != own) {
            return Err(wrong);
        }
        match (inputs, &loaded.tokenizer, &loaded.pictures) {
            (
                inputs @ (Inputs::Texts(_) | Inputs::Pairs(_) | Inputs::Tokens(_)),
                Some(tokenizer),
                _,
            ) => {
                let vocab = loaded.info.vocab;
                let inputs = prompted(tokenizer.prompts(), way.prompt, inputs)?;
                let rows = self
                    .preparer
                    .rows(tokenizer, vocab, inputs, way.too_long)
                    .await?;
                let tokens = rows.iter().map(Vec::len).sum();
                Ok((Items::Rows(rows), tokens))
            }
            (Inputs::Tensors(tensors), None, _) => {
                Ok((Items::Tensors(tensors::checked(tensors, loaded)?), 0))
            }
            (Inputs::Image(encoded), _, Some(pictures)) => {
                let pictures = Arc::clone(pictures);
                let read = move || pictures.reader.read(&encoded).map_err(not_an_image);
                let tensor = self.preparer.elsewhere(read).await?;
                Ok((Items::Tensors(vec![tensor]), 0))
            }
            _ => Err(wrong),
        }
    }
}

/// Ids, and texts that belong together, come as the client wants them read.
fn prompted(prompts: &Prompts, name: Option<&str>, inputs: Inputs) -> Result<Inputs, ServeError> {
    match (inputs, name) {
        (Inputs::Texts(texts), name) => Ok(Inputs::Texts(in_front(prompts, name, texts)?)),
        (_, Some(_)) => Err(ServeError::Malformed(
            "prompt_name goes with texts, not with token ids".into(),
        )),
        (inputs, None) => Ok(inputs),
    }
}

/// Texts with the prompt of that name, or the model's own, in front of each.
pub(super) fn in_front(
    prompts: &Prompts,
    name: Option<&str>,
    texts: Vec<String>,
) -> Result<Vec<String>, ServeError> {
    let prompt = prompts
        .find(name)
        .map_err(|unknown| ServeError::Malformed(unknown.to_string()))?;
    match prompt {
        "" => Ok(texts),
        prompt => Ok(texts.iter().map(|text| format!("{prompt}{text}")).collect()),
    }
}

fn not_an_image(error: PictureError) -> ServeError {
    match error {
        PictureError::TooLarge { .. } | PictureError::TooNarrow { .. } => {
            ServeError::ImageTooLarge(error.to_string())
        }
        PictureError::Format | PictureError::Damaged(_) => ServeError::Malformed(error.to_string()),
    }
}
