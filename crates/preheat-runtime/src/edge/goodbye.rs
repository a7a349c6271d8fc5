//! The word by which an HTTP/2 connection ends, between those who ask for it and the one who says it.
//!
//! GOAWAY can be sent at any time without losing a request that is on the wire; but clients are
//! known to fail what they send while they take note of it. So it is said when they wait for us:
//! every answer asks for it and is held back, until all requests under way have come so far, or the
//! first has been held for long enough; then the word goes out, and the answers right behind it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

/// No answer is held back for longer than twice this.
const HOLD: Duration = Duration::from_millis(100);

#[derive(Debug, Default)]
struct State {
    /// Answers that wait.
    held: usize,
    /// One of them has waited for long enough.
    due: bool,
    said: bool,
}

/// One for each connection; clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Goodbye(Arc<watch::Sender<State>>);

impl Goodbye {
    /// Asks for the goodbye, and waits until it has been said.
    pub(crate) async fn ask(&self) {
        let mut changes = self.0.subscribe();
        let asks: [fn(&mut State); 2] = [|state| state.held += 1, |state| state.due = true];
        for ask in asks {
            self.0.send_modify(ask);
            if timeout(HOLD, changes.wait_for(|state| state.said))
                .await
                .is_ok()
            {
                return;
            }
        }
    }

    /// Whether to say it now, while this many requests are under way.
    pub(crate) fn is_due(&self, answering: usize) -> bool {
        let state = self.0.borrow();
        !state.said && state.held > 0 && (state.due || state.held >= answering)
    }

    /// Changes whenever it may have become due.
    pub(crate) fn changes(&self) -> watch::Receiver<impl Sized + use<>> {
        self.0.subscribe()
    }

    pub(crate) fn say(&self) {
        self.0
            .send_if_modified(|state| !std::mem::replace(&mut state.said, true));
    }
}
