//! A model that cannot be loaded says which file is at fault and what to do, and never panics.

use std::error::Error;
use std::fs;
use std::path::Path;

use preheat_engine::{Isa, LoadError, LoadSpec, load};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::tiny::{HIDDEN, Tiny, WORDS};

fn fault(dir: &Path) -> LoadError {
    fault_of(&LoadSpec::new(dir))
}

fn fault_of(spec: &LoadSpec) -> LoadError {
    let error = load(spec).expect_err("the fault is found");
    assert!(!error.remedy().is_empty());
    let text = error.to_string();
    assert!(
        text.chars().next().is_some_and(|c| !c.is_uppercase()),
        "{text}"
    );
    error
}

/// The fault that a change of the model causes.
fn changed(change: impl FnOnce(&mut Tiny)) -> LoadError {
    let mut tiny = Tiny::bert();
    change(&mut tiny);
    fault(tiny.write().path())
}

#[test]
fn missing_things_are_named() {
    let error = fault(Path::new("/no/such/directory"));
    assert!(matches!(&error, LoadError::Directory { path, .. } if path.ends_with("directory")));
    for name in [
        "config.json",
        "tokenizer.json",
        "model.safetensors",
        "1_Pooling/config.json",
    ] {
        let dir = Tiny::bert().write();
        fs::remove_file(dir.path().join(name)).unwrap();
        let error = fault(dir.path());
        assert!(
            matches!(&error, LoadError::MissingFile { path } if path.ends_with(name)),
            "{error}"
        );
        assert_eq!(error.code(), "file_missing");
    }
    let error = changed(|tiny| {
        tiny.tensors.remove("encoder.layer.1.output.dense.bias");
    });
    assert!(matches!(&error, LoadError::MissingTensor { tensor, .. }
        if tensor == "encoder.layer.1.output.dense.bias"));
}

#[test]
fn files_beyond_their_limit_are_refused_and_not_read() {
    const MB: u64 = 1_000_000;
    for (name, limit_mb) in [
        ("config.json", 4),
        ("modules.json", 4),
        ("1_Pooling/config.json", 4),
        ("tokenizer.json", 100),
    ] {
        let dir = Tiny::bert().write();
        let file = fs::File::create(dir.path().join(name)).unwrap();
        file.set_len(limit_mb * MB).unwrap();
        assert_ne!(fault(dir.path()).code(), "file_too_large", "{name}");
        file.set_len(limit_mb * MB + 1).unwrap();
        let error = fault(dir.path());
        assert!(
            matches!(&error, LoadError::TooLarge { path, .. } if path.ends_with(name)),
            "{error:?}"
        );
        assert_eq!(error.code(), "file_too_large");
        let reason = error.source().unwrap().to_string();
        assert_eq!(reason, format!("it is larger than {limit_mb} MB"));
        assert!(error.remedy().contains("fetch"), "{}", error.remedy());
    }
}

#[test]
fn damaged_weights_are_found_wherever_they_are_cut() {
    let dir = Tiny::bert().write();
    let path = dir.path().join("model.safetensors");
    let whole = fs::read(&path).unwrap();
    for keep in [0, 1, 7, 8, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..keep]).unwrap();
        let error = fault(dir.path());
        assert!(matches!(&error, LoadError::Corrupt { bytes, .. } if *bytes == keep as u64));
    }
    let mut garbled = whole.clone();
    garbled[8..40].fill(0xff);
    fs::write(&path, garbled).unwrap();
    assert_eq!(fault(dir.path()).code(), "weights_corrupt");
    let mut long = whole;
    long.extend([0; 64]);
    fs::write(&path, long).unwrap();
    assert_eq!(fault(dir.path()).code(), "weights_corrupt");
}

#[test]
fn a_checksum_is_compared_before_anything_else_is_believed() {
    let dir = Tiny::bert().write();
    let path = dir.path().join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let sum: String = Sha256::digest(&bytes)
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    let spec = LoadSpec {
        expected_sha256: Some(sum.clone()),
        ..LoadSpec::new(dir.path())
    };
    let facts = load(&spec).unwrap().weights;
    assert!(facts.checked && facts.sha256 == Some(sum.to_lowercase()));
    assert_eq!(facts.bytes, bytes.len() as u64);

    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    let error = fault_of(&spec);
    assert!(matches!(&error, LoadError::Checksum { expected, found, .. }
        if *expected == sum && *found != sum.to_lowercase()));
}

#[test]
fn weights_that_belong_to_another_config_are_refused() {
    let error = changed(|tiny| tiny.config["intermediate_size"] = json!(38));
    assert!(
        matches!(&error, LoadError::Shape { tensor, expected, found, .. }
        if tensor == "encoder.layer.0.intermediate.dense.bias" && *expected == [38] && *found == [37])
    );
    let error = changed(|tiny| tiny.add("embeddings.LayerNorm.bias", &[1, HIDDEN]));
    assert_eq!(error.code(), "weights_mismatch");
    let error = changed(|tiny| tiny.config["vocab_size"] = json!(1_000_000_000_000u64));
    assert_eq!(error.code(), "weights_mismatch");
    let error = changed(|tiny| tiny.config["num_hidden_layers"] = json!(3));
    assert_eq!(error.code(), "weights_mismatch");

    let (tiny, dir) = (Tiny::bert(), Tiny::bert().write());
    tiny.write_weights(
        &dir.path().join("model.safetensors"),
        safetensors::Dtype::F64,
        |x| f64::from(x).to_le_bytes().to_vec(),
    );
    assert!(matches!(fault(dir.path()), LoadError::TensorDtype { found, .. } if found == "F64"));
}

#[test]
fn configs_that_make_no_sense_are_refused() {
    let bad = |field: &'static str, value: serde_json::Value| {
        let error = changed(|tiny| tiny.config[field] = value);
        assert!(
            matches!(&error, LoadError::Config { field: found, .. } if found == field),
            "{error}"
        );
    };
    bad("hidden_size", json!("wide"));
    bad("hidden_size", json!(0));
    bad("hidden_size", json!(22));
    bad("num_hidden_layers", json!(-1));
    bad("vocab_size", json!(null));
    bad("model_type", json!(7));
    bad("layer_norm_eps", json!("small"));
    let mut roberta = Tiny::roberta();
    roberta.config["max_position_embeddings"] = json!(2);
    assert_eq!(fault(roberta.write().path()).code(), "config_invalid");

    let error = changed(|tiny| tiny.config["model_type"] = json!("llama"));
    assert!(
        matches!(&error, LoadError::UnknownArchitecture { found, known, .. }
        if found == "llama" && known.contains(&"bert"))
    );
    for change in [
        (|tiny| tiny.config["hidden_act"] = json!("swiglu")) as fn(&mut Tiny),
        |tiny| tiny.config["position_embedding_type"] = json!("relative_key"),
        |tiny| tiny.pooling = json!({ "pooling_mode_weightedmean_tokens": true }),
        |tiny| {
            tiny.pooling =
                json!({ "pooling_mode_mean_tokens": true, "pooling_mode_cls_token": true });
        },
        |tiny| {
            tiny.modules = json!([{ "type": "sentence_transformers.models.Dense", "path": "2" }]);
        },
    ] {
        assert_eq!(changed(change).code(), "unsupported");
    }
    for change in [
        (|tiny| tiny.modules = json!({})) as fn(&mut Tiny),
        |tiny| tiny.modules = json!([{ "path": "1_Pooling" }]),
        |tiny| tiny.modules = json!([{ "type": "x.Pooling", "path": "../outside" }]),
        |tiny| tiny.modules = json!([{ "type": "x.Pooling", "path": "/etc" }]),
    ] {
        assert_eq!(changed(change).code(), "config_invalid");
    }

    let dir = Tiny::bert().write();
    fs::write(dir.path().join("config.json"), "{\"model_type\": ").unwrap();
    assert!(matches!(fault(dir.path()), LoadError::Json { .. }));
}

#[test]
fn tokenizers_that_cannot_work_are_refused() {
    let error = changed(|tiny| tiny.tokenizer = json!({ "version": "1.0" }));
    assert_eq!(error.code(), "tokenizer_invalid");
    let error = changed(|tiny| tiny.max_seq_length = Some(2));
    assert!(matches!(&error, LoadError::Tokenizer { reason, .. } if reason.contains("no room")));
    let error = changed(|tiny| {
        let tokens = tiny.tokenizer["added_tokens"].as_array_mut().unwrap();
        let mut token = tokens[0].clone();
        token["content"] = json!("[ANOTHER]");
        token["id"] = json!(WORDS.len());
        tokens.push(token);
    });
    assert!(matches!(
        &error,
        LoadError::Vocabulary {
            id: 20,
            vocab: 20,
            ..
        }
    ));
    assert_eq!(error.code(), "weights_mismatch");
}

#[test]
fn an_instruction_set_this_cpu_lacks_is_refused() {
    let every = Isa::ALL;
    let available = Isa::available();
    assert!(available.contains(&Isa::Portable));
    let dir = Tiny::bert().write();
    for isa in every.into_iter().filter(|isa| !available.contains(isa)) {
        let error = fault_of(&LoadSpec {
            isa: Some(isa),
            ..LoadSpec::new(dir.path())
        });
        assert_eq!(error.code(), "isa_unavailable");
    }
}

#[test]
fn the_stages_of_a_load_are_reported() {
    let dir = Tiny::bert().write();
    let expected_sha256 = Some("0".repeat(64));
    let error = fault_of(&LoadSpec {
        expected_sha256,
        ..LoadSpec::new(dir.path())
    });
    assert_eq!(error.code(), "checksum_wrong");
    let model = load(&LoadSpec::new(dir.path())).unwrap();
    let mut names: Vec<_> = model.stages.iter().map(|stage| stage.stage).collect();
    assert_eq!(names[0], "config");
    names.sort_unstable();
    assert_eq!(names, ["config", "engine", "tokenizer", "weights"]);
    assert!(model.stages.is_sorted_by_key(|stage| stage.started));
    assert!(!model.weights.checked && model.weights.sha256.is_none());
}
