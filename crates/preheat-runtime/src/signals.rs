//! The wish to stop: from a signal, or from whoever holds a [`Shutdown`].
//!
//! The first SIGTERM or SIGINT asks to drain, the second to stop at once. What the program asked
//! for by itself does not count as a signal: a stop hook that drains, followed by the SIGTERM that
//! every orchestrator sends next, is still one polite request.
//!
//! SIGHUP is for who has files to read again ([`Shutdown::hangups`]). Where nobody has any, or when it
//! says that the terminal has just gone, it asks to drain; where it was ignored (`nohup`) it stays so, and
//! who is guarded leaves with its guardian alone.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::tasks::Tasks;

/// Between two looks whether the terminal is still there. Its hangup comes as it goes.
const PERIOD: Duration = Duration::from_secs(10);

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
    /// Somebody else says when this process leaves.
    guarded: Arc<AtomicBool>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Shutdown {
            urgency: watch::Sender::new(Urgency::Run),
            hangups: watch::Sender::new(0),
            guarded: Arc::default(),
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

    /// From now on SIGHUP is no wish to stop: it is sent to all processes of a gateway at once, and that
    /// tells its replicas what follows.
    pub fn set_guarded(&self) {
        self.guarded.store(true, Ordering::Relaxed);
    }

    /// SIGHUP has come. `gone`: and with it the terminal.
    pub fn hang_up(&self, gone: bool) {
        let ends = gone || self.hangups.receiver_count() == 0;
        match ends && !self.guarded.load(Ordering::Relaxed) {
            true => self.request(Urgency::Drain),
            false => self.hangups.send_modify(|count| *count += 1),
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
    let mut terminal = Terminal::new(has_terminal);
    let following = async move {
        loop {
            let hung_up = match terminal.may_go() {
                true => timeout(PERIOD, hangup.recv()).await,
                false => Ok(hangup.recv().await),
            };
            match hung_up {
                Ok(Some(())) => {
                    tracing::info!(event = "signal", signal = "SIGHUP", "signal received");
                    shutdown.hang_up(terminal.has_gone());
                }
                Ok(None) => return,
                Err(_) => terminal.look(),
            }
        }
    };
    tasks.spawn("hangups", async move {
        tokio::select! {
            () = following => {}
            () = token.cancelled() => {}
        }
    });
}

/// What is known of the terminal, from a look now and then and at each hangup. Whoever has outlived it is
/// sent SIGHUP for another reason.
struct Terminal<L> {
    is_there: L,
    /// Looks in a row that missed it. At the first its hangup may still be on its way.
    missed: u8,
}

impl<L: Fn() -> bool> Terminal<L> {
    fn new(is_there: L) -> Self {
        let missed = if is_there() { 0 } else { 2 };
        Terminal { is_there, missed }
    }

    fn may_go(&self) -> bool {
        self.missed < 2
    }

    fn look(&mut self) {
        if self.may_go() {
            self.missed = if (self.is_there)() {
                0
            } else {
                self.missed + 1
            };
        }
    }

    /// Whether this hangup is because of it.
    fn has_gone(&mut self) -> bool {
        let gone = self.may_go() && !(self.is_there)();
        self.missed = if gone { 2 } else { self.missed };
        gone
    }
}

/// Nobody can open the terminal of a session that has lost it. What else keeps it from being opened, as no
/// descriptors that are left, says nothing.
fn has_terminal() -> bool {
    let gone = [libc::ENXIO, libc::ENODEV, libc::ENOENT];
    let opened = std::fs::File::open("/dev/tty");
    opened.map_or_else(
        |error| {
            error
                .raw_os_error()
                .is_some_and(|code| !gone.contains(&code))
        },
        |_| true,
    )
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
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_hangup_is_for_who_has_something_to_read_again() {
        let shutdown = Shutdown::new();
        let hangups = shutdown.hangups();
        shutdown.hang_up(false);
        assert!(hangups.has_changed().unwrap());
        assert_eq!(shutdown.urgency(), Urgency::Run);
        drop(hangups);
        shutdown.hang_up(false);
        assert_eq!(shutdown.urgency(), Urgency::Drain);
    }

    #[test]
    fn a_terminal_that_goes_is_a_wish_to_stop_except_for_who_is_guarded() {
        let shutdown = Shutdown::new();
        let mut hangups = shutdown.hangups();
        shutdown.clone().set_guarded();
        shutdown.hang_up(true);
        assert!(hangups.has_changed().unwrap());
        hangups.mark_unchanged();
        drop(hangups);
        shutdown.hang_up(false);
        assert_eq!(shutdown.urgency(), Urgency::Run);
        let alone = Shutdown::new();
        let _hangups = alone.hangups();
        alone.hang_up(true);
        assert_eq!(alone.urgency(), Urgency::Drain);
    }

    #[test]
    fn a_terminal_has_gone_with_its_hangup_or_at_the_second_look() {
        let there = Cell::new(true);
        let mut terminal = Terminal::new(|| there.get());
        assert!(!terminal.has_gone());
        there.set(false);
        // The hangup comes a moment after the look.
        terminal.look();
        assert!(terminal.has_gone());
        assert!(!terminal.has_gone());
        assert!(!terminal.may_go());
        there.set(true);
        let mut outlived = Terminal::new(|| there.get());
        there.set(false);
        outlived.look();
        there.set(true);
        outlived.look();
        there.set(false);
        outlived.look();
        assert!(outlived.may_go());
        outlived.look();
        assert!(!outlived.may_go());
        assert!(!outlived.has_gone());
        assert!(!Terminal::new(|| false).has_gone());
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
