//! Where a request goes: what surrounds it, who may ask, and which service has to answer.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::HeaderValue;
use http::request::Parts;
use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use preheat_api::config::HealthIs;
use preheat_api::headers::REQUEST_ID;
use preheat_api::problem::Family;
use preheat_runtime::hops;
use preheat_runtime::keys::{Admitted, Keys};
use preheat_runtime::rates::{self, Rates};
use preheat_runtime::replay::Replay;
use preheat_runtime::tap::Tap;
use preheat_runtime::{Draining, Peer, Stage, telemetry, tunnel, unread};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::{Instrument as _, Span};

use super::Arriving;
use super::arrive::{ArrivalLimits, Arrivals, arrive};
use super::body::Body;
use super::forward::{Call, forward, is_grpc, replay};
use super::upgrade::{self, Upgrade};
use super::{health, model, own, place};
use crate::metrics::Metrics;
use crate::refusal::Refusal;
use crate::service::Service;

/// Longest request id that is taken over from a client.
const LONGEST_ID: usize = 128;

/// Of paths that nobody knows.
const UNMATCHED: &str = "unmatched";

/// What the front doors share.
#[derive(Debug)]
pub struct Front {
    pub services: Vec<Arc<Service>>,
    pub keys: Keys,
    pub rates: Rates,
    pub health_is: HealthIs,
    pub limits: FrontLimits,
    pub arrivals: Arrivals,
    /// Places for those who watch our health.
    pub watches: Arc<Semaphore>,
    pub metrics: Arc<Metrics>,
    pub draining: Draining,
    /// Where copies of users' requests go while somebody records them.
    pub tap: Tap,
    /// Begins the ids of requests that bring none.
    pub id: String,
    pub asked: AtomicU64,
}

#[derive(Debug, Clone, Copy)]
pub struct FrontLimits {
    pub max_body: usize,
    pub body_timeout: Duration,
    /// Bodies that are waited for, of all requests together.
    pub arriving: ArrivalLimits,
    /// How long a connection that has left HTTP may be silent.
    pub tunnel_idle: Duration,
}

/// Answers one request; the service of every front door.
pub async fn serve(
    front: Arc<Front>,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let since = Instant::now();
    let id = front.request_id(request.headers());
    let placed = place::find(&front.services, &request).cloned();
    if let Some(service) = &placed {
        place::take_off(&mut request, &service.terms.route.prefix);
    }
    let grpc = is_grpc(request.headers());
    let route = label(request.uri().path(), grpc);
    let family = Family::of(request.uri().path());
    // At the level info nothing is logged on the way, and a span costs a tenth of it.
    let span = tracing::debug_span!(
        "request",
        otel.name = format!("{} {route}", request.method()),
        otel.kind = "server",
        http.request.method = %request.method(),
        http.route = route,
        http.response.status_code = tracing::field::Empty,
        request_id = id.to_str().unwrap_or_default(),
        trace_id = tracing::field::Empty,
    );
    telemetry::continue_trace(&span, request.headers());
    let (request, unread) = unread::watch(request);
    let answered = front
        .answer(request, placed.as_ref(), &id, since)
        .instrument(span.clone())
        .await;
    let mut response = match answered {
        Ok(mut response) => {
            if let Some(unread) = unread {
                unread.settle(response.headers_mut()).await;
            }
            response
        }
        Err(refusal) => {
            if refusal.turns_away() {
                front.metrics.rejected(refusal.code());
            }
            let service = placed.as_ref().or(front.services.first());
            let model = service.map_or("", |service| service.name.as_str());
            let mut response = match grpc {
                true => refusal.grpc(),
                false => refusal.http(family, model, id.to_str().unwrap_or_default()),
            };
            if let Some(unread) = unread {
                unread.settle_refusal(response.headers_mut()).await;
            }
            response
        }
    };
    response.headers_mut().insert(REQUEST_ID, id);
    let code = response.status().as_u16();
    span.record("http.response.status_code", code);
    front.metrics.request(route, code, since.elapsed());
    Ok(response)
}

impl Front {
    async fn answer(
        &self,
        mut request: Request<Arriving>,
        placed: Option<&Arc<Service>>,
        id: &HeaderValue,
        since: Instant,
    ) -> Result<Response<Body>, Refusal> {
        if let Some(own) = own::answer(self, placed, &request) {
            return own;
        }
        if is_grpc(request.headers()) && health::is_asked(request.uri().path()) {
            return Box::pin(health::answer(self, request)).await;
        }
        self.admit(request.headers())?;
        if self.draining.stage() >= Stage::Refusing {
            return Err(Refusal::Draining);
        }
        let peer = request.extensions().get::<Peer>().copied();
        let caller = rates::caller(&self.keys, request.headers(), peer.as_ref());
        self.rates.check(&caller)?;
        let protocol = tunnel::wanted(request.headers());
        let client = request.extensions_mut().remove::<OnUpgrade>();
        let added = request.headers_mut();
        hops::strip(added);
        self.keys.withhold(added);
        let (address, tls) = peer.map_or((None, false), |peer| (peer.address, peer.tls));
        hops::forwarded(added, address, tls);
        added.insert(REQUEST_ID, id.clone());
        telemetry::inject_trace(&Span::current(), added);
        let is_grpc = is_grpc(request.headers());
        let (parts, body) = request.into_parts();
        // Whatever can be said without the body is said before it is read.
        let by_head = match placed {
            Some(service) => Some(service),
            None => self.service_by_head(&parts, is_grpc)?,
        };
        if let Some(service) = by_head {
            service.terms.rates.check(&caller)?;
        }
        self.has_route(by_head, parts.uri.path(), is_grpc)?;
        let (body, declared) = replay(self, by_head, body, is_grpc)?;
        if !is_grpc {
            arrive(self, by_head, &body, since).await?;
        }
        let bytes = declared.max(body.seen() as u64);
        let service = match by_head {
            Some(service) => service,
            None => {
                let service = self.service_by_body(&parts, &body, is_grpc).await?;
                service.terms.rates.check(&caller)?;
                self.has_route(Some(service), parts.uri.path(), is_grpc)?;
                service
            }
        };
        if let (Some(protocol), Some(client)) = (protocol, client) {
            let upgrade = Upgrade {
                parts,
                protocol,
                client,
                since,
            };
            return upgrade::forward(self, service, upgrade).await;
        }
        let call = Call {
            parts,
            body,
            bytes,
            is_grpc,
            since,
        };
        forward(self, service, call).await
    }

    pub(super) fn admit(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        match self.keys.check(headers) {
            Admitted::Yes => Ok(()),
            Admitted::NoKey => Err(Refusal::NoKey),
            Admitted::WrongKey => Err(Refusal::WrongKey),
        }
    }

    /// A gateway with one service has no choice, and leaves unknown models to its replicas. None where
    /// the body has to say it.
    fn service_by_head(
        &self,
        parts: &Parts,
        is_grpc: bool,
    ) -> Result<Option<&Arc<Service>>, Refusal> {
        if let [only] = self.services.as_slice()
            && only.terms.route.is_open()
        {
            return Ok(Some(only));
        }
        match model::in_path(parts.uri.path()) {
            Some(model) => self.service_called(&model).map(Some),
            None if model::may_be_in_body(parts, is_grpc) => Ok(None),
            None => self.open_service().map(Some),
        }
    }

    async fn service_by_body(
        &self,
        parts: &Parts,
        body: &Replay<Arriving>,
        is_grpc: bool,
    ) -> Result<&Arc<Service>, Refusal> {
        match model::in_body(parts, body, is_grpc).await? {
            Some(model) => self.service_called(&model),
            None => self.open_service(),
        }
    }

    fn service_called(&self, model: &str) -> Result<&Arc<Service>, Refusal> {
        let found = self.services.iter().find(|service| service.name == model);
        found.ok_or_else(|| Refusal::UnknownModel(model.to_owned()))
    }

    /// What names no model is for the first that has no route of its own.
    fn open_service(&self) -> Result<&Arc<Service>, Refusal> {
        let open = self.services.iter().find(|s| s.terms.route.is_open());
        open.ok_or(Refusal::NoRoute)
    }

    /// Our own replicas have no other routes; to be told so, none need be woken. `service`: unknown as
    /// long as the body has to say it.
    fn has_route(
        &self,
        service: Option<&Arc<Service>>,
        path: &str,
        is_grpc: bool,
    ) -> Result<(), Refusal> {
        match self.is_own(service) && label(path, is_grpc) == UNMATCHED {
            true => Err(Refusal::NoRoute),
            false => Ok(()),
        }
    }

    /// Whether the service's routes are ours, or those of every service that it may be.
    pub(super) fn is_own(&self, service: Option<&Arc<Service>>) -> bool {
        match service {
            Some(service) => service.terms.nature.own,
            None => self.services.iter().all(|s| s.terms.nature.own),
        }
    }

    /// How long a request may take as a whole: as its service has it, or the most patient of them.
    pub(super) fn patience(&self, service: Option<&Arc<Service>>) -> Duration {
        match service {
            Some(service) => service.terms.request_timeout,
            None => {
                let each = self.services.iter().map(|s| s.terms.request_timeout);
                each.max().unwrap_or_default()
            }
        }
    }

    /// The client's own id if it is harmless, else one that no other request has.
    fn request_id(&self, headers: &HeaderMap) -> HeaderValue {
        let harmless = |id: &&HeaderValue| {
            id.to_str()
                .is_ok_and(|id| !id.is_empty() && id.len() <= LONGEST_ID)
        };
        if let Some(id) = headers.get(REQUEST_ID).filter(harmless) {
            return id.clone();
        }
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        let id = format!("{}-{number:x}", self.id);
        HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("none"))
    }
}

/// The route as a label: from a list, since paths are the client's to invent.
fn label(path: &str, is_grpc: bool) -> &'static str {
    const KNOWN: &[&str] = &[
        "/",
        "/embed",
        "/predict",
        "/rerank",
        "/tokenize",
        "/info",
        "/classify/image",
        "/v1/embeddings",
        "/v1/models",
        "/v2",
        "/health",
        "/ready",
        "/readyz",
        "/livez",
        "/startupz",
        "/ping",
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models/stats",
        "/metrics",
        "/openapi.json",
        "/docs",
    ];
    if is_grpc {
        return "grpc";
    }
    if let Some(known) = KNOWN.iter().find(|known| **known == path) {
        return known;
    }
    if path.starts_with("/v1/models/") {
        return "/v1/models/{model}";
    }
    match path.strip_prefix("/v2/models/") {
        Some(rest) if rest.ends_with("/infer") => "/v2/models/{model}/infer",
        Some(rest) if rest.ends_with("/ready") => "/v2/models/{model}/ready",
        Some(_) => "/v2/models/{model}",
        None => UNMATCHED,
    }
}

#[cfg(test)]
mod tests {
    use preheat_api::openapi;

    use super::*;

    #[test]
    fn every_route_of_a_replica_has_a_label() {
        let document = serde_json::to_value(openapi::document()).unwrap();
        let paths = document["paths"].as_object().unwrap();
        assert!(paths.len() > 10, "{paths:?}");
        for path in paths.keys() {
            let asked = path.replace(['{', '}'], "");
            assert_ne!(label(&asked, false), UNMATCHED, "{path}");
        }
        assert_eq!(label("/favicon.ico", false), UNMATCHED);
    }
}
