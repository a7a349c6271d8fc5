//! A request body that can be sent twice.
//!
//! It is passed on as it arrives, and what has passed is kept as long as it is small: a server that
//! dies in the middle costs its client time, not the request. One reader at a time; a new one begins
//! from the start, and ends the one before it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use crate::body::BodyError;

/// Why a body could not be passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyFault {
    #[error("the body has more than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("the body did not arrive within {} ms", after.as_millis())]
    TooSlow { after: Duration },
    #[error("the body broke off")]
    Broken,
    /// Another reader has begun.
    #[error("the body is being sent elsewhere")]
    Replaced,
}

impl From<BodyError> for BodyFault {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge { limit } => BodyFault::TooLarge { limit },
            BodyError::TooSlow { after } => BodyFault::TooSlow { after },
            BodyError::Broken(_) => BodyFault::Broken,
        }
    }
}

/// What one body may take.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    pub bytes: usize,
    /// Kept for another try.
    pub kept: usize,
    /// Between two pieces.
    pub patience: Duration,
}

/// The body of one request, shared by the tries to send it.
#[derive(Debug)]
pub struct Replay<B>(Arc<Mutex<State<B>>>);

/// One try's view of the body.
#[derive(Debug)]
pub struct Reader<B> {
    shared: Arc<Mutex<State<B>>>,
    number: u64,
    next: usize,
    hint: SizeHint,
    ended: bool,
}

#[derive(Debug)]
struct State<B> {
    /// None once it has ended.
    body: Option<Pin<Box<B>>>,
    limits: BodyLimits,
    seen: usize,
    kept: Vec<Bytes>,
    trailers: Option<HeaderMap>,
    /// More has passed than is kept.
    forgotten: bool,
    fault: Option<BodyFault>,
    reader: u64,
    timer: Option<Pin<Box<Sleep>>>,
    hint: SizeHint,
}

impl<B: Body<Data = Bytes>> Replay<B> {
    #[must_use]
    pub fn new(body: B, limits: BodyLimits) -> Self {
        let hint = body.size_hint();
        let body = (!body.is_end_stream()).then(|| Box::pin(body));
        Replay(Arc::new(Mutex::new(State {
            body,
            limits,
            seen: 0,
            kept: Vec::new(),
            trailers: None,
            forgotten: false,
            fault: None,
            reader: 0,
            timer: None,
            hint,
        })))
    }

    /// A reader from the start; the one before gets nothing more.
    #[must_use]
    pub fn reader(&self) -> Reader<B> {
        let mut state = lock(&self.0);
        state.reader += 1;
        Reader {
            shared: Arc::clone(&self.0),
            number: state.reader,
            next: 0,
            hint: state.hint,
            ended: state.body.is_none() && state.kept.is_empty() && state.trailers.is_none(),
        }
    }

    /// Whether another reader would see all of it.
    #[must_use]
    pub fn can_repeat(&self) -> bool {
        let state = lock(&self.0);
        !state.forgotten && state.fault.is_none()
    }

    /// Whether nothing more is to come from who sends it.
    #[must_use]
    pub fn has_arrived(&self) -> bool {
        lock(&self.0).has_arrived()
    }

    /// As declared, where it was.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        lock(&self.0).hint.exact()
    }

    /// Bytes that have come so far.
    #[must_use]
    pub fn seen(&self) -> usize {
        lock(&self.0).seen
    }

    /// All of it, where it has come to its end and was kept.
    #[must_use]
    pub fn whole(&self) -> Option<Bytes> {
        let state = lock(&self.0);
        let whole = state.has_arrived() && !state.forgotten && state.fault.is_none();
        whole.then(|| match state.kept.as_slice() {
            [one] => one.clone(),
            pieces => pieces.concat().into(),
        })
    }

    /// What was wrong with the body itself, if it was that.
    #[must_use]
    pub fn fault(&self) -> Option<BodyFault> {
        lock(&self.0).fault
    }
}

fn lock<B>(shared: &Mutex<State<B>>) -> MutexGuard<'_, State<B>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<B> State<B> {
    /// Whoever sends a body of a known length does not wait for its end.
    fn has_arrived(&self) -> bool {
        self.body.is_none() || self.hint.exact() == Some(self.seen as u64)
    }
}

impl<B> State<B>
where
    B: Body<Data = Bytes>,
{
    /// The next piece from the client.
    fn poll_live(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let Some(body) = self.body.as_mut() else {
            return Poll::Ready(None);
        };
        let Poll::Ready(frame) = body.as_mut().poll_frame(cx) else {
            return self.poll_patience(cx);
        };
        self.timer = None;
        match frame {
            None => {
                self.body = None;
                Poll::Ready(None)
            }
            Some(Err(_)) => self.fail(BodyFault::Broken),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => self.passed(data),
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    self.trailers = Some(trailers.clone());
                    self.body = None;
                    Poll::Ready(Some(Ok(Frame::trailers(trailers))))
                }
            },
        }
    }

    fn poll_patience(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let after = self.limits.patience;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(after)));
        match timer.as_mut().poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => self.fail(BodyFault::TooSlow { after }),
        }
    }

    fn passed(&mut self, data: Bytes) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        self.seen = self.seen.saturating_add(data.remaining());
        let limit = self.limits.bytes;
        if self.seen > limit {
            return self.fail(BodyFault::TooLarge { limit });
        }
        if self.seen > self.limits.kept {
            self.forgotten = true;
            self.kept = Vec::new();
        }
        if !self.forgotten {
            self.kept.push(data.clone());
        }
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn fail(&mut self, fault: BodyFault) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        self.fault = Some(fault);
        self.body = None;
        Poll::Ready(Some(Err(fault)))
    }
}

impl<B> Body for Reader<B>
where
    B: Body<Data = Bytes>,
{
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let shared = Arc::clone(&self.shared);
        let mut state = lock(&shared);
        if state.reader != self.number {
            return Poll::Ready(Some(Err(BodyFault::Replaced)));
        }
        if let Some(fault) = state.fault {
            return Poll::Ready(Some(Err(fault)));
        }
        if let Some(data) = state.kept.get(self.next) {
            let frame = Frame::data(data.clone());
            self.next += 1;
            return Poll::Ready(Some(Ok(frame)));
        }
        if state.body.is_none()
            && !self.ended
            && let Some(trailers) = state.trailers.clone()
        {
            self.ended = true;
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        let polled = state.poll_live(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) if frame.is_data() => self.next += 1,
            Poll::Ready(_) => self.ended = true,
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        self.hint
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{StreamExt as _, stream};
    use http_body_util::{BodyExt as _, Full, StreamBody};

    use super::*;

    const LIMITS: BodyLimits = BodyLimits {
        bytes: 10,
        kept: 5,
        patience: Duration::from_secs(1),
    };

    fn body(parts: &[&'static str]) -> impl Body<Data = Bytes, Error = Infallible> + use<> {
        let frames: Vec<_> = parts
            .iter()
            .map(|part| Ok(Frame::data(Bytes::from_static(part.as_bytes()))))
            .collect();
        StreamBody::new(stream::iter(frames))
    }

    async fn all(reader: Reader<impl Body<Data = Bytes>>) -> Result<Bytes, BodyFault> {
        reader.collect().await.map(|all| all.to_bytes())
    }

    #[tokio::test]
    async fn is_read_again_from_the_start() {
        let replay = Replay::new(body(&["ab", "cd"]), LIMITS);
        let mut first = replay.reader();
        let frame = first.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "ab");
        let second = replay.reader();
        assert_eq!(
            first.frame().await.unwrap().unwrap_err(),
            BodyFault::Replaced
        );
        assert_eq!(all(second).await.unwrap(), "abcd");
        assert!(replay.can_repeat());
        assert_eq!(replay.whole().unwrap(), "abcd");
        assert_eq!(all(replay.reader()).await.unwrap(), "abcd");
    }

    #[tokio::test]
    async fn is_whole_once_its_declared_length_has_passed() {
        let replay = Replay::new(Full::new(Bytes::from_static(b"abcd")), LIMITS);
        assert_eq!(replay.whole(), None);
        let mut reader = replay.reader();
        reader.frame().await.unwrap().unwrap();
        assert_eq!(replay.whole().unwrap(), "abcd");
    }

    #[tokio::test]
    async fn what_is_too_long_to_keep_is_sent_once() {
        let replay = Replay::new(body(&["abc", "def"]), LIMITS);
        assert_eq!(all(replay.reader()).await.unwrap(), "abcdef");
        assert!(!replay.can_repeat());
    }

    #[tokio::test]
    async fn too_long_a_body_is_a_fault_of_its_own() {
        let replay = Replay::new(body(&["abcdef", "ghijkl"]), LIMITS);
        let fault = BodyFault::TooLarge { limit: 10 };
        assert_eq!(all(replay.reader()).await.unwrap_err(), fault);
        assert_eq!(replay.fault(), Some(fault));
        assert!(!replay.can_repeat());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stalls_is_too_slow() {
        let first = stream::iter([Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"a")))]);
        let replay = Replay::new(StreamBody::new(first.chain(stream::pending())), LIMITS);
        let fault = all(replay.reader()).await.unwrap_err();
        assert_eq!(
            fault,
            BodyFault::TooSlow {
                after: LIMITS.patience
            }
        );
    }

    #[tokio::test]
    async fn trailers_come_again_too() {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", "1".parse().unwrap());
        let frames = [
            Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"a"))),
            Ok(Frame::trailers(trailers.clone())),
        ];
        let replay = Replay::new(StreamBody::new(stream::iter(frames)), LIMITS);
        for _ in 0..2 {
            let all = replay.reader().collect().await.unwrap();
            assert_eq!(all.trailers(), Some(&trailers));
            assert_eq!(all.to_bytes(), "a");
        }
    }
}
