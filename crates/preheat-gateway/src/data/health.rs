//! `grpc.health.v1.Health` of a gateway: like its probes it is open, waits for no replica and wakes none.
//!
//! Services: empty and `readiness` for ready, `liveness` for alive, and each model by its name.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::select_all;
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, Limited, StreamBody};
use preheat_runtime::{Draining, Stage};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::timeout;

use super::Arriving;
use super::body::{Body, GRPC_STATUS};
use super::model;
use super::route::Front;
use crate::refusal::Refusal;
use crate::service::Service;

const CHECK: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/grpc.health.v1.Health/Watch";

/// A name and what frames it.
const LONGEST: usize = 1024;

/// Who watches at once: each keeps a stream open for as long as it likes.
pub const WATCHES: usize = 1024;

/// As the protocol numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Serving {
    Yes = 1,
    No = 2,
    /// There is no service of that name, which only who watches is told so.
    Unknown = 3,
}

/// What is asked about, and who knows.
struct Probes {
    services: Vec<Arc<Service>>,
    draining: Draining,
    name: String,
}

pub fn is_asked(path: &str) -> bool {
    path == CHECK || path == WATCH
}

/// # Errors
/// When it is asked about a service that nobody knows, or not understood.
pub async fn answer(front: &Front, request: Request<Arriving>) -> Result<Response<Body>, Refusal> {
    let watches = request.uri().path() == WATCH;
    let probes = Probes {
        services: front.services.clone(),
        draining: front.draining.clone(),
        name: asked(request, front.limits.body_timeout).await?,
    };
    let body = match (watches, probes.serving(probes.are_ready())) {
        (true, _) => probes.watched(place(front)?),
        (false, Serving::Unknown) => return Err(Refusal::NoService(probes.name)),
        (false, known) => {
            let ended = async { Some(Ok::<_, Infallible>(trailers())) };
            Body::own(Full::new(message(known)).with_trailers(ended))
        }
    };
    let mut response = Response::new(body);
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

/// One of the few that may watch at once.
fn place(front: &Front) -> Result<OwnedSemaphorePermit, Refusal> {
    let watches = Arc::clone(&front.watches);
    watches.try_acquire_owned().map_err(|_| Refusal::Streams)
}

/// The name in the one message that comes.
async fn asked(request: Request<Arriving>, patience: Duration) -> Result<String, Refusal> {
    let malformed = || Refusal::Malformed("no request of grpc.health.v1.Health".into());
    let body = Limited::new(request.into_body(), LONGEST).collect();
    let body = timeout(patience, body).await.map_err(|_| malformed())?;
    let body = body.map_err(|_| malformed())?.to_bytes();
    if model::is_empty(&body) {
        return Ok(String::new());
    }
    model::first_text(&body).ok_or_else(malformed)
}

impl Probes {
    /// Those that the answer is made from; none where there is no service of that name.
    fn asked_of(&self) -> Option<&[Arc<Service>]> {
        match self.name.as_str() {
            "liveness" => Some(&[]),
            "" | "readiness" | "inference.GRPCInferenceService" => Some(&self.services),
            name => {
                let named = self.services.iter().find(|service| service.name == name);
                named.map(std::slice::from_ref)
            }
        }
    }

    fn are_ready(&self) -> bool {
        let mut of = self.asked_of().unwrap_or_default().iter();
        of.all(|service| service.is_ready())
    }

    fn serving(&self, ready: bool) -> Serving {
        let leaving = self.draining.stage() >= Stage::Settling && self.name != "liveness";
        match self.asked_of() {
            None => Serving::Unknown,
            Some(_) if ready && !leaving => Serving::Yes,
            Some(_) => Serving::No,
        }
    }

    /// The present status, then each change of it, until the gateway leaves.
    fn watched(self, place: OwnedSemaphorePermit) -> Body {
        let of = self.asked_of().unwrap_or_default().iter();
        let changes: Vec<_> = of.map(|service| service.watch_ready()).collect();
        let state = (self, changes, None, place);
        let changes = stream::unfold(state, |(probes, mut changes, last, place)| async move {
            // Nothing follows the last word of one that leaves.
            if last.is_some() && probes.draining.stage() >= Stage::Settling {
                return None;
            }
            loop {
                // As published, though that may be a moment late: each change of it is heard of.
                let ready = changes.iter().all(|service| *service.borrow());
                let now = probes.serving(ready);
                if last != Some(now) {
                    let frame = Ok::<_, Infallible>(Frame::data(message(now)));
                    return Some((frame, (probes, changes, Some(now), place)));
                }
                tokio::select! {
                    () = any(&mut changes) => {}
                    () = probes.draining.reached(Stage::Settling) => {
                        if probes.serving(ready) == now {
                            return None;
                        }
                    }
                }
            }
        });
        let ended = stream::once(async { Ok(Frame::trailers(trailers())) });
        Body::own(StreamBody::new(changes.chain(ended)))
    }
}

/// Until one of them has changed.
async fn any(changes: &mut [watch::Receiver<bool>]) {
    if changes.is_empty() {
        return pending().await;
    }
    let changed = changes
        .iter_mut()
        .map(|service| Box::pin(service.changed()));
    // Services live as long as who watches them.
    let _ = select_all(changed).await;
}

/// `HealthCheckResponse`, behind its length.
fn message(serving: Serving) -> Bytes {
    Bytes::copy_from_slice(&[0, 0, 0, 0, 2, 0x08, serving as u8])
}

fn trailers() -> HeaderMap {
    HeaderMap::from_iter([(
        header::HeaderName::from_static(GRPC_STATUS),
        HeaderValue::from_static("0"),
    )])
}
