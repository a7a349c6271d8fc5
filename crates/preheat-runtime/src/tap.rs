//! Copies of requests for who listens to them; nothing is kept, and nothing is copied while nobody
//! listens. Most processes never have a listener: places for copies are made for the first one.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// Copies that a slow listener may be behind; it misses what is beyond.
const BEHIND: usize = 256;

/// Bodies above this are not copied: what a slow listener holds up stays within 16 MiB.
const LARGEST: usize = 64 * 1024;

/// Where copies are offered. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Tap(Arc<OnceLock<broadcast::Sender<Copied>>>);

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    pub path: String,
    pub body: Bytes,
}

/// Who listens.
#[derive(Debug)]
pub struct Listener(broadcast::Receiver<Copied>);

impl Tap {
    /// Whether a copy would reach anybody.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0
            .get()
            .is_some_and(|copies| copies.receiver_count() > 0)
    }

    /// Offers a copy; of a large body nobody gets one.
    pub fn offer(&self, path: &str, body: Bytes) {
        let listeners = self.0.get().filter(|_| self.is_open());
        if let Some(copies) = listeners.filter(|_| body.len() <= LARGEST) {
            let path = path.to_owned();
            // The last one may have left just now.
            let _ = copies.send(Copied { path, body });
        }
    }

    #[must_use]
    pub fn listen(&self) -> Listener {
        let copies = self.0.get_or_init(|| broadcast::Sender::new(BEHIND));
        Listener(copies.subscribe())
    }
}

impl Listener {
    /// The next copy; none once there will be no more.
    pub async fn next(&mut self) -> Option<Copied> {
        loop {
            match self.0.recv().await {
                Ok(copied) => return Some(copied),
                // A sample is a sample.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_copied_for_nobody_and_the_newest_for_the_slow() {
        let tap = Tap::default();
        assert!(!tap.is_open());
        tap.offer("/a", Bytes::new());
        let mut listener = tap.listen();
        for number in 0..BEHIND + 10 {
            tap.offer("/a", Bytes::from(number.to_string()));
        }
        assert_eq!(listener.next().await.unwrap().body, "10");
        tap.offer("/a", Bytes::from(vec![0; LARGEST + 1]));
        tap.offer("/last", Bytes::new());
        let mut paths = Vec::new();
        while paths.last().is_none_or(|path| path != "/last") {
            let copied = listener.next().await.unwrap();
            assert!(copied.body.len() <= LARGEST);
            paths.push(copied.path);
        }
        drop(listener);
        assert!(!tap.is_open());
    }
}
