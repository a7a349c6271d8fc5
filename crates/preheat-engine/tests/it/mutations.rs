//! Thousands of damaged files, the same ones in every run: each is refused with a reason or does no
//! harm. None crashes, none hangs.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use preheat_engine::onnx::OnnxSpec;
use preheat_engine::{LoadError, LoadSpec, TokenBatch, load};
use tempfile::TempDir;

use crate::state_dicts::{F32, legacy, pickle, zipped};
use crate::tiny::Tiny;
use crate::{onnx, onnx_texts};

/// No damage makes a load of a tiny model take longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The same where it runs for minutes beside other work, which may stop it for a while.
const LONG_PATIENCE: Duration = Duration::from_secs(600);

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit.max(1)
    }

    /// A few bytes changed, put in, taken out or doubled, mostly where a file says what it holds.
    fn mutated(&mut self, whole: &[u8], head: usize) -> Vec<u8> {
        let mut bytes = whole.to_vec();
        for _ in 0..=self.below(3) {
            if bytes.is_empty() {
                return bytes;
            }
            let within = if self.below(4) == 0 {
                bytes.len()
            } else {
                bytes.len().min(head)
            };
            let at = self.below(within);
            let until = (at + 1 + self.below(16)).min(bytes.len());
            match self.below(8) {
                0 => bytes[at] = 0xff,
                1 => bytes[at] = 0,
                2 => bytes[at] ^= 1 << self.below(8),
                3 => bytes[at] = self.below(256) as u8,
                4 => drop(bytes.drain(at..until)),
                5 => {
                    let copy = bytes[at..until].to_vec();
                    bytes.splice(at..at, copy);
                }
                6 => bytes[at..until].fill(b'9'),
                _ => bytes.truncate(bytes.len() - self.below(bytes.len().min(200))),
            }
        }
        bytes
    }
}

/// Whether another damaged file is to be tried: `count` of them, or for as long as was asked for.
fn goes_on(number: usize, count: usize, began: Instant) -> bool {
    match asked_for("PREHEAT_FUZZ_SECONDS") {
        Some(seconds) => began.elapsed() < Duration::from_secs(seconds),
        None => number < count,
    }
}

fn asked_for(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// Loads the model with `count` damaged forms of one of its files; how many were refused.
#[expect(clippy::print_stdout, reason = "for whoever lets it run for minutes")]
fn refused(dir: &Path, file: &str, head: usize, count: usize) -> usize {
    let path = dir.join(file);
    let whole = fs::read(&path).unwrap();
    let seed = asked_for("PREHEAT_FUZZ_SEED").unwrap_or_default();
    let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ whole.len() as u64 ^ (seed << 32));
    let patience = match asked_for("PREHEAT_FUZZ_SECONDS") {
        Some(_) => LONG_PATIENCE,
        None => PATIENCE,
    };
    let (all_began, mut number, mut refused) = (Instant::now(), 0, 0);
    while goes_on(number, count, all_began) {
        number += 1;
        // Writing over a file makes some file systems wait for the disk.
        fs::remove_file(&path).unwrap();
        fs::write(&path, random.mutated(&whole, head)).unwrap();
        let began = Instant::now();
        match load(&LoadSpec::new(dir)) {
            Ok(model) => {
                // What could be loaded can be used.
                let _ = model.tokenizer.encode("a cold model, warming!");
            }
            Err(error) => {
                refused += 1;
                assert!(!error.to_string().is_empty() && !error.remedy().is_empty());
                let is_ours = file != "tokenizer.json";
                assert!(
                    !(is_ours && matches!(error, LoadError::Panicked { .. })),
                    "{file} {number}"
                );
            }
        }
        assert!(began.elapsed() < patience, "{file} {number}");
    }
    fs::write(&path, whole).unwrap();
    println!("{file}: {number} inputs in {:.0?}", all_began.elapsed());
    refused
}

#[test]
fn damaged_safetensors_are_refused_or_harmless() {
    let dir = Tiny::bert().write();
    assert!(refused(dir.path(), "model.safetensors", 3000, 2500) > 1200);
}

#[test]
fn damaged_tokenizer_files_are_refused_or_harmless() {
    let dir = Tiny::bert().write();
    assert!(refused(dir.path(), "tokenizer.json", 4000, 1500) > 700);
}

#[test]
fn damaged_configurations_are_refused_or_harmless() {
    let dir = Tiny::bert().write();
    for file in ["config.json", "modules.json", "1_Pooling/config.json"] {
        assert!(refused(dir.path(), file, 4000, 1000) > 300, "{file}");
    }
}

#[test]
fn damaged_state_dicts_are_refused_or_harmless() {
    let tiny = Tiny::bert();
    let pickle = pickle(&tiny, F32, "");
    let zip = zipped(&tiny, F32, &pickle);
    let old = legacy(&tiny, F32, &pickle);
    for (bytes, head) in [(zip, pickle.len() + 60), (old, pickle.len() + 60)] {
        let dir = tiny.write();
        fs::remove_file(dir.path().join("model.safetensors")).unwrap();
        fs::write(dir.path().join("pytorch_model.bin"), &bytes).unwrap();
        assert!(refused(dir.path(), "pytorch_model.bin", head, 1500) > 500);
    }
}

#[test]
fn damaged_artefacts_are_made_again() {
    let (dir, artefacts) = (Tiny::bert().write(), TempDir::new().unwrap());
    let spec = LoadSpec {
        artefacts: Some(artefacts.path().to_owned()),
        ..LoadSpec::new(dir.path())
    };
    let expected = load(&spec)
        .unwrap()
        .tokenizer
        .encode("a cold model")
        .unwrap();
    let mut random = Random(7);
    for kind in ["packed", "tokenizer"] {
        let entries = fs::read_dir(artefacts.path()).unwrap();
        let mut paths = entries.map(|entry| entry.unwrap().path());
        let path = paths
            .find(|path| path.extension().is_some_and(|found| found == kind))
            .unwrap();
        let whole = fs::read(&path).unwrap();
        for number in 0..100 {
            let damaged = random.mutated(&whole, 5000);
            fs::remove_file(&path).unwrap();
            fs::write(&path, &damaged).unwrap();
            let mut permissions = fs::metadata(&path).unwrap().permissions();
            permissions.set_readonly(true);
            fs::set_permissions(&path, permissions).unwrap();
            let model = load(&spec).unwrap();
            assert_eq!(model.tokenizer.encode("a cold model").unwrap(), expected);
            assert_eq!(fs::read(&path).unwrap(), whole, "{kind} {number}");
        }
    }
}

/// The file of a tiny encoder, damaged mostly in its graph, for either library. What can still be
/// loaded is asked once: it answers or says why not.
#[test]
fn damaged_onnx_files_are_refused_or_harmless() {
    let dir = onnx_texts::tiny();
    let file = dir.path().join("model.onnx");
    let whole = fs::read(&file).unwrap();
    for library in [None, Some(onnx::library())] {
        let spec = OnnxSpec {
            library,
            ..OnnxSpec::new(&file)
        };
        let mut random = Random(0x2545_f491_4f6c_dd1d);
        let mut refused = 0;
        for number in 0..1000 {
            fs::write(&file, random.mutated(&whole, whole.len())).unwrap();
            let began = Instant::now();
            match preheat_engine::onnx::load(&spec) {
                Ok(model) => {
                    let mut batch = TokenBatch::new();
                    batch.push(&[2, 4, 5, 3]);
                    let instance = model.engine.instance();
                    let _ = instance.and_then(|mut instance| instance.run(&batch));
                }
                Err(error) => {
                    refused += 1;
                    assert!(!error.to_string().is_empty() && !error.remedy().is_empty());
                    assert!(!matches!(error, LoadError::Panicked { .. }), "{number}");
                }
            }
            assert!(began.elapsed() < PATIENCE, "{number}");
        }
        assert!(refused > 200, "{refused}");
    }
}
