//! What one connection is doing, and until when it may.
//!
//! A connection waits for its protocol, is in the middle of a head, answers, idles, cannot get rid
//! of its bytes, or says goodbye; each has its limit. The bytes (`watched`), the requests
//! (`service`) and the timer (`connection`) of a connection share one [`Life`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::edge::framing::{Framing, Protocol};

/// How long a connection that we have closed may be silent before we believe that it took note.
/// Closing at once would reset it, and a reset can overtake the answer.
pub(crate) const LINGER: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// For a whole head, from its first byte; and for the first byte of all.
    pub(crate) header: Duration,
    /// Between two requests; also for bytes that the other side does not take.
    pub(crate) idle: Duration,
}

#[derive(Debug, Clone)]
pub(crate) struct Life(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    limits: Limits,
    protocol: Protocol,
    opened: Instant,
    head_since: Option<Instant>,
    idle_since: Instant,
    stalled_since: Option<Instant>,
    lingering_since: Option<Instant>,
    last_moved: Instant,
    first_bad: Option<u64>,
    requests: u64,
    answering: usize,
}

/// What a connection is given time for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// To send a whole head.
    Head,
    /// To come up with another request.
    Idle,
    /// To take what we send.
    Stalled,
    /// To see that we have closed our half.
    Lingering,
}

/// Is alive while a request of this connection is being answered.
#[derive(Debug)]
pub(crate) struct Answering(Life);

/// What is known of a connection at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Status {
    pub(crate) protocol: Protocol,
    /// Requests under way.
    pub(crate) answering: usize,
    /// Nothing is asked and nothing is on its way.
    pub(crate) at_rest: bool,
    pub(crate) last_moved: Instant,
}

impl Life {
    pub(crate) fn new(limits: Limits) -> Self {
        let now = Instant::now();
        Life(Arc::new(Mutex::new(State {
            limits,
            protocol: Protocol::Unknown,
            opened: now,
            head_since: None,
            idle_since: now,
            stalled_since: None,
            lingering_since: None,
            last_moved: now,
            first_bad: None,
            requests: 0,
            answering: 0,
        })))
    }

    /// Bytes came in and were shown to `framing`.
    pub(crate) fn received(&self, framing: &Framing) {
        let now = Instant::now();
        let mut state = self.lock();
        state.last_moved = now;
        if state.protocol == Protocol::Unknown && framing.protocol() != Protocol::Unknown {
            state.protocol = framing.protocol();
            state.idle_since = now;
        }
        state.head_since = framing.in_head().then(|| state.head_since.unwrap_or(now));
        state.first_bad = framing.first_bad();
    }

    /// Bytes went out, or did not.
    pub(crate) fn sent(&self, moved: bool) {
        let now = Instant::now();
        let mut state = self.lock();
        if moved {
            state.last_moved = now;
            state.stalled_since = None;
        } else {
            state.stalled_since.get_or_insert(now);
        }
    }

    /// Bytes came in that nobody will read.
    pub(crate) fn discarded(&self) {
        let now = Instant::now();
        self.lock().last_moved = now;
    }

    /// Our half is closed; we only wait for the other side to see it.
    pub(crate) fn lingers(&self) {
        let now = Instant::now();
        self.lock().lingering_since.get_or_insert(now);
    }

    /// A request was read; `None` if its length is not clear, and it must be refused.
    pub(crate) fn request(&self) -> (Answering, bool) {
        let mut state = self.lock();
        let index = state.requests;
        state.requests += 1;
        state.answering += 1;
        let clear =
            state.protocol == Protocol::Http2 || state.first_bad.is_none_or(|bad| index < bad);
        (Answering(self.clone()), clear)
    }

    /// When the connection has to be dropped if nothing happens until then. `None` while we are the
    /// ones who are waited for.
    pub(crate) fn deadline(&self) -> Option<(Instant, Wait)> {
        self.lock().deadline()
    }

    pub(crate) fn status(&self) -> Status {
        let state = self.lock();
        Status {
            protocol: state.protocol,
            answering: state.answering,
            at_rest: state.answering == 0 && state.stalled_since.is_none(),
            last_moved: state.last_moved,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn deadline(&self) -> Option<(Instant, Wait)> {
        let Limits { header, idle } = self.limits;
        if let Some(since) = self.lingering_since {
            let silent = self.last_moved.max(since) + LINGER;
            return Some((silent.min(since + header), Wait::Lingering));
        }
        if let Some(since) = self.stalled_since {
            return Some((since + idle, Wait::Stalled));
        }
        if self.answering > 0 {
            return None;
        }
        Some(match (self.protocol, self.head_since) {
            (Protocol::Unknown, _) => (self.opened + header, Wait::Head),
            // A head may have begun while the answer before it was still under way.
            (_, Some(since)) => (since.max(self.idle_since) + header, Wait::Head),
            (_, None) => (self.idle_since + idle, Wait::Idle),
        })
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let now = Instant::now();
        let mut state = self.0.lock();
        state.answering -= 1;
        state.idle_since = now;
    }
}
