//! Bodies of requests that were answered before they were read.
//!
//! An HTTP/1 connection can go on only behind the whole of a body. Left unread, one that came a
//! moment after its head would end the connection without a word, and the client's next request,
//! which may be a good one, with it.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, EXPECT};
use http::{HeaderMap, HeaderValue, Request, Response, Version};
use http_body::{Body, Frame, SizeHint};
use tower::{Layer, Service};

use crate::body;

/// What is larger costs more than another connection.
const MOST: usize = 64 * 1024;

/// A body comes right behind its head, or is not worth the wait.
const PATIENCE: Duration = Duration::from_millis(100);

/// A body that is handed back where it is dropped before its end.
#[derive(Debug)]
pub struct Watched<B: Body> {
    inner: Option<B>,
    /// None where nothing can be left unread.
    rest: Option<Rest<B>>,
}

type Rest<B> = Arc<Mutex<Left<B>>>;

#[derive(Debug)]
enum Left<B> {
    /// Somebody holds it, and may still read.
    InUse,
    Nothing,
    Unread(B),
}

/// What is left of a request's body, for when its answer is there.
#[derive(Debug)]
pub struct Unread<B> {
    rest: Rest<B>,
    /// Its client asked first whether to send it, and was told by the answer.
    asked: bool,
}

/// Watches the body of a request; none where the connection goes on whatever becomes of it.
pub fn watch<B: Body>(request: Request<B>) -> (Request<Watched<B>>, Option<Unread<B>>) {
    let matters = request.version() <= Version::HTTP_11 && !request.body().is_end_stream();
    let rest = matters.then(|| Arc::new(Mutex::new(Left::InUse)));
    let asked = request.headers().contains_key(EXPECT);
    let unread = rest.clone().map(|rest| Unread { rest, asked });
    let request = request.map(|inner| Watched {
        inner: Some(inner),
        rest,
    });
    (request, unread)
}

impl<B> Unread<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// Before an answer goes out: reads what nobody wants any more, or says that the connection ends.
    pub async fn settle(self, answer: &mut HeaderMap) {
        let left = mem::replace(&mut *lock(&self.rest), Left::Nothing);
        if let Left::Unread(rest) = left
            && (self.asked || body::read(rest, MOST, PATIENCE).await.is_err())
        {
            close(answer);
        }
    }

    /// The same before a refusal: whoever still holds the body will not read it to its end.
    pub async fn settle_refusal(self, answer: &mut HeaderMap) {
        if matches!(*lock(&self.rest), Left::InUse) {
            close(answer);
        }
        self.settle(answer).await;
    }
}

/// Lets no answer of a service go out before [`Unread::settle`].
#[derive(Debug, Clone, Copy)]
pub struct Settled;

/// A service with [`Settled`] around it.
#[derive(Debug, Clone)]
pub struct Settling<S>(S);

impl<S> Layer<S> for Settled {
    type Service = Settling<S>;

    fn layer(&self, inner: S) -> Settling<S> {
        Settling(inner)
    }
}

impl<S, B, R> Service<Request<B>> for Settling<S>
where
    S: Service<Request<Watched<B>>, Response = Response<R>>,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    R: Send,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (request, unread) = watch(request);
        let answering = self.0.call(request);
        Box::pin(async move {
            let mut answer = answering.await?;
            if let Some(unread) = unread {
                unread.settle(answer.headers_mut()).await;
            }
            Ok(answer)
        })
    }
}

fn close(answer: &mut HeaderMap) {
    answer.insert(CONNECTION, HeaderValue::from_static("close"));
}

fn lock<B>(rest: &Mutex<Left<B>>) -> std::sync::MutexGuard<'_, Left<B>> {
    rest.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<B: Body> Watched<B> {
    fn leave(&self, left: Left<B>) {
        if let Some(rest) = &self.rest {
            *lock(rest) = left;
        }
    }
}

impl<B: Body + Unpin> Body for Watched<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let Some(inner) = &mut self.inner else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(inner).poll_frame(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.inner = None;
            self.leave(Left::Nothing);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Some(inner) => inner.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

impl<B: Body> Drop for Watched<B> {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take() {
            self.leave(match inner.is_end_stream() {
                true => Left::Nothing,
                false => Left::Unread(inner),
            });
        }
    }
}
