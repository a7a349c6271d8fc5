//! A small HTTP client for the verbs that talk to a running server. Every wait and every answer is
//! bounded. No proxy is asked: what it says of a server is not what the server says.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::time::Duration;

use preheat_api::ReadinessReport;
use preheat_api::quantity::Span;
use preheat_server::exchange::Outgoing;
use reqwest::{Method, Request, Response, Url, redirect};
use serde_json::Value;

use crate::cli::Target;

/// For one request and its whole answer, unless a client has another one.
const TIMEOUT: Duration = Duration::from_secs(30);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest answer that is read.
const LONGEST: usize = 64 << 20;

/// One server. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    /// What people know it by.
    server: String,
    base: Url,
    key: Option<String>,
    limit: Duration,
}

#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// What a server says to the question whether it is ready.
#[derive(Debug, Clone)]
pub struct Readiness {
    pub ready: bool,
    pub status: u16,
    /// None from a server that is not preheat.
    pub report: Option<ReadinessReport>,
    /// As it came.
    pub json: Value,
}

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("`{given}` is not the address of a server: {reason}")]
    Address { given: String, reason: String },
    #[error("nobody listens at {server}")]
    Refused { server: String },
    #[error("{server} cannot be reached: {cause}")]
    Unreachable { server: String, cause: String },
    #[error("{server} cannot be reached by TLS: {cause}")]
    Tls { server: String, cause: String },
    #[error("{server} did not answer within {}", Span(*limit))]
    Timeout { server: String, limit: Duration },
    #[error("{server} broke the connection: {cause}")]
    Broken { server: String, cause: String },
    #[error("{server} answered with status {status}")]
    Status { server: String, status: u16 },
    #[error("{server} answered more than {limit} bytes")]
    TooLong { server: String, limit: usize },
    #[error("{server} refuses to answer without a key (status {status})")]
    NoKey { server: String, status: u16 },
}

impl ClientError {
    /// What to do next.
    pub fn remedy(&self) -> &'static str {
        match self {
            ClientError::Address { .. } => {
                "write it like http://127.0.0.1:8000 or unix:/run/preheat.sock"
            }
            ClientError::Refused { .. } => {
                "start the server there (`preheat serve`), or give the address of another one"
            }
            ClientError::Unreachable { .. } => "check host, port and network",
            ClientError::Tls { .. } => {
                "check that it speaks TLS there; for a private certificate authority set SSL_CERT_FILE"
            }
            ClientError::Timeout { .. } => "look at the server's log for what keeps it busy",
            ClientError::Broken { .. } | ClientError::TooLong { .. } => {
                "check that it is an HTTP server, and whether https:// is what it speaks"
            }
            ClientError::Status { .. } => {
                "give the address of an admin listener of preheat, port 8002 by default"
            }
            ClientError::NoKey { .. } => "give an API key with --key or PREHEAT_API_KEY",
        }
    }
}

impl Client {
    pub fn of(target: &Target) -> Result<Self, ClientError> {
        let given = target.url.as_str();
        let address = |reason: &dyn ToString| ClientError::Address {
            given: given.into(),
            reason: reason.to_string(),
        };
        let builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .tcp_nodelay(true)
            .connect_timeout(CONNECT_TIMEOUT);
        let (builder, base) = match given.strip_prefix("unix:") {
            Some(path) => (builder.unix_socket(path), "http://localhost".to_owned()),
            None => (builder, with_scheme(given)),
        };
        let base = Url::parse(&base).map_err(|error| address(&error))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(address(&"only http and https are spoken here"));
        }
        // Reading the system's certificates takes longer than many a request.
        let builder = match base.scheme() {
            "http" => builder.tls_certs_only([]),
            _ => builder,
        };
        Ok(Client {
            http: builder.build().map_err(|error| address(&chain(&error)))?,
            key: target.key.clone(),
            server: match given.starts_with("unix:") {
                true => given.to_owned(),
                false => base.as_str().trim_end_matches('/').to_owned(),
            },
            base,
            limit: TIMEOUT,
        })
    }

    /// With another limit for one request and its whole answer.
    pub fn within(self, limit: Duration) -> Self {
        Client { limit, ..self }
    }

    /// As it was given.
    pub fn server(&self) -> String {
        self.server.clone()
    }

    pub async fn get(&self, path: &str) -> Result<Answer, ClientError> {
        self.send(Request::new(Method::GET, self.at(path))).await
    }

    /// Sends a request of a plan.
    pub async fn ask(&self, out: Outgoing) -> Result<Answer, ClientError> {
        let mut request = Request::new(out.method, self.at(&out.path));
        if !out.body.is_empty() {
            let json = reqwest::header::HeaderValue::from_static("application/json");
            let headers = request.headers_mut();
            headers.insert(reqwest::header::CONTENT_TYPE, json);
            *request.body_mut() = Some(out.body.into());
        }
        self.send(request).await
    }

    /// Posts a JSON body.
    pub async fn post(&self, path: &str, body: Vec<u8>) -> Result<Answer, ClientError> {
        let mut request = Request::new(Method::POST, self.at(path));
        let json = reqwest::header::HeaderValue::from_static("application/json");
        let headers = request.headers_mut();
        headers.insert(reqwest::header::CONTENT_TYPE, json);
        *request.body_mut() = Some(body.into());
        self.send(request).await
    }

    /// The beginning of an answer that goes on for as long as `limit`.
    pub async fn stream(&self, path: &str, limit: Duration) -> Result<Response, ClientError> {
        let mut request = Request::new(Method::GET, self.at(path));
        *request.timeout_mut() = Some(limit + TIMEOUT);
        self.sign(&mut request)?;
        let response = self.http.execute(request).await;
        let response = response.map_err(|error| self.failed(&error))?;
        let (status, server) = (response.status().as_u16(), self.server());
        match status {
            200 => Ok(response),
            401 | 403 => Err(ClientError::NoKey { server, status }),
            _ => Err(ClientError::Status { server, status }),
        }
    }

    /// Asks whether the server is ready. Not being so is an answer, not an error.
    pub async fn readiness(&self) -> Result<Readiness, ClientError> {
        let answer = self.get("/ready").await?;
        let (status, server) = (answer.status, self.server());
        if matches!(status, 401 | 403) {
            return Err(ClientError::NoKey { server, status });
        }
        let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        Ok(Readiness {
            ready: (200..300).contains(&status),
            status,
            report: serde_json::from_value(json.clone()).ok(),
            json,
        })
    }

    fn at(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        let (path, query) = match path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path, url.query()),
        };
        let query = query.map(str::to_owned);
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url.set_query(query.as_deref());
        url
    }

    async fn send(&self, mut request: Request) -> Result<Answer, ClientError> {
        self.sign(&mut request)?;
        *request.timeout_mut() = Some(self.limit);
        let failed = |error| self.failed(&error);
        let mut response = self.http.execute(request).await.map_err(failed)?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(failed)? {
            body.extend_from_slice(&part);
            if body.len() > LONGEST {
                let (server, limit) = (self.server(), LONGEST);
                return Err(ClientError::TooLong { server, limit });
            }
        }
        Ok(Answer { status, body })
    }

    fn sign(&self, request: &mut Request) -> Result<(), ClientError> {
        if let Some(key) = &self.key {
            let bearer = format!("Bearer {key}").parse().map_err(|_| {
                let reason = "the key holds characters that no header may".to_owned();
                let given = self.server();
                ClientError::Address { given, reason }
            })?;
            let headers = request.headers_mut();
            headers.insert(reqwest::header::AUTHORIZATION, bearer);
        }
        Ok(())
    }

    fn failed(&self, error: &reqwest::Error) -> ClientError {
        let (server, cause) = (self.server(), chain(error));
        if error.is_timeout() {
            let limit = if error.is_connect() {
                CONNECT_TIMEOUT.min(self.limit)
            } else {
                self.limit
            };
            return ClientError::Timeout { server, limit };
        }
        match (error.is_connect(), is_refused(error)) {
            (_, true) => ClientError::Refused { server },
            (true, false) if is_tls(error) => ClientError::Tls { server, cause },
            (true, false) => ClientError::Unreachable { server, cause },
            (false, false) => ClientError::Broken { server, cause },
        }
    }
}

/// `host:port` is what people write first.
fn with_scheme(given: &str) -> String {
    match given.contains("://") {
        true => given.to_owned(),
        false => format!("http://{given}"),
    }
}

fn is_refused(error: &dyn Error) -> bool {
    is_io(error, ErrorKind::ConnectionRefused)
}

/// The kind that what is wrong with a handshake is told as.
fn is_tls(error: &dyn Error) -> bool {
    is_io(error, ErrorKind::InvalidData)
}

fn is_io(error: &dyn Error, kind: ErrorKind) -> bool {
    let outermost = causes(error).find_map(|cause| cause.downcast_ref::<io::Error>());
    // They wrap each other, and `source` does not tell of it.
    let mut all = std::iter::successors(outermost, |io| io.get_ref()?.downcast_ref());
    all.any(|io| io.kind() == kind)
}

/// The innermost cause: the outer ones repeat the address.
fn chain(error: &dyn Error) -> String {
    causes(error).last().unwrap_or(error).to_string()
}

fn causes(error: &dyn Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}
