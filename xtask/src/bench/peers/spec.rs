//! What a peer's file says: how it is started, and how it is asked.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

use crate::bench::client;
use crate::bench::shapes::Shape;
use crate::shell;

pub(super) const FOLDER: &str = "bench/peers";

/// One server. In `command` and `env` the words `PORT`, `MODEL` and `ONNX` stand for a free port,
/// the folder of the default model and its graph; in `body`, `TEXTS` and `COUNT` for the texts of a
/// request as a JSON array and how many they are.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Spec {
    /// The file's name, without its ending.
    #[serde(skip)]
    pub(super) stem: String,
    pub(super) name: String,
    /// The list of Python packages that it needs, `NAME.txt` beside this file.
    pub(super) environment: Option<String>,
    pub(super) command: Vec<String>,
    #[serde(default)]
    pub(super) env: BTreeMap<String, String>,
    pub(super) ready: String,
    path: String,
    body: String,
    /// JSON pointer to the array whose first numbers are the first text's vector.
    first: String,
}

/// Every peer; our own servers first, since their vectors are what the others' are compared with.
pub(super) fn all() -> Result<Vec<Spec>> {
    let mut specs = Vec::new();
    for entry in fs::read_dir(shell::root().join(FOLDER))? {
        let path = entry?.path();
        if path.extension().is_none_or(|ending| ending != "toml") {
            continue;
        }
        let shown = || path.display().to_string();
        let mut spec: Spec = toml::from_str(&fs::read_to_string(&path)?).with_context(shown)?;
        ensure!(!spec.command.is_empty(), "{}: no command", shown());
        spec.stem = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        specs.push(spec);
    }
    specs.sort_by_key(|spec| (!spec.stem.starts_with("preheat"), spec.stem.clone()));
    Ok(specs)
}

/// The default model's width.
const WIDTH: usize = 384;

impl Spec {
    pub(super) fn request(&self, shape: &Shape) -> Vec<u8> {
        let texts = Value::from(shape.texts.clone()).to_string();
        let count = shape.texts.len().to_string();
        // The count first: a text may hold that word.
        let body = self.body.replace("COUNT", &count).replace("TEXTS", &texts);
        client::post(&self.path, &body)
    }

    /// The vector of a request's first text.
    pub(super) fn vector(&self, answer: &[u8]) -> Result<Vec<f64>> {
        let answer: Value = serde_json::from_slice(answer)?;
        let numbers = answer.pointer(&self.first).and_then(Value::as_array);
        let numbers = numbers.with_context(|| format!("no array at {}", self.first))?;
        ensure!(
            numbers.len() >= WIDTH,
            "{} numbers at {}",
            numbers.len(),
            self.first
        );
        let number = |value: &Value| value.as_f64().context("not a number");
        numbers[..WIDTH].iter().map(number).collect()
    }
}
