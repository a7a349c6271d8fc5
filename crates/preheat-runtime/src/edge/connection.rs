//! One connection from its first byte to its last: TLS, then the protocol.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tower::Service;

use crate::drain::Stage;
use crate::edge::driver::{Driver, End, QUIET};
use crate::edge::life::{Life, Limits};
use crate::edge::service::{ConnectionService, Leaving};
use crate::edge::stream::Stream;
use crate::edge::watched::Watched;
use crate::edge::{ConnectionCounters, EdgeConfig, Peer, Shell};
use crate::tasks::Tasks;

/// Hyper does not work with less.
const MIN_BUFFER: usize = 8 * 1024;

/// Everything the connections of one listener share.
pub(crate) struct Server<S> {
    service: S,
    config: EdgeConfig,
    shell: Shell,
    http: Builder<Tasks>,
}

impl<S> Server<S> {
    pub(crate) fn new(service: S, config: EdgeConfig, shell: Shell) -> Self {
        let http = builder(&config, &shell.tasks);
        Server {
            service,
            config,
            shell,
            http,
        }
    }

    pub(crate) fn shell(&self) -> &Shell {
        &self.shell
    }

    fn counters(&self) -> &ConnectionCounters {
        &self.shell.connections
    }
}

fn builder(config: &EdgeConfig, tasks: &Tasks) -> Builder<Tasks> {
    let mut builder = Builder::new(tasks.clone());
    builder
        .http1()
        // Our own timer knows more: hyper's does not tell a slow head from an idle client.
        .header_read_timeout(None)
        .max_headers(config.max_headers)
        .max_buf_size(config.max_header_bytes.max(MIN_BUFFER));
    let max_header_list = u32::try_from(config.max_header_bytes).unwrap_or(u32::MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(config.max_streams)
        .max_header_list_size(max_header_list)
        .keep_alive_interval(config.ping_interval)
        .keep_alive_timeout(config.ping_timeout);
    builder
}

impl<S, B> Server<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// Serves one connection until it ends or is ended.
    pub(crate) async fn run(&self, stream: Stream, address: Option<SocketAddr>) {
        let end = tokio::select! {
            end = self.serve(stream, address) => end,
            () = self.shell.tasks.token().cancelled() => End::Dropped,
        };
        if end == End::TimedOut {
            ConnectionCounters::add(&self.counters().timed_out);
        }
    }

    async fn serve(&self, stream: Stream, address: Option<SocketAddr>) -> End {
        let stream = match self.secure(stream).await {
            Ok(stream) => stream,
            Err(end) => return end,
        };
        let life = Life::new(Limits {
            header: self.config.header_timeout,
            idle: self.config.idle_timeout,
        });
        let draining = self.shell.draining.clone();
        let driver = Driver::new(draining.clone(), life.clone(), self.config.idle_timeout);
        let service = ConnectionService {
            inner: self.service.clone(),
            life: life.clone(),
            leaving: Arc::new(Leaving {
                draining,
                born: driver.born(),
                goodbye: driver.goodbye(),
            }),
            peer: Peer {
                address,
                tls: self.config.tls.is_some(),
            },
        };
        let io = TokioIo::new(Watched::new(stream, life));
        // A connection may leave HTTP; then it is no longer this driver's.
        let connection = self.http.serve_connection_with_upgrades(io, service);
        driver.drive(connection).await
    }

    async fn secure(&self, stream: Stream) -> Result<Stream, End> {
        let Some(certificates) = &self.config.tls else {
            return Ok(stream);
        };
        let handshake = TlsAcceptor::from(certificates.current().server).accept(stream);
        let closing = async {
            self.shell.draining.reached(Stage::Closing).await;
            sleep(QUIET).await;
        };
        tokio::select! {
            secured = timeout(self.config.tls_timeout, handshake) => match secured {
                Ok(Ok(stream)) => Ok(Stream::Tls(Box::new(stream))),
                Ok(Err(error)) => {
                    tracing::debug!(event = "tls_handshake_failed", %error, "tls handshake failed");
                    ConnectionCounters::add(&self.counters().tls_failed);
                    Err(End::Done)
                }
                Err(_) => Err(End::TimedOut),
            },
            () = closing => Err(End::Dropped),
        }
    }
}
