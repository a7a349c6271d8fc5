//! What files beside `tokenizer.json` say about texts counts as it does for the reference libraries.

use std::fs;

use preheat_engine::{LoadSpec, LoadedModel, load};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::tiny::{HIDDEN, Tiny};

const REFERENCE: &str = include_str!("../data/reference_advice.json");

fn reference() -> Value {
    serde_json::from_str(REFERENCE).unwrap()
}

/// The model of one case, in a directory.
fn write(case: &Value, vocabulary: &[Value]) -> TempDir {
    let mut tiny = Tiny::bert();
    if case["config"]["model_type"] == "distilbert" {
        tiny = Tiny::distilbert();
    }
    for (key, value) in case["config"].as_object().unwrap() {
        tiny.config[key] = value.clone();
    }
    tiny.config["vocab_size"] = json!(vocabulary.len());
    let words = [vocabulary.len(), HIDDEN];
    tiny.add("embeddings.word_embeddings.weight", &words);
    let ids = vocabulary.iter().zip(0..);
    let ids = ids.map(|(word, id)| (word.as_str().unwrap().to_owned(), json!(id)));
    tiny.tokenizer["model"]["vocab"] = Value::Object(ids.collect());
    tiny.tokenizer["normalizer"] = case["normalizer"].clone();
    let dir = tiny.write();
    for name in ["tokenizer_config", "sentence_bert_config"] {
        if let Some(said) = case.get(name) {
            fs::write(dir.path().join(format!("{name}.json")), said.to_string()).unwrap();
        }
    }
    dir
}

fn compare(case: &Value, texts: &[Value], model: &LoadedModel) {
    let name = &case["name"];
    assert_eq!(
        json!(model.tokenizer.max_tokens()),
        case["max_tokens"],
        "{name}"
    );
    for (text, expected) in texts.iter().zip(case["ids"].as_array().unwrap()) {
        let text = text.as_str().unwrap();
        let ids = model.tokenizer.encode(text).unwrap();
        assert_eq!(json!(ids), *expected, "{name}: {text:?}");
    }
}

#[test]
fn ids_and_limits_are_those_of_the_reference_libraries() {
    let reference = reference();
    let list = |key: &str| reference[key].as_array().unwrap().clone();
    let texts = list("texts");
    for case in list("cases") {
        let dir = write(&case, &list("vocabulary"));
        compare(&case, &texts, &load(&LoadSpec::new(dir.path())).unwrap());
    }
}

/// The compiled form is known by what was made of the file, not by the file alone.
#[test]
fn compiled_tokenizers_follow_what_the_other_files_say() {
    let reference = reference();
    let list = |key: &str| reference[key].as_array().unwrap().clone();
    let (texts, artefacts) = (list("texts"), TempDir::new().unwrap());
    for case in list("cases") {
        let dir = write(&case, &list("vocabulary"));
        let spec = LoadSpec {
            artefacts: Some(artefacts.path().to_owned()),
            ..LoadSpec::new(dir.path())
        };
        compare(&case, &texts, &load(&spec).unwrap());
    }
}

#[test]
fn pooling_is_read_as_old_and_new_versions_write_it() {
    let (mut tiny, mut told) = (Tiny::bert(), Vec::new());
    for pooling in [
        json!({ "pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false }),
        json!({ "embedding_dimension": HIDDEN, "pooling_mode": "cls", "include_prompt": true }),
        json!({ "embedding_dimension": HIDDEN, "pooling_mode": ["cls"] }),
    ] {
        tiny.pooling = pooling;
        let model = load(&LoadSpec::new(tiny.write().path())).unwrap();
        told.push(format!("{:?}", model.engine.info().pooling));
    }
    assert!(told[0].to_lowercase().contains("cls"), "{told:?}");
    assert!(told.iter().all(|one| *one == told[0]), "{told:?}");
    for unknown in [json!("weightedmean"), json!(["cls", "mean"]), json!(3)] {
        tiny.pooling = json!({ "pooling_mode": unknown });
        let error = load(&LoadSpec::new(tiny.write().path())).unwrap_err();
        assert!(error.to_string().contains("pooling"), "{error}");
    }
}
