//! A baked directory is served from wherever it is copied to, without anything being made again.

use std::fs;
use std::path::Path;

use preheat_engine::bake::{BakeError, bake};
use preheat_engine::load::ArtefactState;
use preheat_engine::prepare::{ModelSpec, PartState};
use preheat_engine::source::{Fetched, FileFacts};
use preheat_engine::{LoadSpec, TokenizerForm, load};
use tempfile::TempDir;

use crate::tiny::Tiny;

const FILES: [&str; 5] = [
    "config.json",
    "tokenizer.json",
    "modules.json",
    "1_Pooling/config.json",
    "model.safetensors",
];

pub(crate) fn fetched(dir: &Path, names: &[&str]) -> Fetched {
    let file = |name: &str| FileFacts {
        name: name.to_owned(),
        bytes: fs::metadata(dir.join(name)).unwrap().len(),
        sha256: String::new(),
    };
    Fetched {
        dir: dir.to_owned(),
        revision: "r".to_owned(),
        source: "here".to_owned(),
        files: names.iter().copied().map(file).collect(),
        bytes_fetched: 0,
        cached: true,
    }
}

/// As archives and layers of images keep files: content, mode and date to the second.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().unwrap().is_dir() {
            copy(&from, &to);
            continue;
        }
        let facts = fs::metadata(&from).unwrap();
        fs::write(&to, fs::read(&from).unwrap()).unwrap();
        let file = fs::File::options().append(true).open(&to).unwrap();
        let since = facts
            .modified()
            .unwrap()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        let second = std::time::UNIX_EPOCH + std::time::Duration::from_secs(since.as_secs());
        file.set_modified(second).unwrap();
        fs::set_permissions(&to, facts.permissions()).unwrap();
    }
}

#[test]
fn a_copy_of_a_baked_directory_is_mapped_as_it_is() {
    let model = Tiny::bert().write();
    let place = TempDir::new().unwrap();
    let (baked, copied) = (place.path().join("baked"), place.path().join("copied"));
    let native = ModelSpec::Native(LoadSpec::new(model.path()));
    let written = bake(&fetched(model.path(), &FILES), &native, &baked).unwrap();
    let made = written.parts.iter().map(|part| (part.what, &part.state));
    let whats = [
        ("packed weights", &PartState::Made),
        ("compiled tokenizer", &PartState::Made),
    ];
    assert!(made.eq(whats), "{:?}", written.parts);
    assert!(written.bytes > fs::metadata(baked.join("model.safetensors")).unwrap().len());
    copy(&baked, &copied);

    let spec = LoadSpec::new(&copied);
    let loaded = load(&spec).unwrap();
    assert_eq!(loaded.artefact, ArtefactState::Mapped);
    assert_eq!(
        loaded.tokenizer_form,
        TokenizerForm::Compiled(ArtefactState::Mapped)
    );
    let sha256 = loaded.weights.sha256.unwrap();
    // Who names a digest gets a reading of the file.
    let wrong = LoadSpec {
        expected_sha256: Some("0".repeat(64)),
        trust_baked: false,
        ..spec.clone()
    };
    assert_eq!(load(&wrong).unwrap_err().code(), "checksum_wrong");

    // Other weights under the same name, of the same length, are other weights.
    let mut other = Tiny::bert();
    other
        .tensors
        .get_mut("embeddings.LayerNorm.bias")
        .unwrap()
        .data
        .fill(0.5);
    other.write_to(&copied);
    let file = fs::File::options()
        .append(true)
        .open(copied.join("model.safetensors"))
        .unwrap();
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
    file.set_modified(later).unwrap();
    let loaded = load(&spec).unwrap();
    assert_eq!(loaded.artefact, ArtefactState::Off);
    assert_ne!(loaded.weights.sha256.unwrap(), sha256);
}

#[test]
fn nothing_is_baked_over_something_else() {
    let model = Tiny::bert().write();
    let spec = ModelSpec::Native(LoadSpec::new(model.path()));
    let error = bake(&fetched(model.path(), &FILES), &spec, model.path()).unwrap_err();
    assert!(matches!(error, BakeError::NotEmpty { .. }));
    let mut wrong = fetched(model.path(), &FILES);
    wrong.files[4].sha256 = "0".repeat(64);
    let place = TempDir::new().unwrap();
    let error = bake(&wrong, &spec, &place.path().join("x")).unwrap_err();
    assert!(
        matches!(&error, BakeError::Changed { file } if file == "model.safetensors"),
        "{error}"
    );
    assert!(!error.remedy().is_empty() && !place.path().join("x/baked.json").exists());
}
