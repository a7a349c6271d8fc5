//! Classifiers of texts and of pairs of texts behind the real doors, against the formulas.

use preheat_api::grpc::inference::ModelInferRequest;
use preheat_api::grpc::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use preheat_api::grpc::inference::model_infer_request::InferInputTensor;
use preheat_engine::SECOND;
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::transport::Endpoint;

use crate::client::Answer;
use crate::formulas;
use crate::replica::{Replica, Start, root};
use crate::tiny::Tiny;

/// A model of random numbers, served.
struct Served {
    tiny: Tiny,
    replica: Replica,
    _dir: TempDir,
}

impl Served {
    async fn with(labels: usize) -> Self {
        let tiny = Tiny::bert().classifying(labels);
        let dir = tiny.write();
        let (cache, source) = (root().join("target/tmp/cache"), dir.path());
        let config = format!(
            "[cache]\ndir = {cache:?}\noffline = true\n[warmup]\nslack = \"1s\"\n[[model]]\n\
             name = \"judge\"\nsource = {source:?}\n"
        );
        let replica = Start::with(&config).ready().await;
        Served {
            tiny,
            replica,
            _dir: dir,
        }
    }

    /// The model's own numbers for one text or two.
    fn numbers(&self, first: &[u32], second: Option<&[u32]>) -> Vec<f64> {
        let mut ids = [&[2][..], first, &[3]].concat();
        if let Some(second) = second {
            ids.extend([second, &[3]].concat().iter().map(|id| id | SECOND));
        }
        formulas::classify(&self.tiny, &ids)
    }
}

/// Texts and their ids in the vocabulary of tiny models.
const QUERY: (&str, &[u32]) = ("a cold model", &[4, 5, 6]);
const TEXTS: [(&str, &[u32]); 3] = [
    ("the request", &[11, 9]),
    (
        "warm model never meets a cold request!",
        &[10, 6, 7, 8, 4, 5, 9, 16],
    ),
    ("test", &[15]),
];

#[track_caller]
fn ok(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("preheat-warm"), "proven");
    answer.json()
}

#[track_caller]
fn near(found: &Value, wanted: f64) {
    let found = found.as_f64().unwrap();
    assert!((found - wanted).abs() < 2e-5, "{found}, not {wanted}");
}

#[tokio::test]
async fn texts_are_ordered_by_how_well_they_answer() {
    let served = Served::with(1).await;
    let replica = &served.replica;
    let wanted = TEXTS.map(|(_, ids)| served.numbers(QUERY.1, Some(ids))[0]);
    let texts = TEXTS.map(|(text, _)| text);

    let ask = json!({"query": QUERY.0, "texts": texts, "raw_scores": true});
    let ranks = ok(&replica.post("/rerank", &ask).await);
    let ranks = ranks.as_array().unwrap();
    assert_eq!(ranks.len(), 3);
    assert!(
        ranks
            .windows(2)
            .all(|two| two[0]["score"].as_f64() >= two[1]["score"].as_f64())
    );
    for rank in ranks {
        assert!(rank.get("text").is_none());
        near(
            &rank["score"],
            wanted[rank["index"].as_u64().unwrap() as usize],
        );
    }
    let ask = json!({"query": QUERY.0, "texts": texts, "return_text": true});
    for rank in ok(&replica.post("/rerank", &ask).await).as_array().unwrap() {
        let index = rank["index"].as_u64().unwrap() as usize;
        near(&rank["score"], 1.0 / (1.0 + (-wanted[index]).exp()));
        assert_eq!(rank["text"], texts[index]);
    }
    // Where Hugging Face's clients look for it.
    let same = ok(&replica.post("/", &ask).await);
    assert_eq!(same, ok(&replica.post("/rerank", &ask).await));
    let pair = json!({"inputs": [QUERY.0, texts[1]], "raw_scores": true});
    near(
        &ok(&replica.post("/predict", &pair).await)[0]["score"],
        wanted[1],
    );

    let pairs: Vec<[&str; 2]> = texts.iter().map(|text| [QUERY.0, *text]).collect();
    let tensor = json!({"name": "text", "datatype": "BYTES", "shape": [3, 2], "data": pairs});
    let ask = json!({"inputs": [tensor]});
    let output = &ok(&replica.post("/v2/models/judge/infer", &ask).await)["outputs"][0];
    assert_eq!(
        (&output["name"], &output["shape"]),
        (&json!("logits"), &json!([3, 1]))
    );
    for (found, wanted) in output["data"].as_array().unwrap().iter().zip(wanted) {
        near(found, wanted);
    }
    by_grpc(replica, &pairs, &wanted).await;

    let info = ok(&replica.get("/info").await);
    assert_eq!(
        info["model_type"]["reranker"]["id2label"],
        json!({"0": "label 0"})
    );
    let metrics = replica.get("/metrics").await.text();
    assert!(
        metrics.contains("preheat_cold_requests_total{model=\"judge\"} 0"),
        "{metrics}"
    );
}

async fn by_grpc(replica: &Replica, pairs: &[[&str; 2]], wanted: &[f64]) {
    let address = format!("http://{}", replica.grpc);
    let channel = Endpoint::new(address).unwrap().connect().await.unwrap();
    let texts = pairs.iter().flatten();
    let raw: Vec<u8> = texts
        .flat_map(|text| [&(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat())
        .collect();
    let ask = ModelInferRequest {
        model_name: "judge".into(),
        inputs: vec![InferInputTensor {
            name: "text".into(),
            datatype: "BYTES".into(),
            shape: vec![3, 2],
            ..InferInputTensor::default()
        }],
        raw_input_contents: vec![raw.into()],
        ..ModelInferRequest::default()
    };
    let answer = GrpcInferenceServiceClient::new(channel)
        .model_infer(ask)
        .await
        .unwrap();
    let answer = answer.into_inner();
    assert_eq!(answer.outputs[0].name, "logits");
    for (bytes, wanted) in answer.raw_output_contents[0].chunks_exact(4).zip(wanted) {
        let found = f32::from_le_bytes(bytes.try_into().unwrap());
        assert!(
            (f64::from(found) - wanted).abs() < 2e-5,
            "{found}, not {wanted}"
        );
    }
}

#[tokio::test]
async fn labels_come_with_their_scores() {
    let served = Served::with(3).await;
    let replica = &served.replica;
    let numbers = TEXTS.map(|(_, ids)| served.numbers(ids, None));
    let label = |prediction: &Value| {
        let label = prediction["label"].as_str().unwrap();
        label
            .strip_prefix("label ")
            .unwrap()
            .parse::<usize>()
            .unwrap()
    };

    let one = ok(&replica
        .post("/predict", &json!({"inputs": TEXTS[0].0}))
        .await);
    let total: f64 = numbers[0].iter().map(|x| x.exp()).sum();
    let shares: Vec<&Value> = one.as_array().unwrap().iter().collect();
    assert_eq!(shares.len(), 3);
    for share in &shares {
        near(&share["score"], numbers[0][label(share)].exp() / total);
    }
    assert!(
        shares
            .windows(2)
            .all(|two| two[0]["score"].as_f64() >= two[1]["score"].as_f64())
    );

    let rows: Vec<[&str; 1]> = TEXTS.iter().map(|(text, _)| [*text]).collect();
    let ask = json!({"inputs": rows, "raw_scores": true});
    let many = ok(&replica.post("/predict", &ask).await);
    for (found, wanted) in many.as_array().unwrap().iter().zip(&numbers) {
        for score in found.as_array().unwrap() {
            near(&score["score"], wanted[label(score)]);
        }
    }
    let info = ok(&replica.get("/info").await);
    assert_eq!(info["model_type"]["classifier"]["label2id"]["label 2"], 2);
    let metadata = replica.get("/v2/models/judge").await.json();
    assert_eq!(metadata["outputs"][0]["shape"], json!([-1, 3]));

    for (path, body, status) in [
        ("/rerank", json!({"query": "a", "texts": ["test"]}), 404),
        ("/embed", json!(["test"]), 404),
        ("/predict", json!({"inputs": []}), 422),
        ("/predict", json!({"inputs": ["a", "b", "c"]}), 422),
        ("/predict", json!({"inputs": [["a"], []]}), 422),
        ("/predict", json!({"inputs": 3}), 422),
        (
            "/predict",
            json!({"inputs": vec!["a "; 99].concat(), "truncate": false}),
            422,
        ),
    ] {
        let answer = replica.post(path, &body).await;
        assert_eq!(answer.status, status, "{path} {body}: {answer:?}");
        assert!(
            answer.json()["error"].is_string() || path == "/embed",
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn a_model_of_vectors_judges_nothing() {
    let replica = Replica::shared().await;
    for (path, body) in [
        ("/predict", json!({"inputs": "a"})),
        ("/rerank", json!({"query": "a", "texts": ["b"]})),
    ] {
        let answer = replica.post(path, &body).await;
        assert_eq!(answer.status, 404, "{answer:?}");
        assert!(answer.json()["error"].as_str().unwrap().contains("embed"));
    }
}
