//! What clients and operators see of a gateway.

use std::time::{Duration, Instant};

use http::{Method, Version};
use preheat_api::grpc::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use preheat_api::grpc::inference::{ModelInferRequest, ModelMetadataRequest, ServerLiveRequest};
use rustix::process::Signal;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::Code;
use tonic::transport::Endpoint;

use super::{PATIENCE, SIM, processes, service, serving, start, until};
use crate::cli::Shell;
use crate::client::{self, Connection, read_until};
use crate::edges::{goes_on_behind_a_refusal, is_cut_in_time};
use crate::replica::{Replica, Start, signal};

#[tokio::test]
async fn answers_are_the_replicas_own_in_every_protocol() {
    let gateway = start("max = 1").ready().await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let mut connection = Connection::open(gateway.http, version).await.unwrap();
        for _ in 0..3 {
            let mut request = client::request(Method::POST, "/embed", json!(["x"]).to_string());
            let id = "a-name-of-mine".parse().unwrap();
            request.headers_mut().insert("x-request-id", id);
            let answer = connection.send(request).await.unwrap();
            assert_eq!(answer.status, 200, "{version:?}: {answer:?}");
            assert_eq!(answer.header("x-request-id"), "a-name-of-mine");
            assert_eq!(answer.json()["embeddings"][0].as_array().unwrap().len(), 8);
        }
    }
    let unknown = json!({"model": "other", "input": "x"});
    let unknown = gateway.post("/v1/embeddings", &unknown).await;
    assert_eq!(unknown.status, 404, "{unknown:?}");
    assert_eq!(unknown.json()["error"]["code"], "model_not_found");
    let models = gateway.get("/v1/models").await;
    assert_eq!(models.json()["data"][0]["id"], "embedder");

    let endpoint = Endpoint::new(format!("http://{}", gateway.grpc)).unwrap();
    let mut grpc = GrpcInferenceServiceClient::new(endpoint.connect().await.unwrap());
    let live = grpc.server_live(ServerLiveRequest {}).await.unwrap();
    assert!(live.into_inner().live);
    let request = ModelInferRequest {
        model_name: "other".into(),
        ..ModelInferRequest::default()
    };
    // A status in trailers, passed through.
    let refused = grpc.model_infer(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound, "{refused:?}");
}

/// As to all processes of a unit: the gateway says what becomes of its replicas.
#[tokio::test]
async fn a_hangup_ends_no_replica_of_a_gateway() {
    let gateway = start("max = 1").ready().await;
    let before = processes(&service(&gateway).await);
    for &process in &before {
        signal(process, Signal::HUP);
    }
    let until = Instant::now() + Duration::from_secs(1);
    while Instant::now() < until {
        let now = service(&gateway).await;
        assert_eq!(processes(&now), before, "{now:#}");
        assert_eq!(serving(&now), 1, "{now:#}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// At either door.
#[tokio::test]
async fn a_refusal_before_the_body_does_not_end_the_connection() {
    let gateway = start("max = 1").ready().await;
    for door in [gateway.http, gateway.admin] {
        goes_on_behind_a_refusal(door).await;
    }
}

#[tokio::test]
async fn an_order_that_does_not_come_is_a_time_out() {
    let config = format!("[server]\nbody_timeout = \"300ms\"\n{SIM}");
    let gateway = Start::with(&config).gateway().ready().await;
    is_cut_in_time(gateway.admin, "/v1/services/embedder:scale").await;
}

#[tokio::test]
async fn what_it_refuses_itself_is_in_the_style_of_the_route() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    std::fs::write(&keys, "right\n").unwrap();
    let config = format!("[auth]\napi_keys_file = '{}'\n{SIM}", keys.display());
    let gateway = Start::with(&config).gateway().ready().await;
    let refused = gateway.post("/v1/embeddings", &json!({"input": "x"})).await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.json()["error"]["type"], "authentication_error");
    assert_eq!(refused.header("www-authenticate"), "Bearer");
    let mut right = client::request(Method::POST, "/embed", json!(["x"]).to_string());
    right
        .headers_mut()
        .insert("x-api-key", "right".parse().unwrap());
    assert_eq!(client::send(gateway.http, right).await.unwrap().status, 200);

    let mut large = client::request(Method::POST, "/embed", vec![b' '; 2_000_001]);
    large
        .headers_mut()
        .insert("x-api-key", "right".parse().unwrap());
    let refused = client::send(gateway.http, large).await.unwrap();
    assert_eq!(refused.status, 413, "{refused:?}");
    assert_eq!(refused.json()["code"], "body_too_large");

    let endpoint = Endpoint::new(format!("http://{}", gateway.grpc)).unwrap();
    let mut grpc = GrpcInferenceServiceClient::new(endpoint.connect().await.unwrap());
    let refused = grpc.server_live(ServerLiveRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated, "{refused:?}");
}

/// Balancers are told to go elsewhere while everybody who comes is still served.
#[tokio::test]
async fn a_gateway_that_leaves_says_so_before_it_refuses() {
    let config = format!("[drain]\ndelay = \"5s\"\n{SIM}");
    let mut gateway = Start::with(&config).gateway().ready().await;
    assert_eq!(gateway.get("/ready").await.status, 200);
    gateway.terminate();
    gateway
        .wait_for("leaving", |ready| ready.status == 503)
        .await;
    let model = "/v2/models/embedder/ready";
    for path in ["/ready", "/readyz", "/ping", "/v2/health/ready", model] {
        let ready = gateway.get(path).await;
        assert_eq!(ready.status, 503, "{path}: {ready:?}");
        assert_eq!(ready.json()["phase"], "draining", "{path}");
    }
    let seen_by_operators = client::get(gateway.admin, "/ready").await.unwrap();
    assert_eq!(seen_by_operators.status, 503);
    assert_eq!(gateway.get("/livez").await.status, 200);
    assert_eq!(gateway.post("/embed", &json!(["x"])).await.status, 200);
    assert_eq!(gateway.exit().await.code(), Some(0), "{}", gateway.log());
}

/// Where a model comes from is a path of this machine, and nobody's business.
#[tokio::test]
async fn sources_are_for_those_who_show_a_key() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    std::fs::write(&keys, "right\n").unwrap();
    let config = format!("[auth]\napi_keys_file = '{}'\n{SIM}", keys.display());
    let sim = SIM.replace("run = \"20ms\"", "run = \"19ms\"");
    let source = |sim: &str| sim.replace("engine =", "source = \"./a-source\"\nengine =");
    let config = config.replace(SIM, &source(SIM));
    let gateway = Start::with(&config).gateway().ready().await;
    super::rollout::roll(&gateway, &source(&sim)).await;
    let asked = async |key: Option<&str>| {
        let mut request = client::request(Method::GET, "/ready", "");
        if let Some(key) = key {
            let key = key.parse().unwrap();
            request.headers_mut().insert("x-api-key", key);
        }
        client::send(gateway.http, request).await.unwrap().text()
    };
    let (stranger, known) = (asked(None).await, asked(Some("right")).await);
    assert!(known.contains("a-source"), "{known}");
    assert!(!stranger.contains("a-source"), "{stranger}");
    let operators = client::get(gateway.admin, "/ready").await.unwrap().text();
    assert!(!operators.contains("a-source"), "{operators}");
}

#[tokio::test]
async fn whoever_follows_is_told_what_changes_and_only_so_many_may() {
    let mut gateway = start("max = 3").ready().await;
    let mut stream = follow(&gateway).await;
    let text = read_until(&mut stream, "event: decisions").await;
    assert!(text.contains("text/event-stream"), "{text}");
    assert!(text.contains("event: service") && text.contains("\"name\":\"embedder\""));
    assert!(text.contains("\"action\":\"start\""), "{text}");
    let scaled = client::post(
        gateway.admin,
        "/v1/services/embedder:scale",
        &json!({ "min": 2 }),
    )
    .await
    .unwrap();
    assert_eq!(scaled.status, 200, "{scaled:?}");
    // Not what was told before, and the new replica's start with its reason.
    let text = read_until(&mut stream, "\"action\":\"start\"").await;
    assert!(text.contains("\"min\":2"), "{text}");

    let mut others = Vec::new();
    for _ in 1..16 {
        let mut other = follow(&gateway).await;
        read_until(&mut other, "200 OK").await;
        others.push(other);
    }
    read_until(&mut follow(&gateway).await, "429 Too Many Requests").await;
    drop(others);

    let drained = client::post(gateway.admin, "/v1/drain", &json!({})).await;
    assert_eq!(drained.unwrap().status, 202);
    let mut rest = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut rest))
        .await
        .expect("the stream ends")
        .unwrap();
    assert_eq!(gateway.exit().await.code(), Some(0));
}

async fn follow(gateway: &Replica) -> TcpStream {
    let mut stream = TcpStream::connect(gateway.admin).await.unwrap();
    let request = b"GET /v1/events HTTP/1.1\r\nhost: preheat.test\r\n\r\n";
    stream.write_all(request).await.unwrap();
    stream
}

#[tokio::test]
async fn operators_see_replicas_and_change_how_many_there_are() {
    let gateway = start("max = 3").ready().await;
    let (data, admin) = (gateway.http.to_string(), gateway.admin.to_string());
    let call = |args: &[&str]| {
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        tokio::task::spawn_blocking(move || Shell::new().call(args))
    };
    let status = call(&["status", &data]).await.unwrap();
    assert_eq!(status.code, 0, "{status:?}");
    assert!(
        status
            .stdout
            .contains("embedder: ready: 1 of 1 replicas serve"),
        "{status:?}"
    );
    assert!(
        status.stdout.contains("r1       active  ready  passed"),
        "{status:?}"
    );

    let scaled = call(&["scale", "--url", &admin, "--min", "2"])
        .await
        .unwrap();
    assert_eq!(scaled.code, 0, "{scaled:?}");
    until(&gateway, "two", |s| serving(s) == 2).await;
    let refused = call(&["scale", "--url", &admin, "--min", "4"])
        .await
        .unwrap();
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("min 4 and max 3"), "{refused:?}");

    let why = call(&["status", &admin, "--why"]).await.unwrap();
    assert!(why.stdout.contains("start"), "{why:?}");
    assert!(why.stdout.contains("asked for"), "{why:?}");
    let wait = call(&["wait", "--for", "ready", &data]).await.unwrap();
    assert_eq!(wait.code, 0, "{wait:?}");

    // A page of another site may reach this address; it gives no orders.
    for (name, value, status) in [
        ("sec-fetch-site", "cross-site", 403),
        ("content-type", "text/plain", 415),
    ] {
        let path = "/v1/services/embedder:scale";
        let mut order = client::request(Method::POST, path, r#"{"min":1}"#);
        order.headers_mut().insert(name, value.parse().unwrap());
        let answer = client::send(gateway.admin, order).await.unwrap();
        assert_eq!(answer.status, status, "{answer:?}");
    }
}

#[tokio::test]
async fn several_models_are_found_by_path_body_and_stream() {
    let second = SIM.replace("\"embedder\"", "\"other\"");
    let gateway = Start::with(&format!("{SIM}{second}"))
        .gateway()
        .ready()
        .await;
    let replica = |model: &'static str| json!({"model": model, "input": "x"});
    for model in ["embedder", "other"] {
        let answer = gateway.post("/v1/embeddings", &replica(model)).await;
        assert_eq!(answer.json()["model"], model, "{answer:?}");
        let answer = gateway.get(&format!("/v2/models/{model}")).await;
        assert_eq!(answer.json()["name"], model, "{answer:?}");
        let endpoint = Endpoint::new(format!("http://{}", gateway.grpc)).unwrap();
        let mut grpc = GrpcInferenceServiceClient::new(endpoint.connect().await.unwrap());
        let request = ModelMetadataRequest {
            name: model.into(),
            ..ModelMetadataRequest::default()
        };
        let answer = grpc.model_metadata(request).await.unwrap();
        assert_eq!(answer.into_inner().name, model);
    }
    assert_eq!(gateway.post("/embed", &json!(["x"])).await.status, 200);
    let unknown = gateway.post("/v1/embeddings", &replica("third")).await;
    assert_eq!(unknown.status, 404, "{unknown:?}");
    assert_eq!(unknown.json()["error"]["code"], "model_not_found");
    let models = gateway.get("/v1/models").await.json();
    assert_eq!(models["data"].as_array().unwrap().len(), 2);
    for own in models["data"].as_array().unwrap() {
        let name = own["id"].as_str().unwrap();
        let one = gateway.get(&format!("/v1/models/{name}")).await;
        assert_eq!(one.json(), *own);
    }
    let third = gateway.get("/v1/models/third").await;
    assert_eq!(third.status, 404, "{third:?}");
    assert_eq!(third.json()["error"]["code"], "model_not_found");
}

/// A route stands before what a request says of models, and a model's own limits before the general
/// ones.
#[tokio::test]
async fn a_model_has_a_route_and_limits_of_its_own() {
    let second = SIM.replace("\"embedder\"", "\"other\"");
    let own = "route = { hosts = [\"other.example\"], prefix = \"/second\" }\n\
               limits = { rate = 0.02 }\nfleet = { max = 1 }\n";
    let second = second.replacen("[[model]]\n", &format!("[[model]]\n{own}"), 1);
    let gateway = Start::with(&format!("{SIM}{second}"))
        .gateway()
        .ready()
        .await;
    let ask = async |host: &str, path: &str| {
        let body = json!({"model": "embedder", "input": "x"}).to_string();
        let mut request = client::request(Method::POST, path, body);
        let host = host.parse().unwrap();
        request.headers_mut().insert("host", host);
        client::send(gateway.http, request).await.unwrap()
    };
    let plain = ask("other.example", "/v1/embeddings").await;
    assert_eq!(plain.json()["model"], "embedder", "{plain:?}");
    let elsewhere = ask("localhost", "/second/v1/embeddings").await;
    assert_eq!(elsewhere.status, 404, "{elsewhere:?}");
    // Its replicas alone are asked, and they have no model of that name.
    let routed = ask("other.example:80", "/second/v1/embeddings").await;
    assert_eq!(
        routed.json()["error"]["code"],
        "model_not_found",
        "{routed:?}"
    );
    assert_eq!(routed.json()["error"]["type"], "invalid_request_error");
    let spent = ask("other.example", "/second/embed").await;
    assert_eq!(spent.status, 429, "{spent:?}");
    assert_eq!(spent.json()["code"], "rate_limited");
    assert_eq!(ask("localhost", "/v1/embeddings").await.status, 200);
    let services = client::get(gateway.admin, "/v1/services")
        .await
        .unwrap()
        .json();
    let most = |at: usize| services[at]["max"].as_u64();
    assert_eq!((most(0), most(1)), (Some(6), Some(1)), "{services}");
}
