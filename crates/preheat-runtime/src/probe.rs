//! A thread of its own for probes, metrics and administration.
//!
//! Inference may take every core and a flood every connection of the front door; an orchestrator
//! that then hears nothing would kill the process. So probes have their own thread, their own
//! runtime and their own limit of connections.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::Service;

use crate::drain::Draining;
use crate::edge::{self, Address, ConnectionCounters, EdgeConfig, Listener, Shell};
use crate::tasks::Tasks;
use crate::thread::spawn_named;

/// Above ordinary threads, so that a probe is answered when every core computes.
#[cfg(target_os = "linux")]
const NICE: i32 = -10;

/// How long connections may take to end when the thread stops.
const STOP: Duration = Duration::from_secs(1);

/// A listener served by a thread of its own. Dropping it stops it.
#[derive(Debug)]
pub struct ProbeThread {
    address: Address,
    connections: Arc<ConnectionCounters>,
    stop: DropGuard,
    thread: JoinHandle<()>,
}

impl ProbeThread {
    /// Starts serving at once.
    ///
    /// # Errors
    /// When the system has no thread or no event queue left to give.
    pub fn start<S, B>(listener: Listener, service: S, config: EdgeConfig) -> io::Result<Self>
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let address = listener.address().clone();
        let tasks = Tasks::new();
        let shell = Shell::new(tasks.clone(), Draining::never());
        let connections = Arc::clone(&shell.connections);
        let token: CancellationToken = tasks.token().clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let thread = spawn_named("probes", move || {
            raise_priority();
            runtime.block_on(async {
                if let Err(error) = edge::serve(listener, service, config, shell).await {
                    tracing::error!(event = "probe_listener_failed", %error, "probes cannot be served");
                }
                if let Err(error) = tasks.close_and_wait(STOP).await {
                    tracing::warn!(event = "probe_stop_slow", %error, "probe connections were cut");
                }
            });
        })?;
        Ok(ProbeThread {
            address,
            connections,
            stop: token.drop_guard(),
            thread,
        })
    }

    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    #[must_use]
    pub fn connections(&self) -> &Arc<ConnectionCounters> {
        &self.connections
    }

    /// Closes the listener and its connections, and waits for the thread: about a second at most.
    pub fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!(event = "probe_thread_panicked", "the probe thread panicked");
        }
    }
}

/// On Linux the priority is each thread's own. Without the right to raise it nothing is lost.
fn raise_priority() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(event = "probe_priority", %error, "probe thread runs at ordinary priority");
    }
}
