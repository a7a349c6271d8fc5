//! The HTTP front door, called over HTTP/1.1.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use preheat_api::embed::EmbedAnswer;
use preheat_api::headers;
use preheat_api::openai::{EmbeddingsAnswer, Vector};
use serde_json::{Value, json};

use super::{DoorError, Doors, Vectors, dial};

pub struct HttpConnection {
    sender: SendRequest<Full<Bytes>>,
    secret: String,
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
    })
}

impl HttpConnection {
    pub(super) async fn embed(&mut self, texts: &[String]) -> Result<Vectors, DoorError> {
        let answer = self.post("/embed", &json!(texts)).await?;
        serde_json::from_slice::<EmbedAnswer>(&answer)
            .map(|a| a.embeddings)
            .map_err(unreadable)
    }

    async fn post(&mut self, path: &str, body: &Value) -> Result<Bytes, DoorError> {
        self.sender.ready().await.map_err(broken)?;
        let body = serde_json::to_vec(body).map_err(unreadable)?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(HOST, "front-door")
            .header(CONTENT_TYPE, "application/json")
            .header(headers::SYNTHETIC, &self.secret)
            .body(Full::new(body.into()))
            .map_err(unreadable)?;
        let response = self.sender.send_request(request).await.map_err(broken)?;
        let status = response.status();
        let body = response
            .into_body()
            .collect()
            .await
            .map_err(broken)?
            .to_bytes();
        if status.is_success() {
            return Ok(body);
        }
        let body = String::from_utf8_lossy(&body[..body.len().min(500)]).into_owned();
        Err(DoorError::Refused {
            status: status.to_string(),
            body,
            busy: matches!(status.as_u16(), 429 | 503 | 504),
        })
    }
}

/// The object form, OpenAI's two encodings and the Open Inference Protocol.
pub(super) async fn other_families(
    doors: &Doors,
    texts: &[String],
) -> Result<Vec<Vectors>, DoorError> {
    let mut door = connect(doors).await?;
    let object = door.post("/embed", &json!({ "inputs": texts })).await?;
    let mut all = vec![serde_json::from_slice(&object).map_err(unreadable)?];
    for format in ["float", "base64"] {
        let body = json!({ "model": doors.model, "input": texts, "encoding_format": format });
        all.push(openai(&door.post("/v1/embeddings", &body).await?)?);
    }
    let tensor = json!({
        "name": preheat_api::oip::TEXT_INPUT, "shape": [texts.len()], "datatype": "BYTES", "data": texts,
    });
    let path = format!("/v2/models/{}/infer", doors.model);
    all.push(oip(&door
        .post(&path, &json!({ "inputs": [tensor] }))
        .await?)?);
    Ok(all)
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
    let numbers = output.data.unwrap_or_default();
    Ok(numbers.chunks(dim.max(1)).map(<[f32]>::to_vec).collect())
}

fn broken(error: hyper::Error) -> DoorError {
    DoorError::Broken(error.to_string())
}

fn unreadable(error: impl std::fmt::Display) -> DoorError {
    DoorError::Answer(error.to_string())
}
