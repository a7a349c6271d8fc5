//! How many requests are being answered.
//!
//! A [`Permit`] is one of them. It lives as long as the body of the response, not its head: a
//! request is over when its last byte has been handed to the connection, or when its client left.
//!
//! [`InFlight::seal`] marks the point of a drain from which requests are refused. Those that enter
//! later (refusals, health checks) are not waited for, or a client that keeps asking could hold the
//! process up until the limit.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::sync::Notify;

/// A counter of requests in flight. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct InFlight(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    count: AtomicUsize,
    sealed: AtomicBool,
    idle: Notify,
}

/// One request in flight; dropping it ends the request.
#[derive(Debug)]
#[must_use = "the request counts as over when its permit is dropped"]
pub struct Permit(Option<Arc<Inner>>);

/// The requests that were still in flight when the wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{count} requests still in flight")]
pub struct StillInFlight {
    pub count: usize,
}

impl InFlight {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub fn enter(&self) -> Permit {
        if self.0.sealed.load(Ordering::SeqCst) {
            return Permit(None);
        }
        self.0.count.fetch_add(1, Ordering::SeqCst);
        Permit(Some(Arc::clone(&self.0)))
    }

    /// Requests that entered before the seal and are not over.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.count.load(Ordering::SeqCst)
    }

    /// From now on entering requests are not counted.
    pub fn seal(&self) {
        self.0.sealed.store(true, Ordering::SeqCst);
    }

    /// Waits until no counted request is in flight.
    ///
    /// # Errors
    /// [`StillInFlight`] when `limit` passes first.
    pub async fn wait_idle(&self, limit: Duration) -> Result<(), StillInFlight> {
        match tokio::time::timeout(limit, self.idle()).await {
            Ok(()) => Ok(()),
            Err(_) => match self.count() {
                0 => Ok(()),
                count => Err(StillInFlight { count }),
            },
        }
    }

    async fn idle(&self) {
        loop {
            // Registered before the count is read: a drop in between wakes us all the same.
            let mut notified = std::pin::pin!(self.0.idle.notified());
            notified.as_mut().enable();
            if self.count() == 0 {
                return;
            }
            notified.await;
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(inner) = self.0.take()
            && inner.count.fetch_sub(1, Ordering::SeqCst) == 1
        {
            inner.idle.notify_waiters();
        }
    }
}

pin_project! {
    /// A body that gives its permit back when it ends or is dropped.
    #[derive(Debug)]
    pub struct PermitBody<B, P = Permit> {
        #[pin]
        body: B,
        permit: Option<P>,
    }
}

impl<B, P> PermitBody<B, P> {
    pub fn new(body: B, permit: P) -> Self {
        PermitBody {
            body,
            permit: Some(permit),
        }
    }
}

impl<B: Body, P> Body for PermitBody<B, P> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.project();
        let frame = ready!(this.body.poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            *this.permit = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::{BodyExt as _, Full};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn waits_for_the_last_permit() {
        let requests = InFlight::new();
        let (one, two) = (requests.enter(), requests.enter());
        assert_eq!(
            requests.wait_idle(SECOND).await,
            Err(StillInFlight { count: 2 })
        );
        let (idle, ()) = tokio::join!(requests.wait_idle(SECOND), async {
            drop(one);
            tokio::task::yield_now().await;
            drop(two);
        });
        assert_eq!(idle, Ok(()));
        assert_eq!(requests.wait_idle(SECOND).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn does_not_wait_for_those_who_come_after_the_seal() {
        let requests = InFlight::new();
        let before = requests.enter();
        requests.seal();
        let after = requests.enter();
        assert_eq!(requests.count(), 1);
        drop(before);
        assert_eq!(requests.wait_idle(SECOND).await, Ok(()));
        drop(after);
        assert_eq!(requests.count(), 0);
    }

    #[tokio::test]
    async fn a_body_keeps_its_permit_to_the_end() {
        let requests = InFlight::new();
        let mut body = PermitBody::new(Full::new(Bytes::from_static(b"x")), requests.enter());
        assert_eq!(body.size_hint().exact(), Some(1));
        assert_eq!(
            body.frame().await.unwrap().unwrap().into_data().unwrap(),
            "x"
        );
        assert_eq!(requests.count(), 1);
        assert!(body.frame().await.is_none());
        assert_eq!(requests.count(), 0);

        // Nobody reads on when the client has left.
        drop(PermitBody::new(
            Full::new(Bytes::from_static(b"x")),
            requests.enter(),
        ));
        assert_eq!(requests.count(), 0);
    }
}
