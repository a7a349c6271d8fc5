//! Requests that cannot be answered: the status, and a body in the style of the route's family.

use http::Method;
use serde_json::{Value, json};

use crate::client::{self, Answer};
use crate::replica::{Replica, SIM, Start};

/// How a family of routes says no.
#[derive(Debug, Clone, Copy)]
enum Style {
    /// RFC 9457, with this code.
    Problem(&'static str),
    /// OpenAI's, with this code.
    OpenAi(&'static str),
    /// text-embeddings-inference's, with this type.
    Tei(&'static str),
    /// The Open Inference Protocol's.
    Oip,
}

#[track_caller]
fn check(answer: &Answer, status: u16, style: Style, case: &str) {
    assert_eq!(answer.status, status, "{case}: {answer:?}");
    let body = answer.json();
    let message = match style {
        Style::Problem(code) => {
            assert_eq!(
                answer.header("content-type"),
                "application/problem+json",
                "{case}"
            );
            assert_eq!(body["code"], code, "{case}: {body}");
            assert_eq!(body["status"], status, "{case}: {body}");
            assert_eq!(body["request_id"], answer.header("x-request-id"), "{case}");
            &body["detail"]
        }
        Style::OpenAi(code) => {
            assert_eq!(body["error"]["code"], code, "{case}: {body}");
            assert!(body["error"]["type"].is_string(), "{case}: {body}");
            &body["error"]["message"]
        }
        Style::Tei(kind) => {
            assert_eq!(body["error_type"], kind, "{case}: {body}");
            &body["error"]
        }
        Style::Oip => &body["error"],
    };
    assert!(
        message.as_str().is_some_and(|text| text.len() > 8),
        "{case}: {body}"
    );
}

const OIP: &str = "/v2/models/embedder/infer";

fn bytes_input(shape: &Value, data: &Value) -> String {
    json!({"inputs": [{"name": "text", "shape": shape, "datatype": "BYTES", "data": data}]})
        .to_string()
}

#[tokio::test]
async fn bad_bodies() {
    use Style::{Oip, OpenAi, Problem, Tei};
    let many = json!(vec!["x"; 33]);
    let long = "word ".repeat(300);
    let cases: Vec<(&str, String, u16, Style)> = vec![
        ("/embed", String::new(), 400, Problem("malformed")),
        ("/embed", "nonsense".into(), 400, Problem("malformed")),
        ("/embed", "[\"x\"".into(), 400, Problem("malformed")),
        ("/embed", "[1, 2]".into(), 400, Problem("malformed")),
        ("/embed", "\"x\"".into(), 400, Problem("malformed")),
        ("/embed", "null".into(), 400, Problem("malformed")),
        ("/embed", "[]".into(), 400, Problem("no_input")),
        ("/embed", many.to_string(), 400, Problem("too_many_inputs")),
        ("/embed", "{}".into(), 422, Tei("Validation")),
        (
            "/embed",
            json!({"inputs": 7}).to_string(),
            422,
            Tei("Validation"),
        ),
        (
            "/embed",
            json!({"inputs": []}).to_string(),
            422,
            Tei("Validation"),
        ),
        (
            "/embed",
            json!({"inputs": many}).to_string(),
            422,
            Tei("Validation"),
        ),
        (
            "/embed",
            json!({"inputs": "x", "dimensions": 0}).to_string(),
            422,
            Tei("Validation"),
        ),
        (
            "/embed",
            json!({"inputs": "x", "dimensions": 9}).to_string(),
            422,
            Tei("Validation"),
        ),
        (
            "/embed",
            json!({"inputs": long, "truncate": false}).to_string(),
            422,
            Tei("Tokenizer"),
        ),
        // Another answer than the one asked for would look like it.
        (
            "/embed",
            json!({"inputs": "x", "prompt_name": "query"}).to_string(),
            422,
            Tei("Validation"),
        ),
        (
            "/embed",
            json!({"inputs": "x", "truncation_direction": "left"}).to_string(),
            422,
            Tei("Validation"),
        ),
        (
            "/embed",
            json!({"inputs": "x", "truncation_direction": "up"}).to_string(),
            422,
            Tei("Validation"),
        ),
        (
            "/embed",
            json!({"inputs": ["x", 7]}).to_string(),
            422,
            Tei("Validation"),
        ),
        (
            "/",
            json!({"inputs": [[]]}).to_string(),
            422,
            Tei("Validation"),
        ),
        (
            "/tokenize",
            json!({"inputs": "x", "prompt_name": "query"}).to_string(),
            422,
            Tei("Validation"),
        ),
        ("/tokenize", "{}".into(), 422, Tei("Validation")),
        // Told token by token, two megabytes take a gigabyte.
        (
            "/tokenize",
            json!({"inputs": ["! ".repeat(50_000), "! ".repeat(50_000)]}).to_string(),
            413,
            Tei("Validation"),
        ),
        (
            "/v1/embeddings",
            "nonsense".into(),
            400,
            OpenAi("malformed"),
        ),
        (
            "/v1/embeddings",
            json!({"model": "embedder"}).to_string(),
            400,
            OpenAi("malformed"),
        ),
        (
            "/v1/embeddings",
            openai(&json!([])),
            400,
            OpenAi("no_input"),
        ),
        (
            "/v1/embeddings",
            openai(&json!([[]])),
            400,
            OpenAi("no_input"),
        ),
        (
            "/v1/embeddings",
            openai(&json!([-1])),
            400,
            OpenAi("malformed"),
        ),
        (
            "/v1/embeddings",
            openai(&many),
            400,
            OpenAi("too_many_inputs"),
        ),
        (
            "/v1/embeddings",
            json!({"model": "other", "input": "x"}).to_string(),
            404,
            OpenAi("model_not_found"),
        ),
        (OIP, "nonsense".into(), 400, Oip),
        (OIP, json!({"inputs": []}).to_string(), 400, Oip),
        (OIP, bytes_input(&json!([2]), &json!(["x"])), 400, Oip),
        (OIP, bytes_input(&json!([-1]), &json!(["x"])), 400, Oip),
        (
            OIP,
            bytes_input(&json!([i64::MAX, i64::MAX]), &json!(["x"])),
            400,
            Oip,
        ),
        (OIP, bytes_input(&json!([1]), &json!([7])), 400, Oip),
        (
            OIP,
            bytes_input(&json!([1]), &json!(["x"])).replace("text", "other"),
            400,
            Oip,
        ),
        (
            OIP,
            bytes_input(&json!([1]), &json!(["x"])).replace("BYTES", "FP32"),
            400,
            Oip,
        ),
        (
            OIP,
            bytes_input(&json!([1]), &json!(["x"])).replace(
                "\"inputs\"",
                "\"outputs\": [{\"name\": \"embedding\", \"parameters\": {\"classification\": 2}}], \"inputs\"",
            ),
            400,
            Oip,
        ),
        (
            "/v2/models/other/infer",
            bytes_input(&json!([1]), &json!(["x"])),
            404,
            Oip,
        ),
        (
            "/v2/models/embedder/versions/9/infer",
            bytes_input(&json!([1]), &json!(["x"])),
            404,
            Oip,
        ),
        ("/no/such/route", "{}".into(), 404, Problem("no_route")),
        ("/health", "{}".into(), 405, Problem("method")),
    ];
    let replica = Start::with(SIM).ready().await;
    for (path, body, status, style) in cases {
        let shown: String = body.chars().take(80).collect();
        let request = client::request(Method::POST, path, body);
        let answer = client::send(replica.http, request).await.unwrap();
        check(&answer, status, style, &format!("{path} {shown}"));
    }
    still_serves(&replica).await;
}

/// What was wrong is said in words of the protocol, not of the program.
#[tokio::test]
async fn reasons_can_be_understood() {
    let replica = Start::with(SIM).ready().await;
    let shape = bytes_input(&json!([-1]), &json!(["x"]));
    for (path, body, words) in [
        (OIP, shape, "has shape [-1], expected [n] or [n, 1]"),
        (
            "/v1/embeddings",
            openai(&json!([-1])),
            "a list of token ids",
        ),
        (
            "/embed",
            json!({"inputs": 7}).to_string(),
            "a list of texts",
        ),
    ] {
        let request = client::request(Method::POST, path, body);
        let said = client::send(replica.http, request).await.unwrap().text();
        assert!(said.contains(words), "{said}");
        assert!(!said.contains("enum"), "{said}");
    }
}

/// Raw tensors stand behind the JSON one after the other: what is left over belongs to none.
#[tokio::test]
async fn bytes_behind_the_last_tensor() {
    let replica = Start::with(SIM).ready().await;
    let head = json!({"inputs": [{
        "name": "text", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 5},
    }]})
    .to_string();
    for (rest, status) in [("", 200), ("more", 400)] {
        let body = format!("{head}\u{1}\0\0\0x{rest}");
        let mut request = client::request(Method::POST, OIP, body);
        let length = head.len().into();
        let headers = request.headers_mut();
        headers.insert("inference-header-content-length", length);
        let answer = client::send(replica.http, request).await.unwrap();
        assert_eq!(answer.status, status, "{answer:?}");
    }
}

#[tokio::test]
async fn compressed_bodies_are_refused_as_such() {
    let replica = Start::with(SIM).ready().await;
    for (coding, status) in [("gzip", 415), ("deflate", 415), ("identity", 200)] {
        let mut request = client::request(Method::POST, "/embed", "[\"x\"]");
        request
            .headers_mut()
            .insert("content-encoding", coding.parse().unwrap());
        let answer = client::send(replica.http, request).await.unwrap();
        assert_eq!(answer.status, status, "{coding}: {answer:?}");
        if status == 415 {
            check(&answer, 415, Style::Problem("media_type"), coding);
        }
    }
}

/// What a model takes is not known before it is loaded, and nothing is made up.
#[tokio::test]
async fn metadata_of_a_model_that_did_not_load() {
    let failed = format!("{SIM}fault = {{ kind = \"load\" }}\n");
    let mut replica = Start::with(&failed).spawn();
    let ready = |answer: &Answer| answer.json()["phase"] == "failed";
    replica.wait_for("a failure", ready).await;
    for path in ["/v2/models/embedder", "/v2/models/embedder/config"] {
        check(&replica.get(path).await, 503, Style::Oip, path);
    }
}

fn openai(input: &Value) -> String {
    json!({"model": "embedder", "input": input}).to_string()
}

/// The simulated engine takes any id; a real vocabulary ends.
#[tokio::test]
async fn token_ids_outside_the_vocabulary() {
    let replica = Replica::shared().await;
    let body = json!({"model": "embedder", "input": [[101, 4_000_000_000_u32]]});
    let answer = replica.post("/v1/embeddings", &body).await;
    check(&answer, 400, Style::OpenAi("malformed"), "unknown id");
}

#[tokio::test]
async fn unknown_models_are_named_the_way_triton_clients_expect() {
    let replica = Start::with(SIM).ready().await;
    for path in [
        "/v2/models/other",
        "/v2/models/other/config",
        "/v2/models/other/stats",
    ] {
        let answer = replica.get(path).await;
        check(&answer, 404, Style::Oip, path);
        let message = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(
            message.starts_with("Request for unknown model"),
            "{path}: {message}"
        );
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_with_or_without_a_length() {
    let replica = Start::with(&format!("[server]\nmax_body = \"10kB\"\n{SIM}"))
        .ready()
        .await;
    let fits = json!(["x".repeat(9_000)]);
    assert_eq!(replica.post("/embed", &fits).await.status, 200);
    let large = json!(["x".repeat(20_000)]);
    let answer = replica.post("/embed", &large).await;
    check(
        &answer,
        413,
        Style::Problem("body_too_large"),
        "content-length",
    );
    still_serves(&replica).await;
}

#[tokio::test]
async fn other_media_types_are_refused() {
    let replica = Start::with(SIM).ready().await;
    for kind in ["text/xml", "multipart/form-data; boundary=x", "image/png"] {
        let mut request = client::request(Method::POST, "/embed", "[\"x\"]");
        request
            .headers_mut()
            .insert("content-type", kind.parse().unwrap());
        let answer = client::send(replica.http, request).await.unwrap();
        check(&answer, 415, Style::Problem("media_type"), kind);
    }
}

#[tokio::test]
async fn keys_are_asked_for_where_they_are_required_but_never_of_probes() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    std::fs::write(&keys, "right\n").unwrap();
    let config = format!("[auth]\napi_keys_file = '{}'\n{SIM}", keys.display());
    let replica = Start::with(&config).ready().await;
    assert_eq!(replica.get("/health").await.status, 200);
    let with_key = async |key: Option<&str>| {
        let mut request = client::request(Method::POST, "/embed", "[\"x\"]");
        if let Some(key) = key {
            let bearer = format!("Bearer {key}").parse().unwrap();
            request.headers_mut().insert("authorization", bearer);
        }
        client::send(replica.http, request).await.unwrap()
    };
    check(
        &with_key(None).await,
        401,
        Style::Problem("no_key"),
        "without a key",
    );
    check(
        &with_key(Some("wrong")).await,
        403,
        Style::Problem("wrong_key"),
        "with a wrong one",
    );
    assert_eq!(with_key(Some("right")).await.status, 200);
}

/// More than can be worked on or wait is refused at once, and told when to come back.
#[tokio::test]
async fn a_full_replica_says_so() {
    let config = format!(
        "[limits]\nconcurrency = 1\nqueue = 1\n{}",
        SIM.replace("run = \"1ms\"", "run = \"50ms\"")
    );
    let replica = Start::with(&config)
        .env("SKIP_WARMUP", "true")
        .ready()
        .await;
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let address = replica.http;
        clients.spawn(async move {
            client::post(address, "/embed", &json!(["x"]))
                .await
                .unwrap()
        });
    }
    let answers = clients.join_all().await;
    let refused: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status != 200)
        .collect();
    assert!(
        !refused.is_empty() && refused.len() < answers.len(),
        "{} refused",
        refused.len()
    );
    for answer in refused {
        assert_eq!(answer.status, 429, "{answer:?}");
        assert!(
            answer
                .header("retry-after")
                .parse::<u64>()
                .is_ok_and(|seconds| seconds > 0)
        );
        assert!(answer.header("retry-after-ms").parse::<u64>().is_ok());
    }
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_given_up() {
    let config = format!(
        "[limits]\nrequest_timeout = \"100ms\"\n{}",
        SIM.replace("run = \"1ms\"", "run = \"2s\"")
    );
    let replica = Start::with(&config)
        .env("SKIP_WARMUP", "true")
        .ready()
        .await;
    let answer = replica.post("/embed", &json!(["x"])).await;
    check(&answer, 504, Style::Problem("deadline"), "deadline");
}

async fn still_serves(replica: &Replica) {
    assert_eq!(replica.post("/embed", &json!(["x"])).await.status, 200);
}
