//! A simulated model.

use std::sync::Arc;

use preheat_core::{Failure, FailureKind, Phase};
use preheat_engine::sim;

use super::buckets::buckets;
use super::load::{LoadedParts, Parts};
use crate::settings::{ModelSettings, SimSettings};

pub(super) fn load_sim(model: &ModelSettings, sim: &SimSettings) -> Result<LoadedParts, Failure> {
    let declared = &sim.declared;
    let spec = sim::SimSpec {
        weights: declared.weights.0,
        tokenizer: declared.tokenizer.0,
        engine: declared.engine.0,
        first_run: declared.first_run.0,
        run: declared.run.0,
        per_token: declared.per_token.0,
        shapes: sim.shapes.clone(),
        buckets: buckets(model, declared.max_tokens),
        dim: declared.dim,
        max_tokens: declared.max_tokens,
        memory: usize::try_from(declared.memory.0).unwrap_or(usize::MAX),
        fault: sim.fault,
    };
    let loaded = sim::load(spec).map_err(|error| {
        let remedy = "remove model.sim.fault from the configuration";
        Failure::new(
            FailureKind::Load,
            &Phase::Loading,
            error.to_string(),
            remedy,
        )
    })?;
    Ok((
        Parts {
            engine: loaded.engine,
            tokenizer: Some(Arc::new(loaded.tokenizer)),
            checksum_ok: None,
        },
        loaded.stages,
    ))
}
