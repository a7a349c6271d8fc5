//! Instruction sets of the native engine beside ONNX Runtime, in the same server: f32 on both, the
//! same doors, tokenizer and batcher.
//!
//! ONNX Runtime chooses its kernels by what the CPU and the system say, and has no setting for it.
//! To see its AVX2 kernels on a CPU with AVX-512, a copy of the library is changed: where it asks
//! which registers the system saves, it is told those of AVX.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::Table;
use super::server::Setup;
use super::variants::{Subject, Variant, compare};
use crate::shell;

#[path = "../../../crates/preheat-engine/tests/it/export.rs"]
mod export;

const LIBRARY: &str = "target/models/onnx/libonnxruntime.so.1.31.1";
const FOLDER: &str = "target/bench/levels";

/// `xgetbv; mov eax, eax`, and in its place `mov eax, 7`: x87, SSE and AVX.
const ASKED: [u8; 5] = [0x0f, 0x01, 0xd0, 0x89, 0xc0];
const TOLD: [u8; 5] = [0xb8, 0x07, 0x00, 0x00, 0x00];

pub(super) fn run(setup: &Setup, turns: usize) -> Result<Table> {
    let subject = Subject {
        name: "Levels",
        about: "f32 on the native engine and on ONNX Runtime behind the same doors, with the best \
                instructions of this CPU and kept to AVX2.",
        base: 3,
    };
    let library = shell::root().join(LIBRARY);
    let restricted = restricted(&library)?;
    let model = model(setup.model())?;
    let native = |name, isa: &str| Variant {
        name,
        variables: vec![("PREHEAT_ISA", isa.to_owned())],
    };
    let onnx = |name, library: &Path| Variant {
        name,
        variables: vec![
            ("PREHEAT_ENGINE", "onnx".to_owned()),
            ("PREHEAT_MODEL", model.display().to_string()),
            ("ORT_DYLIB_PATH", library.display().to_string()),
        ],
    };
    let variants = [
        native("native", "auto"),
        native("native, AVX2 forced", "avx2"),
        onnx("ONNX Runtime", &library),
        onnx("ONNX Runtime, AVX2", &restricted),
    ];
    compare(setup, &subject, &variants, turns)
}

/// A copy of the library that finds no AVX-512.
fn restricted(library: &Path) -> Result<PathBuf> {
    let mut bytes = fs::read(library).with_context(|| library.display().to_string())?;
    let places: Vec<_> = (0..bytes.len().saturating_sub(ASKED.len()))
        .filter(|at| bytes[*at..].starts_with(&ASKED))
        .collect();
    ensure!(!places.is_empty(), "{LIBRARY} asks in another way");
    for at in places {
        bytes[at..at + TOLD.len()].copy_from_slice(&TOLD);
    }
    let folder = shell::root().join(FOLDER);
    fs::create_dir_all(&folder)?;
    let copy = folder.join("libonnxruntime-avx2.so");
    fs::write(&copy, bytes)?;
    Ok(copy)
}

/// The default model as an ONNX file, with its tokenizer.
fn model(from: &Path) -> Result<PathBuf> {
    let folder = shell::root().join(FOLDER).join("all-MiniLM-L6-v2");
    fs::create_dir_all(folder.join("1_Pooling"))?;
    for file in [
        "config.json",
        "tokenizer.json",
        "modules.json",
        "sentence_bert_config.json",
        "1_Pooling/config.json",
    ] {
        fs::copy(from.join(file), folder.join(file)).context(file)?;
    }
    let encoder = export::Encoder {
        layers: 6,
        heads: 12,
        hidden: 384,
        eps: 1e-12,
    };
    let (weights, file) = (from.join("model.safetensors"), folder.join("model.onnx"));
    export::export(&weights, &encoder, &file);
    Ok(folder)
}
