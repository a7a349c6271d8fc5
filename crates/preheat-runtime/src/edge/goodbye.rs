//! The word by which a connection ends, between those who ask for it and the one who says it.
//!
//! HTTP/2 can say goodbye (GOAWAY) at any time without losing a request; but clients are known to
//! drop, or to take for failed, a request that they are just sending. So it is said right before an
//! answer, while the client that asked waits: the answer's task asks for it and holds the answer
//! back until the connection's task has said it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

/// An answer is not held back for longer; the connection's task needs microseconds.
const HOLD: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Word {
    Unsaid,
    Wanted,
    Said,
}

/// One for each connection; clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Goodbye(Arc<watch::Sender<Word>>);

impl Goodbye {
    pub(crate) fn new() -> Self {
        Goodbye(Arc::new(watch::Sender::new(Word::Unsaid)))
    }

    /// Asks for the goodbye, and waits until it has been said.
    pub(crate) async fn ask(&self) {
        self.advance(Word::Wanted);
        let mut word = self.0.subscribe();
        // On a timeout the answer goes first. It cannot be an error: we hold the sender.
        let _ = timeout(HOLD, word.wait_for(|word| *word == Word::Said)).await;
    }

    /// Waits until somebody asks for it; for ever once it has been said. Cancel safe.
    pub(crate) async fn asked(&self) {
        let mut word = self.0.subscribe();
        let _ = word.wait_for(|word| *word == Word::Wanted).await;
    }

    pub(crate) fn is_asked(&self) -> bool {
        *self.0.borrow() == Word::Wanted
    }

    pub(crate) fn say(&self) {
        self.advance(Word::Said);
    }

    fn advance(&self, to: Word) {
        self.0.send_if_modified(|word| {
            let changes = to > *word;
            *word = (*word).max(to);
            changes
        });
    }
}
