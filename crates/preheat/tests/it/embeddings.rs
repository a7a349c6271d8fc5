//! The same texts through every route give the reference's vectors.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use preheat_api::grpc::inference::ModelInferRequest;
use preheat_api::grpc::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use preheat_api::grpc::inference::model_infer_request::InferInputTensor;
use serde_json::{Value, json};

use crate::client::{self, Answer};
use crate::reference::{Reference, reference, vectors};
use crate::replica::Replica;

#[track_caller]
fn ok(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("preheat-warm"), "proven");
    answer.json()
}

#[tokio::test]
async fn embed_answers_lists_and_objects() {
    let (replica, reference) = (Replica::shared().await, reference());
    let list = ok(&replica.post("/embed", &json!(reference.texts)).await);
    reference.check(&vectors(&list["embeddings"]));
    let object = ok(&replica
        .post("/embed", &json!({"inputs": reference.texts}))
        .await);
    reference.check(&vectors(&object));
    let one = ok(&replica
        .post("/embed", &json!({"inputs": reference.texts[0]}))
        .await);
    assert_eq!(vectors(&one), vectors(&object)[..1]);
    let ids = json!({"inputs": reference.token_ids, "truncation_direction": "right"});
    reference.check(&vectors(&ok(&replica.post("/embed", &ids).await)));
    let ids = json!({"inputs": reference.token_ids[0], "prompt_name": null});
    let one = ok(&replica.post("/", &ids).await);
    reference.check(&[vectors(&one), vectors(&object)[1..].to_vec()].concat());
}

#[tokio::test]
async fn one_model_is_told_in_openais_words() {
    let replica = Replica::shared().await;
    let list = ok(&replica.get("/v1/models").await);
    let one = ok(&replica.get("/v1/models/embedder").await);
    assert_eq!(one, list["data"][0]);
    let other = replica.get("/v1/models/other").await;
    assert_eq!(other.status, 404);
    assert_eq!(other.json()["error"]["code"], "model_not_found");
}

#[tokio::test]
async fn openai_answers_floats_base64_and_token_ids() {
    let (replica, reference) = (Replica::shared().await, reference());
    let ask = async |input: &Value, format: &str| {
        let body = json!({"model": "embedder", "input": input, "encoding_format": format});
        ok(&replica.post("/v1/embeddings", &body).await)
    };
    let texts = json!(reference.texts);
    reference.check(&openai_vectors(
        &ask(&texts, "float").await,
        vector_of_numbers,
    ));
    reference.check(&openai_vectors(
        &ask(&texts, "base64").await,
        vector_of_base64,
    ));
    let answer = ask(&json!(reference.token_ids), "float").await;
    reference.check(&openai_vectors(&answer, vector_of_numbers));
    let tokens: usize = reference.token_ids.iter().map(Vec::len).sum();
    assert_eq!(answer["usage"]["prompt_tokens"], tokens);
}

fn openai_vectors(answer: &Value, read: fn(&Value) -> Vec<f32>) -> Vec<Vec<f32>> {
    let items = answer["data"].as_array().unwrap();
    items.iter().map(|item| read(&item["embedding"])).collect()
}

fn vector_of_numbers(value: &Value) -> Vec<f32> {
    serde_json::from_value(value.clone()).unwrap()
}

fn vector_of_base64(value: &Value) -> Vec<f32> {
    from_bytes(&STANDARD.decode(value.as_str().unwrap()).unwrap())
}

#[tokio::test]
async fn open_inference_answers_json_and_binary() {
    let (replica, reference) = (Replica::shared().await, reference());
    let path = "/v2/models/embedder/infer";
    let rows = reference.texts.len();

    let body = json!({"inputs": [{
        "name": "text", "shape": [rows], "datatype": "BYTES", "data": reference.texts,
    }]});
    let answer = ok(&replica.post(path, &body).await);
    let output = &answer["outputs"][0];
    assert_eq!(output["shape"], json!([rows, 384]));
    let flat: Vec<f32> = serde_json::from_value(output["data"].clone()).unwrap();
    reference.check(&rows_of(&flat, rows));

    let raw = bytes_tensor(&reference);
    let head = json!({
        "inputs": [{
            "name": "text", "shape": [rows], "datatype": "BYTES",
            "parameters": {"binary_data_size": raw.len()},
        }],
        "outputs": [{"name": "embedding", "parameters": {"binary_data": true}}],
    })
    .to_string();
    let mut request = client::request(
        Method::POST,
        path,
        [head.as_bytes(), raw.as_slice()].concat(),
    );
    request
        .headers_mut()
        .insert("content-type", "application/octet-stream".parse().unwrap());
    let length = head.len().to_string().parse().unwrap();
    request
        .headers_mut()
        .insert("inference-header-content-length", length);
    let answer = client::send(replica.http, request).await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    let head: usize = answer
        .header("inference-header-content-length")
        .parse()
        .unwrap();
    reference.check(&rows_of(&from_bytes(&answer.body[head..]), rows));
}

#[tokio::test]
async fn grpc_answers_raw_contents() {
    let (replica, reference) = (Replica::shared().await, reference());
    let rows = reference.texts.len();
    let channel = tonic::transport::Endpoint::new(format!("http://{}", replica.grpc)).unwrap();
    let channel = channel.connect().await.unwrap();
    let request = ModelInferRequest {
        model_name: "embedder".into(),
        inputs: vec![InferInputTensor {
            name: "text".into(),
            datatype: "BYTES".into(),
            shape: vec![i64::try_from(rows).unwrap()],
            ..InferInputTensor::default()
        }],
        raw_input_contents: vec![bytes_tensor(&reference).into()],
        ..ModelInferRequest::default()
    };
    let answer = GrpcInferenceServiceClient::new(channel)
        .model_infer(request)
        .await
        .unwrap();
    let answer = answer.into_inner();
    assert_eq!(answer.outputs[0].shape, [6, 384]);
    reference.check(&rows_of(&from_bytes(&answer.raw_output_contents[0]), rows));
}

#[tokio::test]
async fn tokenize_answers_the_reference_ids() {
    let (replica, reference) = (Replica::shared().await, reference());
    let answer = ok(&replica
        .post("/tokenize", &json!({"inputs": reference.texts}))
        .await);
    let ids: Vec<Vec<u64>> = answer
        .as_array()
        .unwrap()
        .iter()
        .map(|tokens| {
            tokens
                .as_array()
                .unwrap()
                .iter()
                .map(|t| t["id"].as_u64().unwrap())
                .collect()
        })
        .collect();
    assert_eq!(json!(ids), json!(reference.token_ids));
}

#[tokio::test]
async fn texts_are_answered_the_same_alone_and_together() {
    let (replica, reference) = (Replica::shared().await, reference());
    let mut alone = Vec::new();
    for text in &reference.texts {
        let answer = ok(&replica.post("/embed", &json!([text])).await);
        alone.extend(vectors(&answer["embeddings"]));
    }
    reference.check(&alone);
}

/// The elements of a BYTES tensor, each after its length.
fn bytes_tensor(reference: &Reference) -> Vec<u8> {
    let mut raw = Vec::new();
    for text in &reference.texts {
        raw.extend(u32::try_from(text.len()).unwrap().to_le_bytes());
        raw.extend(text.as_bytes());
    }
    raw
}

fn from_bytes(bytes: &[u8]) -> Vec<f32> {
    bytes
        .chunks_exact(4)
        .map(|four| f32::from_le_bytes(four.try_into().unwrap()))
        .collect()
}

fn rows_of(flat: &[f32], rows: usize) -> Vec<Vec<f32>> {
    flat.chunks(flat.len() / rows)
        .map(<[f32]>::to_vec)
        .collect()
}
