//! The wish to stop: from a signal, or from whoever holds a [`Shutdown`].
//!
//! The first SIGTERM or SIGINT asks to drain, the second to stop at once. What the program asked
//! for by itself does not count as a signal: a stop hook that drains, followed by the SIGTERM that
//! every orchestrator sends next, is still one polite request.
//!
//! SIGHUP is for who has files to read again ([`Shutdown::hangups`]). Where nobody has any, or when it
//! says that the terminal is gone, it asks to drain; where it was ignored (`nohup`) it stays so.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
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
pub struct Shutdown {
    urgency: watch::Sender<Urgency>,
    hangups: watch::Sender<u64>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Shutdown {
            urgency: watch::Sender::new(Urgency::Run),
            hangups: watch::Sender::new(0),
        }
    }
}

impl Shutdown {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn urgency(&self) -> Urgency {
        *self.urgency.borrow()
    }

    /// Raises the urgency; a lower one than the present changes nothing.
    pub fn request(&self, urgency: Urgency) {
        self.urgency.send_if_modified(|now| {
            let raised = urgency > *now;
            *now = (*now).max(urgency);
            raised
        });
    }

    /// Every change from now on, the present value first.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Urgency> {
        self.urgency.subscribe()
    }

    /// Each SIGHUP from now on. Whoever asks for them takes them over: they are no wish to stop then.
    #[must_use]
    pub fn hangups(&self) -> watch::Receiver<u64> {
        self.hangups.subscribe()
    }

    /// SIGHUP has come.
    pub fn hang_up(&self) {
        match self.hangups.receiver_count() {
            0 => self.request(Urgency::Drain),
            _ => self.hangups.send_modify(|count| *count += 1),
        }
    }

    /// Waits until the urgency is `urgency` or more. Cancel safe.
    pub async fn reached(&self, urgency: Urgency) {
        let mut changes = self.urgency.subscribe();
        // `self` holds the sender, so the channel cannot close while we wait.
        let _ = changes.wait_for(|now| *now >= urgency).await;
    }
}

/// Takes over SIGTERM, SIGINT and SIGHUP. From the return of this call on none of them is lost, even when
/// the process is busy with slow work.
///
/// # Errors
/// When the system refuses to install a handler.
pub fn install(tasks: &Tasks, shutdown: &Shutdown) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    if !hangup_is_ignored() {
        follow_hangups(signal(SignalKind::hangup())?, tasks, shutdown.clone());
    }
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

fn follow_hangups(mut hangup: Signal, tasks: &Tasks, shutdown: Shutdown) {
    let token = tasks.token().clone();
    let began_with_terminal = has_terminal();
    tasks.spawn("hangups", async move {
        loop {
            let hung_up = tokio::select! {
                hung_up = hangup.recv() => hung_up,
                () = token.cancelled() => return,
            };
            if hung_up.is_none() {
                return;
            }
            tracing::info!(event = "signal", signal = "SIGHUP", "signal received");
            match began_with_terminal && !has_terminal() {
                true => shutdown.request(Urgency::Drain),
                false => shutdown.hang_up(),
            }
        }
    });
}

/// Nobody can open the terminal of a session that has lost it.
fn has_terminal() -> bool {
    std::fs::File::open("/dev/tty").is_ok()
}

/// As `nohup` has it. Elsewhere than on Linux nobody knows.
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // The lowest bit is signal 1.
    ignored.is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hangup_is_for_who_has_something_to_read_again() {
        let shutdown = Shutdown::new();
        let hangups = shutdown.hangups();
        shutdown.hang_up();
        assert!(hangups.has_changed().unwrap());
        assert_eq!(shutdown.urgency(), Urgency::Run);
        drop(hangups);
        shutdown.hang_up();
        assert_eq!(shutdown.urgency(), Urgency::Drain);
    }

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
