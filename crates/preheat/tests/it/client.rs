//! HTTP without conveniences: each connection is opened, used and closed in plain sight.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// No answer takes as long; only a hang does.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

pub async fn get(address: SocketAddr, path: &str) -> Result<Answer, Error> {
    send(address, request(Method::GET, path, "")).await
}

pub async fn post(address: SocketAddr, path: &str, body: &Value) -> Result<Answer, Error> {
    send(address, request(Method::POST, path, body.to_string())).await
}

/// What comes on a connection, until these words have come.
pub async fn read_until(stream: &mut TcpStream, words: &str) -> String {
    let mut text = String::new();
    while !text.contains(words) {
        let mut bytes = [0; 4096];
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut bytes)).await;
        let count = read.expect("something comes").unwrap();
        assert_ne!(count, 0, "it ended before {words}:\n{text}");
        text += &String::from_utf8_lossy(&bytes[..count]);
    }
    text
}

/// A request with a JSON body, or none.
pub fn request(method: Method, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let body = body.into();
    let mut builder = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "preheat.test");
    if !body.is_empty() {
        builder = builder.header("content-type", "application/json");
    }
    builder.body(Full::new(body)).unwrap()
}

/// One request on a connection of its own.
pub async fn send(address: SocketAddr, request: Request<Full<Bytes>>) -> Result<Answer, Error> {
    Connection::open(address, Version::HTTP_11)
        .await?
        .send(request)
        .await
}

/// One connection, HTTP/1.1 or HTTP/2 with prior knowledge.
pub struct Connection {
    sender: Sender,
    /// Drives the connection; ends with it.
    _driver: JoinSet<()>,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Connection {
    pub async fn open(address: SocketAddr, version: Version) -> Result<Self, Error> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let io = TokioIo::new(stream);
        let mut driver = JoinSet::new();
        let sender = if version == Version::HTTP_2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
            // How the connection ends shows in the answers, or in their absence.
            driver.spawn(async { drop(connection.await) });
            Sender::Http2(sender)
        } else {
            let (sender, connection) = http1::handshake(io).await?;
            driver.spawn(async { drop(connection.await) });
            Sender::Http1(sender)
        };
        Ok(Connection {
            sender,
            _driver: driver,
        })
    }

    /// Whether one more request may be sent; false once either side has closed.
    pub async fn is_usable(&mut self) -> bool {
        match &mut self.sender {
            Sender::Http1(sender) => sender.ready().await.is_ok(),
            Sender::Http2(sender) => sender.ready().await.is_ok(),
        }
    }

    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, Error> {
        self.sender.send(request).await
    }

    /// All of them at once, each a stream of this connection, which speaks HTTP/2.
    pub async fn send_at_once(
        &self,
        requests: Vec<Request<Full<Bytes>>>,
    ) -> Vec<Result<Answer, Error>> {
        let Sender::Http2(sender) = &self.sender else {
            panic!("HTTP/1 sends one after another");
        };
        let mut sending = JoinSet::new();
        for request in requests {
            let mut sender = Sender::Http2(sender.clone());
            sending.spawn(async move { sender.send(request).await });
        }
        sending.join_all().await
    }
}

impl Sender {
    async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, Error> {
        tokio::time::timeout(PATIENCE, self.exchange(request)).await?
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, Error> {
        let response = match self {
            Sender::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Sender::Http2(sender) => {
                sender.ready().await?;
                let (mut parts, body) = request.into_parts();
                parts.uri = format!("http://preheat.test{}", parts.uri).parse()?;
                parts.headers.remove("host");
                sender
                    .send_request(Request::from_parts(parts, body))
                    .await?
            }
        };
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        })
    }
}
