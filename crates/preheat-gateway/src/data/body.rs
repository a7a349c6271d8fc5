//! The body of an answer that leaves the gateway: its own, or a replica's passed on.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::Full;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;

use super::Received;
use crate::rotation::{Failure, Permit};

/// How a call of gRPC ended: in the head of an answer, or after its body.
pub const GRPC_STATUS: &str = "grpc-status";

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Keeps a replica's permit until its last byte has been handed on, or its client has left.
#[derive(Debug)]
pub struct Body(Kind);

#[derive(Debug)]
enum Kind {
    Full(Full<Bytes>),
    /// The gateway's own, in pieces or with trailers.
    Own(UnsyncBoxBody<Bytes, Infallible>),
    Stream {
        body: Box<Received>,
        permit: Option<Box<Permit>>,
    },
    /// From a connection that is not kept.
    Single {
        body: Incoming,
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
    pub fn own(body: impl HttpBody<Data = Bytes, Error = Infallible> + Send + 'static) -> Self {
        Body(Kind::Own(UnsyncBoxBody::new(body)))
    }

    #[must_use]
    pub fn single(body: Incoming, permit: Permit) -> Self {
        Body(Kind::Single {
            body,
            permit: Some(Box::new(permit)),
        })
    }

    #[must_use]
    pub fn stream(body: Received, permit: Permit) -> Self {
        Body(Kind::Stream {
            body: Box::new(body),
            permit: Some(Box::new(permit)),
        })
    }
}

/// A piece of a replica's answer, and what it means for the permit.
fn passed(
    frame: Option<Result<Frame<Bytes>, hyper::Error>>,
    permit: &mut Option<Box<Permit>>,
) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
    if fails(frame.as_ref())
        && let Some(permit) = permit
    {
        permit.failed(Failure::Broken);
    }
    if !matches!(frame, Some(Ok(_))) {
        *permit = None;
    }
    Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
}

/// Whether a body breaks off here, or ends with a word of failure.
fn fails(frame: Option<&Result<Frame<Bytes>, hyper::Error>>) -> bool {
    match frame {
        Some(Ok(frame)) => {
            let status = frame.trailers_ref().and_then(|said| said.get(GRPC_STATUS));
            status.is_some_and(|status| is_servers_fault(status.as_bytes()))
        }
        Some(Err(_)) => true,
        None => false,
    }
}

/// Unknown, internal, unavailable, data lost: what a server says of itself and not of the call.
pub fn is_servers_fault(grpc_status: &[u8]) -> bool {
    matches!(grpc_status, b"2" | b"13" | b"14" | b"15")
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
            Kind::Own(body) => Pin::new(body)
                .poll_frame(cx)
                .map_err(|never| match never {}),
            Kind::Stream { body, permit } => {
                let frame = ready!(Pin::new(&mut **body).poll_frame(cx));
                passed(frame, permit)
            }
            Kind::Single { body, permit } => {
                let frame = ready!(Pin::new(body).poll_frame(cx));
                passed(frame, permit)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Full(body) => body.is_end_stream(),
            Kind::Own(body) => body.is_end_stream(),
            Kind::Stream { body, .. } => body.is_end_stream(),
            Kind::Single { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Full(body) => body.size_hint(),
            Kind::Own(body) => body.size_hint(),
            Kind::Stream { body, .. } => body.size_hint(),
            Kind::Single { body, .. } => body.size_hint(),
        }
    }
}
