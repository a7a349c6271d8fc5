//! The classes of shapes that a model is warmed for and batched by.

use preheat_core::shape::Buckets;
use preheat_core::{CaseInput, tensor};
use preheat_engine::EngineInfo;

use crate::settings::ModelSettings;

pub(super) fn buckets(model: &ModelSettings, max_tokens: usize) -> Buckets {
    let edges = &model.batching.buckets;
    Buckets::new(
        &edges.batch,
        &edges.tokens,
        model.batching.max_batch,
        max_tokens,
    )
}

/// The classes of rows of tensors: one for the declared size where all of it is declared, and
/// one for each size that the plan speaks of.
pub(super) fn row_buckets(model: &ModelSettings, info: &EngineInfo) -> Buckets {
    let batched = info.signature.batched;
    let declared: Option<usize> = info
        .signature
        .inputs
        .iter()
        .map(|input| input.row_size(batched))
        .sum();
    let planned = model.cases.iter().filter_map(|case| match &case.input {
        CaseInput::Tensors(tensors) => Some(tensor::row_size(
            tensors.iter().map(|t| t.shape.as_slice()),
            batched,
        )),
        _ => None,
    });
    let sizes: Vec<usize> = planned.chain(declared).collect();
    let largest = sizes.iter().copied().max().unwrap_or(1);
    let (batch, most) = match batched {
        true => (
            model.batching.buckets.batch.as_slice(),
            model.batching.max_batch,
        ),
        false => (&[][..], 1),
    };
    Buckets::new(batch, &sizes, most, largest)
}
