//! `grpc.health.v1.Health` of a gateway: like its probes it is open, waits for no replica and wakes none.
//!
//! Services: empty and `readiness` for ready, `liveness` for alive, and each model by its name.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, Limited, StreamBody};
use hyper::body::Incoming;
use preheat_runtime::{Draining, Stage};
use tokio::time::{interval, timeout};

use super::body::{Body, GRPC_STATUS};
use super::model;
use super::route::Front;
use crate::refusal::Refusal;
use crate::report;
use crate::service::Service;

const CHECK: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/grpc.health.v1.Health/Watch";

/// A name and what frames it.
const LONGEST: usize = 1024;

/// Between two looks of one who watches.
const LOOK: Duration = Duration::from_millis(250);

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
pub async fn answer(front: &Front, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    let watches = request.uri().path() == WATCH;
    let probes = Probes {
        services: front.services.clone(),
        draining: front.draining.clone(),
        name: asked(request, front.limits.body_timeout).await?,
    };
    let body = match (watches, probes.serving()) {
        (true, _) => probes.watched(),
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

/// The name in the one message that comes.
async fn asked(request: Request<Incoming>, patience: Duration) -> Result<String, Refusal> {
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
    fn serving(&self) -> Serving {
        let leaving = self.draining.stage() >= Stage::Settling;
        let ready = |services: &[Arc<Service>]| match !leaving && report::is_ready(services) {
            true => Serving::Yes,
            false => Serving::No,
        };
        match self.name.as_str() {
            "liveness" => Serving::Yes,
            "" | "readiness" | "inference.GRPCInferenceService" => ready(&self.services),
            name => match self.services.iter().find(|service| service.name == name) {
                Some(service) => ready(std::slice::from_ref(service)),
                None => Serving::Unknown,
            },
        }
    }

    /// The present status, then each change of it, until the gateway leaves.
    fn watched(self) -> Body {
        let state = (self, interval(LOOK), None);
        let changes = stream::unfold(state, |(probes, mut looks, last)| async move {
            // Nothing follows the last word of one that leaves.
            if last.is_some() && probes.draining.stage() >= Stage::Settling {
                return None;
            }
            loop {
                let now = probes.serving();
                if last != Some(now) {
                    let frame = Ok::<_, Infallible>(Frame::data(message(now)));
                    return Some((frame, (probes, looks, Some(now))));
                }
                tokio::select! {
                    _ = looks.tick() => {}
                    () = probes.draining.reached(Stage::Settling) => {
                        if probes.serving() == now {
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
