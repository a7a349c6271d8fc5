//! Polls one connection, and decides when it has to leave.
//!
//! A connection leaves because its time is up or because of a drain. Whatever the reason, a request
//! that is on its way must not be lost: HTTP/1 clients are told in an answer (`service`), HTTP/2
//! clients by a [`Goodbye`], and only connections that say nothing are closed under them.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::server::graceful::GracefulConnection;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::drain::{Draining, Stage};
use crate::edge::framing::Protocol;
use crate::edge::goodbye::Goodbye;
use crate::edge::life::{LINGER, Life, Status, Wait};

/// When we are closing, a connection that has been still for this long has nothing more to say.
pub(crate) const QUIET: Duration = Duration::from_secs(1);

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Done,
    TimedOut,
    Dropped,
}

#[derive(Debug)]
pub(crate) struct Driver {
    draining: Draining,
    life: Life,
    idle: Duration,
    goodbye: Goodbye,
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
    pub(crate) fn new(draining: Draining, life: Life, idle: Duration) -> Self {
        let born = draining.stage();
        let goodbye = Goodbye::default();
        Driver {
            draining,
            life,
            idle,
            goodbye,
            born,
            expired: false,
            farewell: None,
        }
    }

    pub(crate) fn born(&self) -> Stage {
        self.born
    }

    pub(crate) fn goodbye(&self) -> Goodbye {
        self.goodbye.clone()
    }

    pub(crate) async fn drive<C: GracefulConnection>(mut self, connection: C) -> End {
        let mut connection = pin!(connection);
        // A timer that is due at once would wake a thread in the middle of the first request.
        let first_look = match self.born >= Stage::Refusing {
            true => QUIET,
            false => self.idle,
        };
        let mut timer = pin!(sleep_until(Instant::now() + first_look));
        let (mut stage, mut goodbye) = (self.draining.clone(), self.goodbye.changes());
        loop {
            tokio::select! {
                biased;
                event = poll_fn(|cx| self.poll(connection.as_mut(), timer.as_mut(), cx)) => {
                    match event {
                        Event::Ended if self.expired => return End::TimedOut,
                        Event::Ended => return End::Done,
                        Event::Timer => {}
                    }
                }
                () = stage.changed() => {}
                // We hold the sender, so this is never an error.
                _ = goodbye.changed() => {}
            }
            match self.next_check() {
                Ok(at) => timer.as_mut().reset(at),
                Err(end) => return end,
            }
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
            if self.farewell.is_some() {
                self.goodbye.say();
                break;
            }
            if !self.is_time_to_leave() {
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

    /// Whether hyper should end the connection. Closing an idle HTTP/1 connection may cross with a
    /// request, so that is left to the very end.
    fn is_time_to_leave(&self) -> bool {
        let status = self.life.status();
        if self.expired || self.goodbye.is_due(status.answering) {
            return true;
        }
        let since = match status.protocol {
            Protocol::Http2 => Stage::Refusing,
            Protocol::Http1 => Stage::Closing,
            // Hyper would throw away a request of which it has the first bytes.
            Protocol::Unknown => return false,
        };
        self.draining.stage() >= since && status.is_quiet()
    }

    /// When to look again, or how the connection ends now.
    fn next_check(&mut self) -> Result<Instant, End> {
        let (now, stage, deadline) = (Instant::now(), self.draining.stage(), self.life.deadline());
        if stage == Stage::Cut || (stage == Stage::Closing && self.has_nothing_to_say(now)) {
            return Err(End::Dropped);
        }
        if let Some((_, wait)) = deadline.filter(|(at, _)| *at <= now) {
            self.on_deadline(now, wait)?;
        }
        let soon = match deadline {
            _ if stage >= Stage::Refusing => now + QUIET,
            None => now + self.idle,
            // Has just passed: hyper is given the time to say goodbye.
            Some(_) => now + LINGER,
        };
        Ok(deadline
            .map(|(at, _)| at)
            .filter(|at| *at > now)
            .map_or(soon, |at| at.min(soon)))
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

    fn has_nothing_to_say(&self, now: Instant) -> bool {
        let status = self.life.status();
        let told = self.farewell.is_some_and(|at| at + QUIET <= now);
        let lingers = matches!(self.life.deadline(), Some((_, Wait::Lingering)));
        status.is_quiet() && (told || lingers || status.protocol == Protocol::Unknown)
    }
}

impl Status {
    fn is_quiet(&self) -> bool {
        self.at_rest && self.last_moved.elapsed() >= QUIET
    }
}
