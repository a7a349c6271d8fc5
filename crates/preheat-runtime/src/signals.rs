//! The wish to stop: from a signal, or from whoever holds a [`Shutdown`].
//!
//! The first SIGTERM or SIGINT asks to drain, the second to stop at once. What the program asked
//! for by itself does not count as a signal: a stop hook that drains, followed by the SIGTERM that
//! every orchestrator sends next, is still one polite request.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::tasks::Tasks;

/// How urgently the process should end. Only ever rises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    Run,
    Drain,
    Stop,
}

/// The wish to stop, shared. Clones see and raise the same one.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Sender<Urgency>);

impl Default for Shutdown {
    fn default() -> Self {
        Shutdown(watch::Sender::new(Urgency::Run))
    }
}

impl Shutdown {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn urgency(&self) -> Urgency {
        *self.0.borrow()
    }

    /// Raises the urgency; a lower one than the present changes nothing.
    pub fn request(&self, urgency: Urgency) {
        self.0.send_if_modified(|now| {
            let raised = urgency > *now;
            *now = (*now).max(urgency);
            raised
        });
    }

    /// Every change from now on, the present value first.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Urgency> {
        self.0.subscribe()
    }

    /// Waits until the urgency is `urgency` or more. Cancel safe.
    pub async fn reached(&self, urgency: Urgency) {
        let mut changes = self.0.subscribe();
        // `self` holds the sender, so the channel cannot close while we wait.
        let _ = changes.wait_for(|now| *now >= urgency).await;
    }
}

/// Takes over SIGTERM and SIGINT. From the return of this call on none of them is lost, even when
/// the process is busy with slow work.
///
/// # Errors
/// When the system refuses to install a handler.
pub fn install(tasks: &Tasks, shutdown: &Shutdown) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (shutdown, token) = (shutdown.clone(), tasks.token().clone());
    tasks.spawn("signals", async move {
        for urgency in [Urgency::Drain, Urgency::Stop] {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
                () = token.cancelled() => return,
            };
            tracing::info!(event = "signal", signal = name, ?urgency, "signal received");
            shutdown.request(urgency);
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urgency_only_rises() {
        let shutdown = Shutdown::new();
        let mut changes = shutdown.watch();
        shutdown.request(Urgency::Drain);
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        for same_or_lower in [Urgency::Drain, Urgency::Run] {
            shutdown.request(same_or_lower);
            assert_eq!(shutdown.urgency(), Urgency::Drain);
            assert!(!changes.has_changed().unwrap());
        }
        shutdown.request(Urgency::Stop);
        assert_eq!(shutdown.urgency(), Urgency::Stop);
    }
}
