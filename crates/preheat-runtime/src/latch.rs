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
