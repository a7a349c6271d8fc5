//! Asking a replica's admin listener.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use preheat_api::replica::{LoadReport, LoadRequest, Passport};
use preheat_runtime::Tasks;
use preheat_runtime::upstream::{Place, dial};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

/// A passport holds some hundred cases at most.
const LONGEST: usize = 4 << 20;

/// For a short answer. The listener has a thread of its own, which nothing else can keep busy.
pub const ANSWER: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    #[error("it takes no connection: {0}")]
    Connect(#[from] std::io::Error),
    #[error("the connection broke: {0}")]
    Broken(#[from] hyper::Error),
    #[error("it answered {0}")]
    Status(http::StatusCode),
    #[error("it did not answer within {} s", ANSWER.as_secs())]
    Silent,
    /// Whoever listens there is not who was started.
    #[error("process {pid} answers in its place")]
    Stranger { pid: u32 },
    #[error("its answer cannot be read: {0}")]
    Unreadable(String),
}

impl AdminError {
    /// It says nothing about the replica: this process has no descriptor or memory left, for one.
    pub fn is_ours(&self) -> bool {
        use std::io::ErrorKind::{ConnectionRefused, NotFound, WouldBlock};
        match self {
            // Nobody has bound the socket, nobody has it open, nobody accepts.
            AdminError::Connect(error) => {
                !matches!(error.kind(), NotFound | ConnectionRefused | WouldBlock)
            }
            _ => false,
        }
    }
}

/// Opens a stream of events from `sequence` on.
pub async fn events(
    place: &Place,
    sequence: u64,
    tasks: &Tasks,
) -> Result<Response<Incoming>, AdminError> {
    let mut request = request(Method::GET, "/v1/events", Bytes::new());
    let headers = request.headers_mut();
    headers.insert("last-event-id", sequence.into());
    soon(send(place, request, tasks)).await
}

pub async fn passport(place: &Place, tasks: &Tasks) -> Result<Passport, AdminError> {
    let asked = request(Method::GET, "/v1/replica", Bytes::new());
    soon(async { read(send(place, asked, tasks).await?).await }).await
}

/// Whether it lives.
pub async fn alive(place: &Place, tasks: &Tasks) -> Result<(), AdminError> {
    let asked = request(Method::GET, "/livez", Bytes::new());
    soon(send(place, asked, tasks)).await.map(drop)
}

/// A process that hangs takes connections, since the kernel does, and never answers.
async fn soon<T>(answer: impl Future<Output = Result<T, AdminError>>) -> Result<T, AdminError> {
    timeout(ANSWER, answer)
        .await
        .unwrap_or(Err(AdminError::Silent))
}

/// Has a replica send planned requests to itself.
pub async fn load(
    place: &Place,
    wish: &LoadRequest,
    tasks: &Tasks,
) -> Result<LoadReport, AdminError> {
    let body = serde_json::to_vec(wish).map_err(unreadable)?;
    let mut request = request(Method::POST, "/v1/load", body.into());
    let json = HeaderValue::from_static("application/json");
    request.headers_mut().insert(header::CONTENT_TYPE, json);
    read(send(place, request, tasks).await?).await
}

async fn read<T: DeserializeOwned>(response: Response<Incoming>) -> Result<T, AdminError> {
    let body = Limited::new(response.into_body(), LONGEST).collect().await;
    let body = body.map_err(unreadable)?;
    serde_json::from_slice(&body.to_bytes()).map_err(unreadable)
}

fn unreadable(error: impl ToString) -> AdminError {
    AdminError::Unreadable(error.to_string())
}

pub async fn post(place: &Place, path: &'static str, tasks: &Tasks) -> Result<(), AdminError> {
    send(place, request(Method::POST, path, Bytes::new()), tasks)
        .await
        .map(drop)
}

fn request(method: Method, path: &'static str, body: Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = http::Uri::from_static(path);
    let host = HeaderValue::from_static("replica");
    request.headers_mut().insert(header::HOST, host);
    request
}

async fn send(
    place: &Place,
    request: Request<Full<Bytes>>,
    tasks: &Tasks,
) -> Result<Response<Incoming>, AdminError> {
    let stream = dial(place).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let token = tasks.token().clone();
    tasks.spawn("replica admin connection", async move {
        tokio::select! {
            // How it ends shows in the answer.
            _ = connection => {}
            () = token.cancelled() => {}
        }
    });
    let response = sender.send_request(request).await?;
    match response.status() {
        status if status.is_success() => Ok(response),
        status => Err(AdminError::Status(status)),
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    #[test]
    fn a_gateway_without_descriptors_blames_no_replica() {
        // Too many open files, of this process and of the system; no memory.
        for errno in [24, 23, 12] {
            let error = std::io::Error::from_raw_os_error(errno);
            assert!(AdminError::from(error).is_ours(), "{errno}");
        }
        for kind in [ErrorKind::NotFound, ErrorKind::ConnectionRefused] {
            assert!(!AdminError::from(std::io::Error::from(kind)).is_ours());
        }
        assert!(!AdminError::Silent.is_ours());
    }
}
