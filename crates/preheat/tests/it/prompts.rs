//! Prompts of a model: the default one is in front of every text on every route, others by name.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::replica::{Replica, Start, linked_model, served_from};

/// The default model with these prompts.
fn folder(config: &Value) -> TempDir {
    let folder = linked_model();
    let path = folder.path().join("config_sentence_transformers.json");
    let _ = fs::remove_file(&path);
    fs::write(path, config.to_string()).unwrap();
    folder
}

async fn serve(folder: &Path) -> Replica {
    Start::with(&served_from(folder)).ready().await
}

async fn embed(replica: &Replica, body: Value) -> Value {
    let answer = replica.post("/embed", &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    match answer.json() {
        Value::Object(object) => object["embeddings"].clone(),
        vectors => vectors,
    }
}

#[tokio::test]
async fn a_default_prompt_is_in_front_of_every_text() {
    let prompts = json!({
        "prompts": { "query": "search for: ", "passage": "found: ", "none": "" },
        "default_prompt_name": "query",
    });
    let folder = folder(&prompts);
    let (prompted, plain) = (serve(folder.path()).await, Replica::shared().await);

    let expected = embed(&plain, json!(["search for: a quiet lake"])).await;
    let bare = embed(&plain, json!(["a quiet lake"])).await;
    let by_name = embed(&plain, json!(["found: a quiet lake"])).await;
    assert_ne!(expected, bare);
    assert_eq!(embed(&prompted, json!(["a quiet lake"])).await, expected);
    for (name, expected) in [
        (Value::Null, &expected),
        (json!("query"), &expected),
        (json!("passage"), &by_name),
        (json!("none"), &bare),
    ] {
        let body = json!({ "inputs": "a quiet lake", "prompt_name": name });
        assert_eq!(embed(&prompted, body).await, *expected, "{name}");
    }
    let ask = json!({ "model": "embedder", "input": ["a quiet lake"] });
    let answer = prompted.post("/v1/embeddings", &ask).await.json();
    assert_eq!(answer["data"][0]["embedding"], expected[0]);
    let ask = json!({ "inputs": [{ "name": "text", "datatype": "BYTES", "shape": [1],
                                   "data": ["a quiet lake"] }] });
    let answer = prompted
        .post("/v2/models/embedder/infer", &ask)
        .await
        .json();
    assert_eq!(answer["outputs"][0]["data"], expected[0]);

    let tokens =
        async |replica: &Replica, body: Value| replica.post("/tokenize", &body).await.json();
    assert_eq!(
        tokens(&prompted, json!({ "inputs": "lake" })).await,
        tokens(&plain, json!({ "inputs": "search for: lake" })).await
    );
    assert!(
        prompted.log().contains("`search for: `"),
        "{}",
        prompted.log()
    );
}

#[tokio::test]
async fn a_prompt_that_the_model_does_not_have_is_refused_with_those_that_it_has() {
    let folder = folder(&json!({ "prompts": { "query": "q: ", "passage": "p: " } }));
    let replica = serve(folder.path()).await;
    for path in ["/embed", "/tokenize"] {
        let ask = json!({ "inputs": "x", "prompt_name": "quarry" });
        let answer = replica.post(path, &ask).await;
        assert_eq!(answer.status, 422, "{answer:?}");
        let said = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(
            said.contains("quarry") && said.contains("passage, query"),
            "{said}"
        );
    }
    let ask = json!({ "inputs": [101, 102], "prompt_name": "query" });
    let answer = replica.post("/embed", &ask).await;
    assert_eq!(answer.status, 422, "{answer:?}");
}
