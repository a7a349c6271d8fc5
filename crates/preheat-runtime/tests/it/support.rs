//! A server to test against, and clients that see every byte.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use preheat_runtime::edge::{MemoryDialer, memory};
use preheat_runtime::{
    ConnectionCounters, Drain, EdgeConfig, InFlight, Listener, Shell, Tasks, serve,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tower::util::BoxCloneSyncService;

pub(crate) type Service = BoxCloneSyncService<Request<Incoming>, Response<Full<Bytes>>, Infallible>;

/// A listener being served, and all that one may want to ask about it.
pub(crate) struct Server {
    pub(crate) tasks: Tasks,
    pub(crate) drain: Drain,
    pub(crate) connections: Arc<ConnectionCounters>,
}

impl Server {
    pub(crate) fn start(listener: Listener, service: Service, config: EdgeConfig) -> Self {
        let (tasks, drain) = (Tasks::new(), Drain::new());
        let connections = listen(&tasks, &drain, listener, service, config);
        Server {
            tasks,
            drain,
            connections,
        }
    }

    /// Over memory, for tests whose clock is paused.
    pub(crate) fn in_memory(service: Service, config: EdgeConfig) -> (Self, MemoryDialer) {
        let (listener, dialer) = memory();
        (Self::start(listener, service, config), dialer)
    }

    pub(crate) fn in_flight(&self) -> &InFlight {
        self.drain.in_flight()
    }
}

/// Serves one more listener.
pub(crate) fn listen<S, B>(
    tasks: &Tasks,
    drain: &Drain,
    listener: Listener,
    service: S,
    config: EdgeConfig,
) -> Arc<ConnectionCounters>
where
    S: tower::Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let shell = Shell::new(tasks.clone(), drain.draining());
    let connections = Arc::clone(&shell.connections);
    tasks.spawn("edge", async move {
        serve(listener, service, config, shell).await.unwrap();
    });
    connections
}

/// Answers every request with its path.
pub(crate) fn echo_path() -> Service {
    service(|request: Request<Incoming>| async move {
        Response::new(Full::new(Bytes::from(request.uri().path().to_owned())))
    })
}

pub(crate) fn service<F, Fut>(f: F) -> Service
where
    F: Fn(Request<Incoming>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    BoxCloneSyncService::new(tower::service_fn(move |request| {
        let response = f(request);
        async move { Ok(response.await) }
    }))
}

/// One HTTP/1 connection, by hand.
pub(crate) struct Raw<S>(pub(crate) S);

/// An answer as it was on the wire.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn says_close(&self) -> bool {
        self.head.to_ascii_lowercase().contains("connection: close")
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Raw<S> {
    pub(crate) async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    pub(crate) async fn get(&mut self, path: &str) -> std::io::Result<Answer> {
        self.0
            .write_all(format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n").as_bytes())
            .await?;
        self.answer().await
    }

    /// Reads one answer with a declared length.
    pub(crate) async fn answer(&mut self) -> std::io::Result<Answer> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await?);
        }
        let head = String::from_utf8(head).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = head.to_ascii_lowercase().lines().find_map(|line| {
            line.strip_prefix("content-length: ")
                .map(|n| n.parse().unwrap())
        });
        let mut body = vec![0; length.unwrap_or(0)];
        self.0.read_exact(&mut body).await?;
        Ok(Answer {
            status,
            head,
            body: String::from_utf8(body).unwrap(),
        })
    }

    /// Waits until the other side closes, and returns what it still said. A reset counts as closed.
    pub(crate) async fn closed(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = self.0.read_to_end(&mut rest).await;
        rest
    }
}

/// One HTTP/2 connection.
pub(crate) struct Http2 {
    pub(crate) sender: hyper::client::conn::http2::SendRequest<Full<Bytes>>,
    /// Ends when the connection does.
    pub(crate) connection: tokio::task::JoinHandle<hyper::Result<()>>,
}

impl Http2 {
    pub(crate) async fn connect<S>(tasks: &Tasks, stream: S) -> hyper::Result<Self>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) =
            hyper::client::conn::http2::handshake(tasks.clone(), TokioIo::new(stream)).await?;
        Ok(Http2 {
            sender,
            connection: tasks.spawn("client", connection),
        })
    }

    pub(crate) async fn get(&mut self, path: &str) -> hyper::Result<Answer> {
        self.sender.ready().await?;
        let request = Request::get(format!("http://test{path}"))
            .body(Full::default())
            .unwrap();
        let (head, body) = self.sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answer {
            status: head.status.as_u16(),
            head: format!("{:?}", head.headers),
            body: String::from_utf8(body.to_vec()).unwrap(),
        })
    }
}
