//! How long vectors are: as the model has them, or one where a route promises that.

use std::fs;

use serde_json::{Value, json};

use crate::replica::{Replica, Start, linked_model, served_from};

async fn embed(replica: &Replica, body: Value) -> Vec<f64> {
    let answer = replica.post("/embed", &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let vectors = match answer.json() {
        Value::Object(object) => object["embeddings"].clone(),
        vectors => vectors,
    };
    let row = vectors[0].as_array().unwrap();
    row.iter().map(|x| x.as_f64().unwrap()).collect()
}

fn length(row: &[f64]) -> f64 {
    row.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// text-embeddings-inference scales unless it is told not to, whatever the model does.
#[tokio::test]
async fn vectors_of_a_model_that_does_not_scale_them_are_scaled_where_it_is_promised() {
    let folder = linked_model();
    let path = folder.path().join("modules.json");
    let mut modules: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let list = modules.as_array_mut().unwrap();
    list.retain(|module| !module["type"].as_str().unwrap().ends_with("Normalize"));
    fs::remove_file(&path).unwrap();
    fs::write(path, modules.to_string()).unwrap();
    let replica = Start::with(&served_from(folder.path())).ready().await;

    let own = embed(&replica, json!(["a quiet lake"])).await;
    assert!((length(&own) - 1.0).abs() > 0.01, "{}", length(&own));
    let scaled = embed(&replica, json!({ "inputs": "a quiet lake" })).await;
    assert!((length(&scaled) - 1.0).abs() < 1e-5, "{}", length(&scaled));
    let ask = json!({ "inputs": "a quiet lake", "normalize": false });
    assert_eq!(embed(&replica, ask).await, own);
    let ask = json!({ "inputs": "a quiet lake", "normalize": false, "dimensions": 8 });
    assert_eq!(embed(&replica, ask).await, own[..8]);
    let ask = json!({ "inputs": "a quiet lake", "dimensions": 8 });
    let cut = embed(&replica, ask).await;
    assert!(cut.len() == 8 && (length(&cut) - 1.0).abs() < 1e-5);
}

/// What the model has brought to length one cannot be brought back.
#[tokio::test]
async fn a_model_that_scales_gives_no_vectors_of_another_length() {
    let replica = Replica::shared().await;
    let own = embed(&replica, json!(["a quiet lake"])).await;
    assert!((length(&own) - 1.0).abs() < 1e-5, "{}", length(&own));
    let ask = json!({ "inputs": "a quiet lake" });
    assert_eq!(embed(&replica, ask).await, own, "to the bit");
    let ask = json!({ "inputs": "a quiet lake", "normalize": false });
    let answer = replica.post("/embed", &ask).await;
    assert_eq!(answer.status, 422, "{answer:?}");
    assert!(answer.text().contains("of length one"), "{answer:?}");
}
