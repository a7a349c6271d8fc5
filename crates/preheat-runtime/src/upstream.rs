//! The way to one server behind this process: its sockets, and connections to them that are kept.
//!
//! HTTP/1.1 for ordinary requests, one at a time on each connection; HTTP/2 for gRPC, all on one.
//! How many requests there are at once is bounded by permits elsewhere, so the pool needs no limit
//! of its own. What the requests carry is the caller's: bodies are of any kind.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout};

use crate::edge::{Address, MemoryDialer};
use crate::inflight::InFlight;
use crate::lanes;
use crate::tasks::Tasks;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A server on this machine that takes no connection in this time is not there.
const CONNECT: Duration = Duration::from_secs(2);

/// How often a silent HTTP/2 connection is tried.
const PING: Duration = Duration::from_secs(10);

/// Where a listener of the server is.
#[derive(Debug, Clone)]
pub enum Place {
    At(Address),
    /// Without a network, for tests in simulated time.
    Memory(MemoryDialer),
}

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The server has not seen it.
    #[error("it takes no connection: {0}")]
    Connect(#[source] io::Error),
    #[error("the connection was closed before the request went out: {0}")]
    NotSent(#[source] hyper::Error),
    /// It may have been executed.
    #[error("the connection broke: {0}")]
    Broken(#[source] hyper::Error),
}

impl SendError {
    /// Whether the server certainly did nothing.
    #[must_use]
    pub fn is_unexecuted(&self) -> bool {
        !matches!(self, SendError::Broken(_))
    }

    /// For the metric of retries.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            SendError::Connect(_) => "connect",
            SendError::NotSent(_) => "closed",
            SendError::Broken(_) => "broken",
        }
    }
}

/// Connections to one server, for requests with bodies of the kind `B`.
#[derive(Debug)]
pub struct Upstream<B> {
    http: Place,
    grpc: Place,
    idle: Mutex<Vec<Idle<B>>>,
    /// Connections that lay idle for longer are not used again.
    idle_limit: Duration,
    streams: tokio::sync::Mutex<Option<http2::SendRequest<B>>>,
    in_flight: InFlight,
    tasks: Tasks,
}

/// A connection for one request after another, and the lane that drives it.
#[derive(Debug)]
struct Connection<B> {
    sender: http1::SendRequest<B>,
    lane: Option<usize>,
}

/// A connection that waits for its next request.
#[derive(Debug)]
struct Idle<B> {
    connection: Connection<B>,
    since: Instant,
}

pub trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

impl<B> Upstream<B>
where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    /// `tasks`: drive the connections; cancelled when the server is gone.
    #[must_use]
    pub fn new(http: Place, grpc: Place, tasks: Tasks) -> Self {
        Upstream {
            http,
            grpc,
            idle: Mutex::default(),
            idle_limit: Duration::MAX,
            streams: tokio::sync::Mutex::default(),
            in_flight: InFlight::new(),
            tasks,
        }
    }

    /// For servers that close idle connections early: a request that crosses with that is lost.
    #[must_use]
    pub fn idle_for(mut self, limit: Duration) -> Self {
        self.idle_limit = limit;
        self
    }

    /// Sends a request and waits for the head of its answer.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn send(
        self: &Arc<Self>,
        request: Request<B>,
    ) -> Result<Response<Received<B>>, SendError> {
        let mut connection = self.connection().await?;
        let sent = connection.sender.try_send_request(request).await;
        let response = sent.map_err(|mut failed| match failed.take_message() {
            // Handed back unsent: the connection had been closed under us.
            Some(_) => SendError::NotSent(failed.into_error()),
            None => SendError::Broken(failed.into_error()),
        })?;
        let lease = Lease {
            upstream: Arc::clone(self),
            connection,
        };
        Ok(response.map(|body| Received {
            body,
            lease: Some(lease),
        }))
    }

    /// The same over HTTP/2, for gRPC.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn send_stream(
        self: &Arc<Self>,
        request: Request<B>,
    ) -> Result<Response<Received<B>>, SendError> {
        let mut sender = self.stream().await?;
        let sent = sender.try_send_request(request).await;
        let response = sent.map_err(|mut failed| match failed.take_message() {
            Some(_) => SendError::NotSent(failed.into_error()),
            None => SendError::Broken(failed.into_error()),
        })?;
        Ok(response.map(|body| Received { body, lease: None }))
    }

    /// Where it listens, for who needs a connection of their own.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.http
    }

    /// Tasks that end when the server is gone.
    #[must_use]
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Requests that this server works on.
    #[must_use]
    pub fn in_flight(&self) -> &InFlight {
        &self.in_flight
    }

    /// Closes what is idle; nothing more will be sent.
    pub fn close(&self) {
        self.lock().clear();
        self.tasks.token().cancel();
    }

    async fn connection(&self) -> Result<Connection<B>, SendError> {
        // The lock is not held over the wait.
        while let Some(mut idle) = self.take() {
            if idle.since.elapsed() > self.idle_limit {
                continue;
            }
            // Ready, or closed by the other side while it lay idle.
            if idle.connection.sender.ready().await.is_ok() {
                return Ok(idle.connection);
            }
        }
        let stream = dial(&self.http).await.map_err(SendError::Connect)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(SendError::NotSent)?;
        let token = self.tasks.token().clone();
        self.tasks.spawn("upstream connection", async move {
            tokio::select! {
                // How it ends shows in the requests on it.
                _ = connection => {}
                () = token.cancelled() => {}
            }
        });
        let lane = lanes::here();
        Ok(Connection { sender, lane })
    }

    /// One that this lane drives, if there is any: others have to be woken on another thread.
    fn take(&self) -> Option<Idle<B>> {
        let (mut idle, here) = (self.lock(), lanes::here());
        let own = idle.iter().rposition(|kept| kept.connection.lane == here);
        let last = idle.len().checked_sub(1);
        own.or(last).map(|at| idle.swap_remove(at))
    }

    async fn stream(&self) -> Result<http2::SendRequest<B>, SendError> {
        let mut streams = self.streams.lock().await;
        if let Some(sender) = streams.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        let stream = dial(&self.grpc).await.map_err(SendError::Connect)?;
        let (sender, connection) = http2::Builder::new(self.tasks.clone())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(SendError::NotSent)?;
        let token = self.tasks.token().clone();
        self.tasks.spawn("upstream connection", async move {
            tokio::select! {
                _ = connection => {}
                () = token.cancelled() => {}
            }
        });
        *streams = Some(sender.clone());
        Ok(sender)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Idle<B>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B> Upstream<B> {
    fn keep(&self, connection: Connection<B>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let since = Instant::now();
        idle.push(Idle { connection, since });
    }
}

pub async fn dial(place: &Place) -> io::Result<Box<dyn Socket>> {
    match timeout(CONNECT, connect(place)).await {
        Ok(connected) => connected,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

async fn connect(place: &Place) -> io::Result<Box<dyn Socket>> {
    match place {
        Place::At(Address::Tcp(address)) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream))
        }
        Place::At(Address::Unix(path)) => Ok(Box::new(UnixStream::connect(path).await?)),
        Place::At(Address::Memory) => Err(io::ErrorKind::Unsupported.into()),
        Place::Memory(dialer) => Ok(Box::new(dialer.connect().await?)),
    }
}

/// A connection in use; kept for the next request once the answer has been read to its end.
#[derive(Debug)]
struct Lease<B> {
    upstream: Arc<Upstream<B>>,
    connection: Connection<B>,
}

impl<B> Lease<B> {
    fn give_back(self) {
        if !self.connection.sender.is_closed() {
            self.upstream.keep(self.connection);
        }
    }
}

/// The body of an answer. Dropped before its end it closes the connection, and so cancels the work.
#[derive(Debug)]
pub struct Received<B> {
    body: Incoming,
    lease: Option<Lease<B>>,
}

impl<B> Received<B> {
    fn ended(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }
}

impl<B> Body for Received<B> {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() || self.body.is_end_stream() {
            self.ended();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for Received<B> {
    fn drop(&mut self) {
        // An answer without a body is never polled.
        if self.body.is_end_stream() {
            self.ended();
        }
    }
}
