//! A gate that only a token can open.
//!
//! Readiness is not a boolean that anyone may set: it opens by handing a `T` in by value, and who
//! cannot make a `T` cannot open it. It announces "open" after that is true, and "closed" before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

/// Closed until a `T` is handed in. Share it in an [`Arc`].
#[derive(Debug)]
pub struct Latch<T> {
    open: AtomicBool,
    value: watch::Sender<Option<Arc<T>>>,
}

impl<T> Default for Latch<T> {
    fn default() -> Self {
        Latch {
            open: AtomicBool::new(false),
            value: watch::Sender::new(None),
        }
    }
}

impl<T> Latch<T> {
    /// A closed latch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens the latch, or replaces what holds it open.
    pub fn open(&self, value: T) {
        self.value.send_replace(Some(Arc::new(value)));
        self.open.store(true, Ordering::Release);
    }

    /// Closes the latch and returns what held it open.
    pub fn close(&self) -> Option<Arc<T>> {
        self.open.store(false, Ordering::Release);
        self.value.send_replace(None)
    }

    /// One atomic load.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// What holds the latch open. The lock behind it is only ever held to swap a pointer.
    #[must_use]
    pub fn get(&self) -> Option<Arc<T>> {
        self.value.borrow().clone()
    }

    /// Every change from now on, the present value first.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Option<Arc<T>>> {
        self.value.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a proof is made: by one maker, and not to be copied.
    #[derive(Debug, PartialEq)]
    struct Token(u32);

    #[test]
    fn opens_with_a_token_and_gives_it_back() {
        let latch = Latch::new();
        assert!(!latch.is_open() && latch.get().is_none());
        latch.open(Token(1));
        assert!(latch.is_open());
        assert_eq!(latch.get().as_deref(), Some(&Token(1)));
        latch.open(Token(2));
        assert_eq!(latch.close().as_deref(), Some(&Token(2)));
        assert!(!latch.is_open() && latch.get().is_none());
        assert_eq!(latch.close(), None);
    }

    #[tokio::test]
    async fn tells_those_who_wait() {
        let latch = Latch::new();
        let mut changes = latch.watch();
        let (seen, ()) = tokio::join!(
            async {
                changes
                    .wait_for(Option::is_some)
                    .await
                    .map(|seen| seen.clone())
            },
            async { latch.open(Token(7)) },
        );
        assert_eq!(seen.unwrap().as_deref(), Some(&Token(7)));
    }

    #[test]
    fn whoever_sees_it_open_finds_the_token() {
        let latch = Latch::new();
        std::thread::scope(|scope| {
            scope.spawn(|| latch.open(Token(1)));
            while !latch.is_open() {
                std::hint::spin_loop();
            }
            assert!(latch.get().is_some());
        });
    }
}
