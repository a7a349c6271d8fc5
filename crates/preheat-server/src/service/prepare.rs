//! From a request's inputs to what an engine runs.

use std::sync::Arc;

use preheat_engine::Task;
use preheat_engine::picture::PictureError;

use super::Service;
use crate::batcher::Items;
use crate::model::Loaded;
use crate::prepare::{Inputs, TooLong};
use crate::serve_error::ServeError;
use crate::tensors;

impl Service {
    /// What is to run, and how many tokens it has.
    pub(super) async fn prepare(
        &self,
        loaded: &Loaded,
        inputs: Inputs,
        task: Option<Task>,
        too_long: TooLong,
    ) -> Result<(Items, usize), ServeError> {
        let own = loaded.info.signature.task;
        let wrong = ServeError::WrongTask { task: own.name() };
        if task.is_some_and(|task| task != own) {
            return Err(wrong);
        }
        match (inputs, &loaded.tokenizer, &loaded.pictures) {
            (
                inputs @ (Inputs::Texts(_) | Inputs::Pairs(_) | Inputs::Tokens(_)),
                Some(tokenizer),
                _,
            ) => {
                let vocab = loaded.info.vocab;
                let rows = self
                    .preparer
                    .rows(tokenizer, vocab, inputs, too_long)
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

fn not_an_image(error: PictureError) -> ServeError {
    match error {
        PictureError::TooLarge { .. } | PictureError::TooNarrow { .. } => {
            ServeError::ImageTooLarge(error.to_string())
        }
        PictureError::Format | PictureError::Damaged(_) => ServeError::Malformed(error.to_string()),
    }
}
