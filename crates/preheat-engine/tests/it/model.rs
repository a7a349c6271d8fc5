//! The real model that tests run: all-MiniLM-L6-v2, and vectors of it from sentence-transformers.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use preheat_engine::{Dtype, Instance, Isa, LoadSpec, LoadedModel, Matrix, TokenBatch, load};
use serde_json::Value;

/// Where `cargo xtask setup` puts the model.
pub(crate) fn dir() -> PathBuf {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/models/all-MiniLM-L6-v2");
    assert!(
        dir.join("model.safetensors").is_file(),
        "the model is missing: run `cargo xtask setup` to fetch it into {}",
        dir.display()
    );
    dir
}

/// Loaded once for all tests that do not care how.
pub(crate) fn loaded() -> &'static LoadedModel {
    static MODEL: OnceLock<LoadedModel> = OnceLock::new();
    MODEL.get_or_init(|| load(&LoadSpec::new(dir())).expect("the model loads"))
}

pub(crate) fn encode(model: &LoadedModel, texts: &[&str]) -> Vec<Vec<u32>> {
    texts
        .iter()
        .map(|text| model.tokenizer.encode(text).unwrap())
        .collect()
}

pub(crate) fn run(instance: &mut dyn Instance, sequences: &[Vec<u32>]) -> Matrix {
    let batch: TokenBatch = sequences.iter().map(Vec::as_slice).collect();
    instance.run(&batch).unwrap()
}

/// Every way to compute that this CPU has.
pub(crate) fn isas_and_dtypes() -> impl Iterator<Item = (Isa, Dtype)> {
    let all = |isa| [Dtype::F32, Dtype::Bf16, Dtype::Int8].map(|dtype| (isa, dtype));
    Isa::available().into_iter().flat_map(all)
}

/// What sentence-transformers gives.
pub(crate) struct Expected {
    pub(crate) texts: Vec<String>,
    pub(crate) ids: Vec<Vec<u32>>,
    pub(crate) vectors: Vec<Vec<f32>>,
}

pub(crate) fn expected() -> Expected {
    let json: Value =
        serde_json::from_str(include_str!("../data/reference_embeddings.json")).unwrap();
    Expected {
        texts: list(&json["texts"], |text| text.as_str().unwrap().to_owned()),
        ids: list(&json["token_ids"], |ids| {
            list(ids, |id| id.as_u64().unwrap() as u32)
        }),
        vectors: list(&json["vectors"], |row| {
            list(row, |x| x.as_f64().unwrap() as f32)
        }),
    }
}

fn list<T>(json: &Value, item: impl Fn(&Value) -> T) -> Vec<T> {
    json.as_array().unwrap().iter().map(item).collect()
}

pub(crate) fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter()
            .zip(b)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}
