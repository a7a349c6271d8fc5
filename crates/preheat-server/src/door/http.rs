//! The HTTP front door, called over HTTP/1.1.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use preheat_api::classify::Score;
use preheat_api::embed::EmbedAnswer;
use preheat_api::headers;
use preheat_api::oip::{Data, InferAnswer};
use preheat_api::openai::{EmbeddingsAnswer, Vector};
use preheat_api::tei::Prediction;
use preheat_engine::Tensor;
use serde_json::{Value, json};

use super::{DoorError, Doors, Vectors, dial, size, vectors};
use crate::exchange::Outgoing;
use crate::oip as tensors_oip;
use crate::sample::Sample;

/// Longest answer of somebody else's server that is read.
const LONGEST: usize = 64 << 20;

pub struct HttpConnection {
    sender: SendRequest<Full<Bytes>>,
    secret: String,
    model: String,
}

pub(super) async fn connect(doors: &Doors) -> Result<HttpConnection, DoorError> {
    let socket = dial(&doors.http, doors.tls.as_ref(), b"http/1.1").await?;
    let (sender, connection) = handshake(TokioIo::new(socket)).await.map_err(broken)?;
    doors.tasks.spawn("front door", async move {
        // How it ends is seen by whoever waits for an answer.
        let _ = connection.await;
    });
    Ok(HttpConnection {
        sender,
        secret: doors.secret.clone(),
        model: doors.model.clone(),
    })
}

impl HttpConnection {
    /// A connection to a server of any kind.
    ///
    /// # Errors
    /// When the door does not open.
    pub async fn open(doors: &Doors) -> Result<Self, DoorError> {
        connect(doors).await
    }

    /// Whether one more request may be sent; false once either side has closed.
    pub async fn is_open(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    /// One request of a plan: the status and the whole body of its answer.
    ///
    /// # Errors
    /// When the connection breaks, or the answer has no end.
    pub async fn exchange(&mut self, out: &Outgoing) -> Result<(u16, Bytes), DoorError> {
        self.sender.ready().await.map_err(broken)?;
        let mut request = Request::builder()
            .method(out.method.clone())
            .uri(&out.path)
            .header(HOST, "127.0.0.1");
        if !out.body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        // Worth something only at our own door.
        if !self.secret.is_empty() {
            request = request.header(headers::SYNTHETIC, &self.secret);
        }
        let body = Full::new(Bytes::from(out.body.clone()));
        let request = request.body(body).map_err(unreadable)?;
        let response = self.sender.send_request(request).await.map_err(broken)?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), LONGEST).collect().await;
        let body = body.map_err(|error| match error.downcast::<hyper::Error>() {
            Ok(error) => broken(*error),
            Err(error) => unreadable(error),
        })?;
        Ok((status, body.to_bytes()))
    }

    pub(super) async fn ask(&mut self, sample: &Sample) -> Result<Vectors, DoorError> {
        match sample {
            Sample::Texts(texts) => {
                let answer = self.post("/embed", &json!(texts)).await?;
                let answer: EmbedAnswer = serde_json::from_slice(&answer).map_err(unreadable)?;
                Ok(answer.embeddings)
            }
            Sample::Classified { texts, labels } => self.classify(texts, labels).await,
            Sample::Tensors { tensors, batched } => {
                Ok(vectors(self.tensors(tensors).await?, *batched))
            }
            Sample::Image { encoded, .. } => {
                let answer = self
                    .send("/classify/image", "image/*", None, encoded.clone())
                    .await?;
                let mut scores: Vec<Score> =
                    serde_json::from_slice(&answer.1).map_err(unreadable)?;
                scores.sort_by_key(|score| score.index);
                Ok(vec![scores.into_iter().map(|score| score.score).collect()])
            }
        }
    }

    /// The model's own numbers, brought back into the order of its labels.
    async fn classify(
        &mut self,
        texts: &[String],
        labels: &[String],
    ) -> Result<Vectors, DoorError> {
        let inputs: Vec<[&String; 1]> = texts.iter().map(|text| [text]).collect();
        let body = json!({ "inputs": inputs, "raw_scores": true });
        let answer = self.post("/predict", &body).await?;
        let rows: Vec<Vec<Prediction>> = serde_json::from_slice(&answer).map_err(unreadable)?;
        let ordered = |row: Vec<Prediction>| {
            let score = |label: &String| {
                let own = row.iter().find(|prediction| prediction.label == *label);
                own.map(|prediction| prediction.score)
            };
            labels.iter().map(score).collect::<Option<Vec<f32>>>()
        };
        let rows = rows.into_iter().map(ordered).collect::<Option<_>>();
        rows.ok_or_else(|| unreadable("a label is missing"))
    }

    /// With the binary extension, both ways.
    async fn tensors(&mut self, tensors: &[Tensor]) -> Result<Vec<Tensor>, DoorError> {
        let inputs = tensors.iter().map(|tensor| {
            let shape: Vec<i64> = tensor.shape().iter().copied().map(size).collect();
            json!({
                "name": tensor.name(),
                "datatype": tensors_oip::datatype(tensor.element()),
                "shape": shape,
                "parameters": { "binary_data_size": tensor.data().len() },
            })
        });
        let head = json!({
            "inputs": inputs.collect::<Vec<_>>(),
            "parameters": { "binary_data_output": true },
        });
        let mut body = serde_json::to_vec(&head).map_err(unreadable)?;
        let length = body.len();
        tensors
            .iter()
            .for_each(|tensor| body.extend_from_slice(tensor.data()));
        let path = self.inference();
        let octets = "application/octet-stream";
        let (split, answer) = self.send(&path, octets, Some(length), body.into()).await?;
        let split = split.filter(|&at| at <= answer.len());
        let mut head = answer;
        let mut raw = head.split_off(split.ok_or_else(|| unreadable("no length of its head"))?);
        let read: InferAnswer = serde_json::from_slice(&head).map_err(unreadable)?;
        let own = |output: preheat_api::oip::OutputTensor| {
            let size = output
                .parameters
                .get("binary_data_size")
                .and_then(Value::as_u64);
            let size = size
                .and_then(|size| usize::try_from(size).ok())
                .unwrap_or(0);
            if size > raw.len() {
                return Err(unreadable("a tensor ends in the middle"));
            }
            let data = raw.split_to(size);
            tensors_oip::tensor(&output.name, &output.datatype, &output.shape, data)
                .map_err(unreadable)
        };
        read.outputs.into_iter().map(own).collect()
    }

    /// Texts through the Open Inference Protocol.
    async fn oip(&mut self, texts: &[String]) -> Result<Vectors, DoorError> {
        let tensor = json!({
            "name": preheat_api::oip::TEXT_INPUT, "shape": [texts.len()], "datatype": "BYTES", "data": texts,
        });
        let path = self.inference();
        let body = json!({ "inputs": [tensor] });
        oip(&self.post(&path, &body).await?)
    }

    /// A name may hold what a path may not.
    fn inference(&self) -> String {
        let model = utf8_percent_encode(&self.model, NON_ALPHANUMERIC);
        format!("/v2/models/{model}/infer")
    }

    async fn post(&mut self, path: &str, body: &Value) -> Result<Bytes, DoorError> {
        let body = serde_json::to_vec(body).map_err(unreadable)?;
        Ok(self
            .send(path, "application/json", None, body.into())
            .await?
            .1)
    }

    /// The answer's body, and where in it a head of JSON ends.
    async fn send(
        &mut self,
        path: &str,
        media: &str,
        head: Option<usize>,
        body: Bytes,
    ) -> Result<(Option<usize>, Bytes), DoorError> {
        self.sender.ready().await.map_err(broken)?;
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(HOST, "front-door")
            .header(CONTENT_TYPE, media)
            .header(headers::SYNTHETIC, &self.secret);
        if let Some(length) = head {
            request = request.header(headers::INFER_JSON_LENGTH, length);
        }
        let request = request.body(Full::new(body)).map_err(unreadable)?;
        let response = self.sender.send_request(request).await.map_err(broken)?;
        let status = response.status();
        let split = response.headers().get(headers::INFER_JSON_LENGTH);
        let split = split.and_then(|length| length.to_str().ok()?.parse().ok());
        let body = response
            .into_body()
            .collect()
            .await
            .map_err(broken)?
            .to_bytes();
        if status.is_success() {
            return Ok((split, body));
        }
        let body = String::from_utf8_lossy(&body[..body.len().min(500)]).into_owned();
        Err(DoorError::Refused {
            status: status.to_string(),
            body,
            busy: matches!(status.as_u16(), 429 | 503 | 504),
        })
    }
}

pub(super) async fn object_form(doors: &Doors, texts: &[String]) -> Result<Vectors, DoorError> {
    let body = json!({ "inputs": texts });
    let answer = connect(doors).await?.post("/embed", &body).await?;
    serde_json::from_slice(&answer).map_err(unreadable)
}

pub(super) async fn embeddings(
    doors: &Doors,
    texts: &[String],
    format: &str,
) -> Result<Vectors, DoorError> {
    let body = json!({ "model": doors.model, "input": texts, "encoding_format": format });
    openai(&connect(doors).await?.post("/v1/embeddings", &body).await?)
}

pub(super) async fn inference(doors: &Doors, texts: &[String]) -> Result<Vectors, DoorError> {
    connect(doors).await?.oip(texts).await
}

fn openai(body: &[u8]) -> Result<Vectors, DoorError> {
    let answer: EmbeddingsAnswer = serde_json::from_slice(body).map_err(unreadable)?;
    answer
        .data
        .into_iter()
        .map(|item| match item.embedding {
            Vector::Float(numbers) => Ok(numbers),
            Vector::Base64(text) => {
                let bytes = BASE64_STANDARD.decode(text).map_err(unreadable)?;
                Ok(bytes
                    .chunks_exact(4)
                    .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                    .collect())
            }
        })
        .collect()
}

fn oip(body: &[u8]) -> Result<Vectors, DoorError> {
    let answer: preheat_api::oip::InferAnswer = serde_json::from_slice(body).map_err(unreadable)?;
    let output = answer.outputs.into_iter().next();
    let output = output.ok_or_else(|| DoorError::Answer("no output tensor".into()))?;
    let dim = output
        .shape
        .last()
        .and_then(|&d| usize::try_from(d).ok())
        .unwrap_or(1);
    let numbers = output.data.map(Data::into_f32).unwrap_or_default();
    Ok(numbers.chunks(dim.max(1)).map(<[f32]>::to_vec).collect())
}

fn broken(error: hyper::Error) -> DoorError {
    DoorError::Broken(error.to_string())
}

fn unreadable(error: impl std::fmt::Display) -> DoorError {
    DoorError::Answer(error.to_string())
}
