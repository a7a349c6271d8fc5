//! Bodies of requests that were answered before they were read.
//!
//! An HTTP/1 connection can go on only behind the whole of a body. Left unread, one that came a
//! moment after its head would end the connection without a word, and the client's next request,
//! which may be a good one, with it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, Version, header};
use axum::middleware::Next;
use axum::response::Response;
use http_body::{Body as HttpBody, Frame, SizeHint};
use preheat_runtime::body;

/// What is larger costs more than another connection.
const MOST: usize = 64 * 1024;

/// A body comes right behind its head, or is not worth the wait.
const PATIENCE: Duration = Duration::from_millis(100);

/// Reads what is left of a body, or says that the connection ends.
pub async fn read(request: Request, next: Next) -> Response {
    if request.version() > Version::HTTP_11 || request.body().is_end_stream() {
        return next.run(request).await;
    }
    // Whoever asks first whether to send a body was told.
    let asks = request.headers().contains_key(header::EXPECT);
    let left = Left::default();
    let watched = request.map(|inner| {
        Body::new(Watched {
            inner: Some(inner),
            left: Arc::clone(&left),
        })
    });
    let mut response = next.run(watched).await;
    let unread = left.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(unread) = unread
        && (asks || body::read(unread, MOST, PATIENCE).await.is_err())
    {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

type Left = Arc<Mutex<Option<Body>>>;

/// Hands the body back where it is dropped before its end.
struct Watched {
    inner: Option<Body>,
    left: Left,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(inner) = &mut self.inner else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(inner).poll_frame(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.inner = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Some(inner) => inner.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let unread = self.inner.take().filter(|inner| !inner.is_end_stream());
        if unread.is_some() {
            *self.left.lock().unwrap_or_else(PoisonError::into_inner) = unread;
        }
    }
}
