//! The listener side of every HTTP server in the process: HTTP/1.1 and HTTP/2 on one port, over TCP,
//! unix sockets and TLS.
//!
//! It bounds what a stranger can hold: connections, heads, and the time for each step of a
//! connection. It refuses requests whose length is stated twice, counts requests in flight, and
//! takes part in a drain. It never looks at a path or a body: those are the service's.

mod connection;
mod driver;
mod framing;
mod goodbye;
mod life;
mod listener;
mod service;
mod stream;
mod watched;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tower::Service;

pub use self::listener::{Address, BindError, Listener, MemoryDialer, bind, memory};

use self::connection::Server;
use self::listener::Acceptor;
use self::stream::Stream;
use crate::drain::{Draining, Stage};
use crate::lanes::Lanes;
use crate::tasks::Tasks;
use crate::tls::Certificates;

/// A listener whose newcomers are turned away, and from which none has come for this long, has
/// handed over everything that the kernel had accepted.
const BACKLOG_QUIET: Duration = Duration::from_millis(20);

/// How long to leave a listener alone after the system had no descriptor or memory for a connection.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// The limits of one listener.
#[derive(Debug, Clone)]
pub struct EdgeConfig {
    /// For a whole request head, and for the first byte of a connection.
    pub header_timeout: Duration,
    /// Between two requests on one connection, and for a client that does not read its answer.
    /// Longer than the 90 s after which common clients give up idle connections themselves, so that
    /// it is them and not us who close.
    pub idle_timeout: Duration,
    pub tls_timeout: Duration,
    pub max_connections: usize,
    pub max_headers: usize,
    /// For all header lines of a request together; over HTTP/1 at least 8 KiB.
    pub max_header_bytes: usize,
    /// Requests at the same time on one HTTP/2 connection.
    pub max_streams: u32,
    /// How often a silent HTTP/2 client is asked whether it lives, and how long it may take to say.
    pub ping_interval: Duration,
    pub ping_timeout: Duration,
    /// See [`crate::tls`].
    pub tls: Option<Certificates>,
}

impl Default for EdgeConfig {
    fn default() -> Self {
        EdgeConfig {
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(120),
            tls_timeout: Duration::from_secs(10),
            max_connections: 4096,
            max_headers: 100,
            max_header_bytes: 16 * 1024,
            max_streams: 256,
            ping_interval: Duration::from_secs(30),
            ping_timeout: Duration::from_secs(10),
            tls: None,
        }
    }
}

/// What a listener shares with the rest of the process.
#[derive(Debug, Clone)]
pub struct Shell {
    pub tasks: Tasks,
    pub draining: Draining,
    pub connections: Arc<ConnectionCounters>,
    /// Where connections run. Without any, on the runtime of their listener.
    lanes: Option<Lanes>,
}

impl Shell {
    #[must_use]
    pub fn new(tasks: Tasks, draining: Draining) -> Self {
        Shell {
            tasks,
            draining,
            connections: Arc::default(),
            lanes: None,
        }
    }

    #[must_use]
    pub fn on(self, lanes: Lanes) -> Self {
        Shell {
            lanes: Some(lanes),
            ..self
        }
    }
}

/// What became of the connections of one or more listeners.
#[derive(Debug, Default)]
pub struct ConnectionCounters {
    /// A gauge; the others only rise.
    pub open: AtomicU64,
    pub accepted: AtomicU64,
    /// Closed at once because `max_connections` were open.
    pub refused: AtomicU64,
    pub timed_out: AtomicU64,
    pub tls_failed: AtomicU64,
    pub accept_errors: AtomicU64,
}

impl ConnectionCounters {
    fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Who sent a request; the edge puts it into the request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// `None` over unix sockets.
    pub address: Option<SocketAddr>,
    pub tls: bool,
}

/// Serves `listener` until the drain closes it, or the tasks are told to stop. Returns when the
/// listener is closed; connections may live on for as long as the drain lets them.
///
/// # Errors
/// When the runtime cannot take the socket.
pub async fn serve<S, B>(
    listener: Listener,
    service: S,
    config: EdgeConfig,
    shell: Shell,
) -> io::Result<()>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut acceptor = listener.start()?;
    let _hold = shell.draining.hold();
    let (draining, token) = (shell.draining.clone(), shell.tasks.token().clone());
    let slots = Arc::new(Semaphore::new(config.max_connections));
    let edge = Edge {
        server: Arc::new(Server::new(service, config, shell)),
        slots,
    };
    tokio::select! {
        never = edge.accept_all(&mut acceptor) => match never {},
        () = draining.reached(Stage::Closing) => {}
        () = token.cancelled() => return Ok(()),
    }
    acceptor.seal();
    tokio::select! {
        () = edge.accept_rest(&mut acceptor) => {}
        () = draining.reached(Stage::Cut) => {}
        () = token.cancelled() => {}
    }
    Ok(())
}

struct Edge<S> {
    server: Arc<Server<S>>,
    slots: Arc<Semaphore>,
}

impl<S, B> Edge<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    async fn accept_all(&self, acceptor: &mut Acceptor) -> Infallible {
        let mut back_off = BACK_OFF.0;
        loop {
            match acceptor.accept().await {
                Ok((stream, address)) => {
                    back_off = BACK_OFF.0;
                    self.admit(stream, address);
                }
                Err(error) => {
                    ConnectionCounters::add(&self.server.shell().connections.accept_errors);
                    if is_about_one_connection(&error) {
                        continue;
                    }
                    tracing::warn!(event = "accept_failed", %error, ?back_off, "accept failed");
                    sleep(back_off).await;
                    back_off = (back_off * 2).min(BACK_OFF.1);
                }
            }
        }
    }

    /// The listener is sealed, so what it still holds is bounded.
    async fn accept_rest(&self, acceptor: &mut Acceptor) {
        while let Ok(Ok((stream, address))) = timeout(BACKLOG_QUIET, acceptor.accept()).await {
            self.admit(stream, address);
        }
    }

    /// Starts a task for the connection, or closes it when there are too many.
    fn admit(&self, stream: Stream, address: Option<SocketAddr>) {
        let counters = Arc::clone(&self.server.shell().connections);
        ConnectionCounters::add(&counters.accepted);
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            ConnectionCounters::add(&counters.refused);
            return;
        };
        let shell = self.server.shell();
        let held = (Open::new(counters), shell.draining.hold(), slot);
        let server = Arc::clone(&self.server);
        let Some(lanes) = &shell.lanes else {
            shell.tasks.spawn("connection", async move {
                server.run(stream, address).await;
                drop(held);
            });
            return;
        };
        let place = lanes.place();
        let runtime = place.runtime().clone();
        let Ok(stream) = stream.leave() else { return };
        let serving = async move {
            if let Ok(stream) = stream.arrive() {
                server.run(stream, address).await;
            }
            drop((held, place));
        };
        shell.tasks.spawn_on("connection", serving, &runtime);
    }
}

/// Counts a connection as open while it lives.
struct Open(Arc<ConnectionCounters>);

impl Open {
    fn new(counters: Arc<ConnectionCounters>) -> Self {
        counters.open.fetch_add(1, Ordering::Relaxed);
        Open(counters)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether an error says something about the client at hand only, so that the next may be fine.
fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::NotConnected
    )
}
