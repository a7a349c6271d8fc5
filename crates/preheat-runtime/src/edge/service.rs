//! What the edge adds to the caller's service, for each request of one connection: the permit, the
//! refusal of requests whose length is not clear, and the word that an HTTP/1 client should leave.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode, Version};
use http_body::Body;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use tower::{Service, ServiceExt as _};

use crate::drain::{Draining, Stage};
use crate::edge::Peer;
use crate::edge::goodbye::Goodbye;
use crate::edge::life::{Answering, Life};
use crate::inflight::{Permit, PermitBody};

/// The body of every answer that leaves through the edge.
pub(crate) type EdgeBody<B> = PermitBody<Either<B, Full<Bytes>>, (Permit, Answering)>;

#[derive(Debug, Clone)]
pub(crate) struct ConnectionService<S> {
    pub(crate) inner: S,
    pub(crate) life: Life,
    pub(crate) leaving: Arc<Leaving>,
    pub(crate) peer: Peer,
}

/// What a connection knows of its end.
#[derive(Debug)]
pub(crate) struct Leaving {
    pub(crate) draining: Draining,
    /// How far the drain had come when the connection was made.
    pub(crate) born: Stage,
    pub(crate) goodbye: Goodbye,
}

impl<S, B> hyper::service::Service<Request<Incoming>> for ConnectionService<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
{
    type Response = Response<EdgeBody<B>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let (answering, clear) = self.life.request();
        let permits = (self.leaving.draining.in_flight().enter(), answering);
        let (leaving, version) = (Arc::clone(&self.leaving), request.version());
        if !clear {
            let response = refusal().map(|body| PermitBody::new(Either::Right(body), permits));
            return Box::pin(std::future::ready(Ok(response)));
        }
        request.extensions_mut().insert(self.peer);
        let response = self.inner.clone().oneshot(request);
        Box::pin(async move {
            let mut response = response.await?;
            leaving.hint(version, &mut response).await;
            Ok(response.map(|body| PermitBody::new(Either::Left(body), permits)))
        })
    }
}

impl Leaving {
    /// Asks the client to use another connection next time, once we want it gone.
    async fn hint<B>(&self, version: Version, response: &mut Response<B>) {
        let stage = self.draining.stage();
        if stage < Stage::Settling {
            return;
        }
        if version < Version::HTTP_2 {
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        } else if self.born == Stage::Open || stage >= Stage::Refusing {
            // Who comes while we settle could not be had elsewhere, and would only come again.
            self.goodbye.ask().await;
        }
    }
}

fn refusal() -> Response<Full<Bytes>> {
    let text = "the length of this request is not clear: send content-length or \
                transfer-encoding, not both\n";
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}
