//! The body of an answer that leaves the gateway: its own, or a replica's passed on.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::Full;

use super::Received;
use crate::rotation::Permit;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Keeps a replica's permit until its last byte has been handed on, or its client has left.
#[derive(Debug)]
pub struct Body(Kind);

#[derive(Debug)]
enum Kind {
    Full(Full<Bytes>),
    Stream {
        body: Box<Received>,
        permit: Option<Box<Permit>>,
    },
}

impl Body {
    #[must_use]
    pub fn empty() -> Self {
        Body(Kind::Full(Full::default()))
    }

    #[must_use]
    pub fn full(bytes: Bytes) -> Self {
        Body(Kind::Full(Full::new(bytes)))
    }

    #[must_use]
    pub fn stream(body: Received, permit: Permit) -> Self {
        Body(Kind::Stream {
            body: Box::new(body),
            permit: Some(Box::new(permit)),
        })
    }
}

/// Nothing, as for an answer that a layer gives by itself.
impl Default for Body {
    fn default() -> Self {
        Body::empty()
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Kind::Full(body) => Pin::new(body)
                .poll_frame(cx)
                .map_err(|never| match never {}),
            Kind::Stream { body, permit } => {
                let frame = ready!(Pin::new(&mut **body).poll_frame(cx));
                if let Some(Err(_)) = &frame
                    && let Some(permit) = permit
                {
                    permit.failed();
                }
                if !matches!(frame, Some(Ok(_))) {
                    *permit = None;
                }
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Full(body) => body.is_end_stream(),
            Kind::Stream { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Full(body) => body.size_hint(),
            Kind::Stream { body, .. } => body.size_hint(),
        }
    }
}
