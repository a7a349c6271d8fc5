//! The gRPC front door: its refusals in gRPC's own codes, and its part in a drain.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use preheat_api::grpc::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use preheat_api::grpc::inference::infer_parameter::ParameterChoice;
use preheat_api::grpc::inference::model_infer_request::InferInputTensor;
use preheat_api::grpc::inference::{InferTensorContents, ModelInferRequest, ServerReadyRequest};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tonic::codec::CompressionEncoding;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tower::service_fn;

use crate::client;
use crate::replica::{Replica, SIM, Start};

type Client = GrpcInferenceServiceClient<Channel>;

async fn client(replica: &Replica) -> Client {
    let endpoint = Endpoint::new(format!("http://{}", replica.grpc)).unwrap();
    let endpoint = endpoint.timeout(Duration::from_secs(60));
    GrpcInferenceServiceClient::new(endpoint.connect().await.unwrap())
}

fn infer(text: &str) -> ModelInferRequest {
    ModelInferRequest {
        model_name: "embedder".into(),
        inputs: vec![InferInputTensor {
            name: "text".into(),
            datatype: "BYTES".into(),
            shape: vec![1],
            contents: Some(InferTensorContents {
                bytes_contents: vec![text.as_bytes().to_vec().into()],
                ..InferTensorContents::default()
            }),
            ..InferInputTensor::default()
        }],
        ..ModelInferRequest::default()
    }
}

/// One connection that opens no other by itself, as a channel would: when it ends, that is seen.
pub struct Connection {
    sender: http2::SendRequest<tonic::body::Body>,
    origin: Uri,
    /// Drives the connection; ends with it.
    _driver: JoinSet<()>,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Result<Self, client::Error> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (sender, connection) = handshake.await?;
        let mut driver = JoinSet::new();
        // How the connection ends shows in the answers, or in their absence.
        driver.spawn(async { drop(connection.await) });
        Ok(Connection {
            sender,
            origin: format!("http://{address}").parse()?,
            _driver: driver,
        })
    }

    /// Whether one more call may be made; false once either side has closed.
    pub async fn is_usable(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    /// The head of what `Watch` of `grpc.health.v1.Health` says, for as long as it is kept.
    async fn watch(&mut self) -> Response<Incoming> {
        let request = http::Request::post(format!("{}grpc.health.v1.Health/Watch", self.origin))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        // A message without a name.
        let message = Full::new(Bytes::from_static(&[0; 5]));
        let request = request.body(tonic::body::Body::new(message)).unwrap();
        self.sender.send_request(request).await.unwrap()
    }

    pub async fn infer(&self, text: &str) -> Result<(), Status> {
        let sender = self.sender.clone();
        let service = service_fn(move |request| sender.clone().send_request(request));
        let mut client = GrpcInferenceServiceClient::with_origin(service, self.origin.clone());
        client.model_infer(infer(text)).await.map(drop)
    }
}

/// Each keeps a stream open for as long as it likes.
#[tokio::test]
async fn not_too_many_watch_its_health() {
    let replica = Start::with(SIM).ready().await;
    let is_refused = |answer: &Response<Incoming>| {
        let status = answer.headers().get("grpc-status");
        status.inspect(|status| assert_eq!(*status, "8")).is_some()
    };
    let (mut lines, mut watching) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        let mut line = Connection::open(replica.grpc).await.unwrap();
        for _ in 0..256 {
            let answer = line.watch().await;
            assert!(!is_refused(&answer), "{answer:?}");
            watching.push(answer);
        }
        lines.push(line);
    }
    let mut line = Connection::open(replica.grpc).await.unwrap();
    assert!(is_refused(&line.watch().await));
    drop(watching);
    let freed = async {
        while is_refused(&line.watch().await) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let freed = tokio::time::timeout(Duration::from_secs(60), freed).await;
    freed.expect("places are free again");
}

#[tokio::test]
async fn typed_contents_are_taken_and_the_id_comes_back() {
    let replica = Start::with(SIM).ready().await;
    let request = ModelInferRequest {
        id: "seven".into(),
        ..infer("x")
    };
    let answer = client(&replica)
        .await
        .model_infer(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (answer.id.as_str(), answer.model_name.as_str()),
        ("seven", "embedder")
    );
    assert_eq!(answer.outputs[0].shape, [1, 8]);
}

/// What is wrong with a request that is fine otherwise.
type Change = fn(&mut ModelInferRequest);

#[tokio::test]
async fn bad_requests() {
    let replica = Start::with(SIM).ready().await;
    let mut client = client(&replica).await;
    let cases: [(&str, Change, Code); 8] = [
        (
            "another model",
            |r| r.model_name = "other".into(),
            Code::NotFound,
        ),
        (
            "another version",
            |r| r.model_version = "9".into(),
            Code::NotFound,
        ),
        ("no input", |r| r.inputs.clear(), Code::InvalidArgument),
        (
            "another input",
            |r| r.inputs[0].name = "other".into(),
            Code::InvalidArgument,
        ),
        (
            "another type",
            |r| r.inputs[0].datatype = "FP32".into(),
            Code::InvalidArgument,
        ),
        (
            "another shape",
            |r| r.inputs[0].shape = vec![2],
            Code::InvalidArgument,
        ),
        (
            "a negative shape",
            |r| r.inputs[0].shape = vec![-1],
            Code::InvalidArgument,
        ),
        (
            "raw contents that end too early",
            |r| {
                r.inputs[0].contents = None;
                r.raw_input_contents = vec![vec![9, 0, 0, 0, b'x'].into()];
            },
            Code::InvalidArgument,
        ),
    ];
    for (name, change, code) in cases {
        let mut request = infer("x");
        change(&mut request);
        let status = client.model_infer(request).await.expect_err(name);
        assert_eq!(status.code(), code, "{name}: {status:?}");
        assert!(status.message().len() > 8, "{name}: {status:?}");
    }
    client.model_infer(infer("x")).await.unwrap();
}

#[tokio::test]
async fn not_ready_is_unavailable() {
    let slow = SIM.replace("weights = \"20ms\"", "weights = \"10m\"");
    let mut replica = Start::with(&slow).spawn();
    replica.wait_for("an answer", |_| true).await;
    let mut client = client(&replica).await;
    let status = client.model_infer(infer("x")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    let ready = client
        .server_ready(ServerReadyRequest {})
        .await
        .unwrap()
        .into_inner()
        .ready;
    assert!(!ready);
}

/// A deadline of the client's is the server's too, whatever its own limit.
#[tokio::test]
async fn a_deadline_is_kept() {
    let config = format!(
        "[limits]\nrequest_timeout = \"100ms\"\n{}",
        SIM.replace("run = \"1ms\"", "run = \"2s\"")
    );
    let replica = Start::with(&config)
        .env("SKIP_WARMUP", "true")
        .ready()
        .await;
    let status = client(&replica)
        .await
        .model_infer(infer("x"))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
}

#[tokio::test]
async fn full_is_resource_exhausted() {
    let config = format!(
        "[limits]\nconcurrency = 1\nqueue = 1\n{}",
        SIM.replace("run = \"1ms\"", "run = \"50ms\"")
    );
    let replica = Start::with(&config)
        .env("SKIP_WARMUP", "true")
        .ready()
        .await;
    let client = client(&replica).await;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let mut client = client.clone();
        calls.spawn(async move { client.model_infer(infer("x")).await });
    }
    let refused: Vec<_> = calls
        .join_all()
        .await
        .into_iter()
        .filter_map(Result::err)
        .collect();
    assert!(
        !refused.is_empty() && refused.len() < 20,
        "{} refused",
        refused.len()
    );
    for status in refused {
        assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    }
}

#[tokio::test]
async fn what_is_in_flight_is_finished() {
    let config = format!(
        "[drain]\ndelay = \"0s\"\n{}",
        SIM.replace("run = \"1ms\"", "run = \"400ms\"")
    );
    let mut replica = Start::with(&config)
        .env("SKIP_WARMUP", "true")
        .ready()
        .await;
    let mut caller = client(&replica).await;
    let mut calls = tokio::task::JoinSet::new();
    calls.spawn(async move { caller.model_infer(Request::new(infer("x"))).await });
    replica.wait_for_inflight(1).await;
    replica.terminate();
    calls.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(replica.exit().await.code(), Some(0));
}

/// As over HTTP: whoever is refused is counted, and finds the call again by its id.
#[tokio::test]
async fn refused_calls_have_an_id_and_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    std::fs::write(&keys, "right\n").unwrap();
    let config = format!("[auth]\napi_keys_file = '{}'\n{SIM}", keys.display());
    let replica = Start::with(&config).ready().await;
    let mut request = Request::new(infer("x"));
    let metadata = request.metadata_mut();
    metadata.insert("x-request-id", "seven".parse().unwrap());
    let status = client(&replica)
        .await
        .model_infer(request)
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated, "{status:?}");
    assert_eq!(status.metadata().get("x-request-id").unwrap(), "seven");
    let page = client::get(replica.admin, "/metrics").await.unwrap().text();
    let counted = "route=\"grpc ModelInfer\",code=\"Unauthenticated\"} 1";
    assert!(page.contains(counted), "{page}");
}

/// What is logged of a call names it and the caller's trace.
#[tokio::test]
async fn calls_are_part_of_their_callers_trace() {
    let config = format!("{SIM}fault = {{ kind = \"run\" }}\n");
    let replica = Start::with(&config)
        .env("SKIP_WARMUP", "true")
        .env("PREHEAT_LOG_FORMAT", "json")
        .ready()
        .await;
    let mut request = Request::new(infer("x"));
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let parent = format!("00-{trace}-b7ad6b7169203331-01");
    for (name, value) in [("x-request-id", "seven"), ("traceparent", &parent)] {
        let metadata = request.metadata_mut();
        metadata.insert(name, value.parse().unwrap());
    }
    let mut client = client(&replica).await;
    assert!(client.model_infer(request).await.is_err());
    let log = replica.log();
    let failed = log.lines().find(|line| line.contains("run_failed"));
    let failed: serde_json::Value = serde_json::from_str(failed.unwrap()).unwrap();
    assert_eq!(
        (&failed["request_id"], &failed["trace_id"]),
        (&"seven".into(), &trace.into()),
        "{failed}"
    );
}

/// Triton's clients say `binary_data_output`; others send parameters of any kind. None may hurt.
#[tokio::test]
async fn parameters_are_taken_or_passed_over() {
    let replica = Start::with(SIM).ready().await;
    let mut request = infer("x");
    let choices = [
        ParameterChoice::BoolParam(true),
        ParameterChoice::Int64Param(-1),
        ParameterChoice::StringParam(String::new()),
        ParameterChoice::DoubleParam(f64::NAN),
        ParameterChoice::Uint64Param(u64::MAX),
    ];
    for (number, choice) in choices.into_iter().enumerate() {
        let parameter = preheat_api::grpc::inference::InferParameter {
            parameter_choice: Some(choice),
        };
        request.parameters.insert(format!("p{number}"), parameter);
    }
    client(&replica).await.model_infer(request).await.unwrap();
}

/// As clients send what is worth it. A small message that unpacks to more than a body may hold is as
/// unwelcome as a large one.
#[tokio::test]
async fn gzip_is_taken_up_to_the_size_of_a_body() {
    let config = format!("[server]\nmax_body = \"64kB\"\n{SIM}");
    let replica = Start::with(&config).ready().await;
    let mut packed = client(&replica)
        .await
        .send_compressed(CompressionEncoding::Gzip);
    let fits = "word ".repeat(10_000);
    let answer = packed.model_infer(infer(&fits)).await.unwrap();
    assert_eq!(answer.into_inner().outputs[0].shape[0], 1);
    let bomb = packed.model_infer(infer(&"word ".repeat(2_000_000))).await;
    let refused = bomb.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    let answer = packed.model_infer(infer("word")).await;
    assert!(answer.is_ok(), "the next one is served: {answer:?}");
}
