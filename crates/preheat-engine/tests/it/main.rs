//! The engine crate through its public edge, with a real model and with tiny ones made on the spot.
#![expect(
    clippy::unwrap_used,
    reason = "a test that meets a surprise fails where it stands"
)]

mod advice;
mod artefacts;
mod baked;
mod batches;
mod compiled;
mod export;
mod faults;
mod model;
mod mutations;
mod onnx;
mod onnx_texts;
mod reference;
mod shards;
mod state_dicts;
mod tiny;
mod tokenizer;
mod vectors;
mod vocabularies;
