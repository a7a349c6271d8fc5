//! One connection from its first byte to its last: TLS, the protocol, the timer and the farewell.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulConnection;
use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tower::Service;

use crate::drain::{Draining, Stage};
use crate::edge::framing::Protocol;
use crate::edge::life::{LINGER, Life, Limits, Status, Wait};
use crate::edge::service::ConnectionService;
use crate::edge::stream::Stream;
use crate::edge::watched::Watched;
use crate::edge::{ConnectionCounters, EdgeConfig, Peer, Shell};
use crate::tasks::Tasks;

/// When we are closing, a connection that has been still for this long has nothing more to say.
const QUIET: Duration = Duration::from_millis(250);

/// Hyper does not work with less.
const MIN_BUFFER: usize = 8 * 1024;

/// Everything the connections of one listener share.
pub(crate) struct Server<S> {
    service: S,
    config: EdgeConfig,
    shell: Shell,
    http: Builder<Tasks>,
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Done,
    TimedOut,
    Dropped,
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
        let service = ConnectionService {
            inner: self.service.clone(),
            life: life.clone(),
            draining: draining.clone(),
            peer: Peer {
                address,
                tls: self.config.tls.is_some(),
            },
        };
        let io = TokioIo::new(Watched::new(stream, life.clone()));
        let connection = self.http.serve_connection(io, service);
        Driver::new(draining, life, self.config.idle_timeout)
            .drive(connection)
            .await
    }

    async fn secure(&self, stream: Stream) -> Result<Stream, End> {
        let Some(config) = &self.config.tls else {
            return Ok(stream);
        };
        let handshake = TlsAcceptor::from(Arc::clone(config)).accept(stream);
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

/// Polls a connection, and decides when it has to leave.
struct Driver {
    draining: Draining,
    life: Life,
    idle: Duration,
    /// How far the drain had come when the connection was made.
    born: Stage,
    /// The client has been idle for too long.
    expired: bool,
    /// When hyper was told to end the connection.
    farewell: Option<Instant>,
}

enum Event {
    Ended,
    Timer,
}

impl Driver {
    fn new(draining: Draining, life: Life, idle: Duration) -> Self {
        Driver {
            born: draining.stage(),
            draining,
            life,
            idle,
            expired: false,
            farewell: None,
        }
    }

    async fn drive<C: GracefulConnection>(mut self, connection: C) -> End {
        let mut connection = pin!(connection);
        let mut timer = pin!(sleep_until(Instant::now()));
        let mut stage = self.draining.clone();
        loop {
            tokio::select! {
                biased;
                event = poll_fn(|cx| self.poll(connection.as_mut(), timer.as_mut(), cx)) => {
                    let Event::Timer = event else { return self.end() };
                }
                () = stage.changed() => {}
            }
            match self.next_check() {
                Ok(at) => timer.as_mut().reset(at),
                Err(end) => return end,
            }
        }
    }

    fn end(&self) -> End {
        if self.expired {
            End::TimedOut
        } else {
            End::Done
        }
    }

    /// Polls the connection, and the timer; in between, what the connection did may have left it
    /// less time than the timer believes.
    fn poll<C: GracefulConnection>(
        &mut self,
        mut connection: Pin<&mut C>,
        mut timer: Pin<&mut Sleep>,
        cx: &mut Context<'_>,
    ) -> Poll<Event> {
        loop {
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Event::Ended);
            }
            if self.farewell.is_some() || !self.is_time_to_leave() {
                break;
            }
            self.farewell = Some(Instant::now());
            connection.as_mut().graceful_shutdown();
        }
        if let Some((deadline, _)) = self.life.deadline()
            && deadline < timer.deadline()
            && self.farewell.is_none()
        {
            timer.as_mut().reset(deadline);
        }
        timer.poll(cx).map(|()| Event::Timer)
    }

    /// Whether hyper should end the connection.
    ///
    /// HTTP/2 can say so at any time without losing a request; a client that came while we were
    /// settling gets one request done first, or it might reconnect for ever. HTTP/1 can only say so
    /// in an answer, where `LeaveHint` does. Closing an idle connection may cross with a request, so
    /// that is left to the very end.
    fn is_time_to_leave(&self) -> bool {
        let stage = self.draining.stage();
        if self.expired || stage < Stage::Settling {
            return self.expired;
        }
        let status = self.life.status();
        let told = match status.protocol {
            Protocol::Http2 => self.born == Stage::Open || status.requests > 0,
            Protocol::Http1 => false,
            // Hyper would throw away a request of which it has the first bytes.
            Protocol::Unknown => return false,
        };
        told || (stage >= Stage::Closing && status.is_quiet())
    }

    /// When to look again, or how the connection ends now.
    fn next_check(&mut self) -> Result<Instant, End> {
        let (now, stage, status) = (Instant::now(), self.draining.stage(), self.life.status());
        if stage == Stage::Cut {
            return Err(End::Dropped);
        }
        let deadline = self.life.deadline();
        if let Some((_, wait)) = deadline.filter(|(at, _)| *at <= now) {
            self.on_deadline(now, wait)?;
        }
        if stage == Stage::Closing {
            let heard = self.farewell.is_some_and(|at| at + QUIET <= now);
            let lingers = deadline.is_some_and(|(_, wait)| wait == Wait::Lingering);
            if status.is_quiet() && (heard || lingers || status.protocol == Protocol::Unknown) {
                return Err(End::Dropped);
            }
            return Ok(now + QUIET);
        }
        Ok(match deadline {
            Some((at, _)) if at > now => at,
            Some(_) => now + LINGER,
            None => now + self.idle,
        })
    }

    fn on_deadline(&mut self, now: Instant, wait: Wait) -> Result<(), End> {
        match (wait, self.farewell) {
            (Wait::Lingering, _) => Err(End::Dropped),
            // One more request may be on its way: say goodbye first.
            (Wait::Idle, None) => {
                self.expired = true;
                Ok(())
            }
            (Wait::Idle, Some(at)) if now < at + LINGER => Ok(()),
            (Wait::Idle | Wait::Head | Wait::Stalled, _) => Err(End::TimedOut),
        }
    }
}

impl Status {
    fn is_quiet(&self) -> bool {
        self.at_rest && self.last_moved.elapsed() >= QUIET
    }
}
