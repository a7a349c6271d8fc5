//! Weights in several files are those of one.

use std::fs;
use std::path::Path;

use preheat_engine::source::{self, FetchOptions, NoProgress, SourceRef};
use preheat_engine::{LoadError, LoadSpec, LoadedModel, load};
use safetensors::Dtype;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::model::{encode, run};
use crate::tiny::Tiny;

const INDEX: &str = "model.safetensors.index.json";

fn part(number: usize) -> String {
    format!("model-{number:05}-of-00003.safetensors")
}

/// A model whose tensors are dealt out to three files.
fn sharded(tiny: &Tiny) -> TempDir {
    let dir = tiny.write();
    fs::remove_file(dir.path().join("model.safetensors")).unwrap();
    let mut map = serde_json::Map::new();
    for number in 1..=3 {
        let mut one = Tiny::bert();
        one.tensors.clear();
        for (at, (name, values)) in tiny.tensors.iter().enumerate() {
            if at % 3 + 1 == number {
                map.insert(name.clone(), json!(part(number)));
                one.tensors.insert(name.clone(), values.clone());
            }
        }
        let bytes = |x: f32| x.to_le_bytes().to_vec();
        one.write_weights(&dir.path().join(part(number)), Dtype::F32, bytes);
    }
    let index = json!({ "metadata": { "total_size": 1 }, "weight_map": map });
    fs::write(dir.path().join(INDEX), index.to_string()).unwrap();
    dir
}

fn vectors(model: &LoadedModel) -> Vec<f32> {
    let ids = encode(model, &["a cold model", "never meets a request"]);
    run(&mut *model.engine.instance().unwrap(), &ids).data
}

fn rewrite(dir: &Path, change: impl Fn(&mut Value)) {
    let path = dir.join(INDEX);
    let mut index = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut index);
    fs::write(path, index.to_string()).unwrap();
}

#[test]
fn they_give_the_same_vectors_to_the_bit() {
    let (tiny, artefacts) = (Tiny::bert(), TempDir::new().unwrap());
    let whole = load(&LoadSpec::new(tiny.write().path())).unwrap();
    let dir = sharded(&tiny);
    let plain = load(&LoadSpec::new(dir.path())).unwrap();
    assert_eq!(vectors(&plain), vectors(&whole));
    let bytes = |number| fs::metadata(dir.path().join(part(number))).unwrap().len();
    assert_eq!(plain.weights.bytes, bytes(1) + bytes(2) + bytes(3));

    let spec = LoadSpec {
        artefacts: Some(artefacts.path().to_owned()),
        ..LoadSpec::new(dir.path())
    };
    let digest = |spec: &LoadSpec| load(spec).unwrap().weights.sha256.unwrap();
    let first = digest(&spec);
    let expected = LoadSpec {
        expected_sha256: Some(first.clone()),
        ..spec.clone()
    };
    assert_eq!(vectors(&load(&expected).unwrap()), vectors(&whole));
    // Another last part is another model, though the first is the same.
    let mut other = Tiny::bert();
    let last = other.tensors.iter().nth(2).unwrap().0.clone();
    other.tensors.get_mut(&last).unwrap().data[0] += 1.0;
    let changed = sharded(&other);
    fs::rename(changed.path().join(part(3)), dir.path().join(part(3))).unwrap();
    assert_ne!(digest(&spec), first);
    let error = load(&expected).unwrap_err();
    assert!(matches!(error, LoadError::Checksum { .. }), "{error}");
}

/// Who records the weights and who loads them mean the same files: those that the index names, whatever
/// else lies beside it.
#[tokio::test]
async fn what_is_recorded_of_them_is_what_is_loaded() {
    let (cache, dir) = (TempDir::new().unwrap(), sharded(&Tiny::bert()));
    let recorded = async || {
        let source = SourceRef::Path(dir.path().to_owned());
        let options = FetchOptions::new(cache.path());
        let fetched = source::fetch(&source, &options, &NoProgress).await.unwrap();
        let spec = LoadSpec {
            expected_sha256: source::weights_sha256(&fetched),
            ..LoadSpec::new(dir.path())
        };
        load(&spec).unwrap().weights
    };
    assert!(recorded().await.checked);
    // The rest of an earlier version, whole as it is.
    for name in ["model-00001-of-00002", "model-00002-of-00002"] {
        let path = dir.path().join(name).with_extension("safetensors");
        fs::write(path, "others").unwrap();
    }
    assert!(recorded().await.checked);
}

/// Where some are missing, weights of another kind are as good as they are to whoever fetches.
#[test]
fn a_state_dict_takes_the_place_of_parts_that_are_not_whole() {
    let dir = sharded(&Tiny::bert());
    fs::write(dir.path().join("pytorch_model.bin"), "no state dict").unwrap();
    load(&LoadSpec::new(dir.path())).unwrap();
    fs::remove_file(dir.path().join(part(2))).unwrap();
    let error = load(&LoadSpec::new(dir.path())).unwrap_err();
    assert!(error.to_string().contains("pytorch_model.bin"), "{error}");
}

#[test]
fn what_is_missing_or_leads_elsewhere_is_named() {
    let dir = sharded(&Tiny::bert());
    fs::remove_file(dir.path().join(part(2))).unwrap();
    let error = load(&LoadSpec::new(dir.path())).unwrap_err();
    assert!(error.to_string().contains(&part(2)), "{error}");

    for names in [
        json!({}),
        json!({ "a": "../model.safetensors" }),
        json!({ "a": "weights.bin" }),
    ] {
        let dir = sharded(&Tiny::bert());
        rewrite(dir.path(), |index| index["weight_map"] = names.clone());
        let error = load(&LoadSpec::new(dir.path())).unwrap_err();
        assert_eq!(error.code(), "config_invalid", "{error}");
    }
    let dir = sharded(&Tiny::bert());
    rewrite(dir.path(), |index| {
        let map = index["weight_map"].as_object_mut().unwrap();
        map.retain(|_, part_of| *part_of != json!(part(3)));
    });
    let error = load(&LoadSpec::new(dir.path())).unwrap_err();
    assert!(matches!(error, LoadError::MissingTensor { .. }), "{error}");
}
