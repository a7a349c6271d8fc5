//! The front door of a wrapped server: probes are ours, everything else is passed on as it is, once
//! the gate is open. Bodies stream through in both directions.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Response};
use http_body::Body as _;
use http_body_util::Empty;
use hyper::upgrade::OnUpgrade;
use preheat_api::headers::{REQUEST_ID, SYNTHETIC};
use preheat_runtime::replay::{BodyFault, BodyLimits, Replay};
use preheat_runtime::upstream::{Received, SendError};
use preheat_runtime::{Peer, PermitBody, hops, tunnel};
use tokio::time::Instant;

use super::Running;
use crate::http::Fault;
use crate::http::layers::Context;
use crate::replica::Replica;
use crate::serve_error::ServeError;
use crate::service::Visit;

/// Times that a request may meet connections which the server had closed before it went out.
const UNSENT: usize = 3;

/// What the server is called where a client named no host.
const HOST: &str = "server";

type Answer = Received<preheat_runtime::replay::Reader<Body>>;

/// Passes one request on.
pub async fn forward(
    State(replica): State<Arc<Replica>>,
    request: Request,
) -> Result<Response<Body>, Fault> {
    let (mut parts, body) = request.into_parts();
    let context = parts.extensions.get::<Context>().cloned();
    let arrival = context
        .as_ref()
        .map_or_else(|| replica.service.arrival(false), |context| context.arrival);
    let deadline = arrival.at + replica.settings.limits.request_timeout;
    let visit = replica.service.visit(arrival, deadline).await?;
    let running = replica
        .wrapped
        .as_ref()
        .and_then(|wrapped| wrapped.running());
    let running = running.ok_or_else(|| replica.service.not_ready())?;
    let limit = replica.settings.max_body;
    if body.size_hint().lower() > limit as u64 {
        return Err(ServeError::BodyTooLarge { limit }.into());
    }
    let upgrade = tunnel::wanted(&parts.headers);
    let client = parts.extensions.remove::<OnUpgrade>();
    readdress(&mut parts, context.as_ref());
    replica.settings.api_keys.withhold(&mut parts.headers);
    if let (Some(protocol), Some(client)) = (upgrade, client) {
        let speaks = Upgrade { protocol, client };
        return Ok(upgraded(&replica, &running, &parts, speaks, visit, deadline).await?);
    }
    let replay = Replay::new(
        body,
        BodyLimits {
            bytes: limit,
            kept: limit,
            patience: replica.settings.body_timeout,
        },
    );
    let sending = send(&running, &parts, &replay);
    let limit = replica.settings.limits.request_timeout;
    let response = tokio::time::timeout_at(deadline, sending)
        .await
        .unwrap_or(Err(ServeError::Deadline { limit }))?;
    if !arrival.synthetic {
        replica.service.meet_user(arrival.at);
        let ok = !response.status().is_server_error();
        replica.metrics.served(ok, arrival.at.elapsed());
        if replica.tap.is_open()
            && response.status().is_success()
            && let Some(body) = replay.whole()
        {
            replica.tap.offer(parts.uri.path(), body);
        }
    }
    let (mut parts, body) = response.into_parts();
    hops::strip(&mut parts.headers);
    Ok(Response::from_parts(
        parts,
        Body::new(PermitBody::new(body, visit)),
    ))
}

/// A client that wants to leave HTTP.
struct Upgrade {
    protocol: HeaderValue,
    client: OnUpgrade,
}

/// A request to leave HTTP. Client and server speak for as long as they like, and count as one
/// request for as long as they do.
async fn upgraded(
    replica: &Replica,
    running: &Running,
    parts: &Parts,
    speaks: Upgrade,
    visit: Visit,
    deadline: Instant,
) -> Result<Response<Body>, ServeError> {
    let mut request = hops::onward(parts, Empty::new(), HOST, false)
        .map_err(|_| ServeError::Malformed("the path cannot be read".into()))?;
    tunnel::ask(request.headers_mut(), speaks.protocol.clone());
    let (place, tasks) = (running.upstream.place(), running.upstream.tasks());
    let limit = replica.settings.limits.request_timeout;
    let opened = tokio::time::timeout_at(deadline, tunnel::open(place, request, tasks)).await;
    let opened = opened.map_err(|_| ServeError::Deadline { limit })?;
    let mut response = opened.map_err(|_| ServeError::ServerLost)?;
    if !tunnel::agreed(&response) {
        let (mut parts, body) = response.into_parts();
        hops::strip(&mut parts.headers);
        return Ok(Response::from_parts(
            parts,
            Body::new(PermitBody::new(body, visit)),
        ));
    }
    // In flight for the drain too: what is cut is counted.
    let held = (visit, replica.in_flight.enter());
    let idle = replica.settings.edge.idle_timeout;
    tunnel::join(speaks.client, &mut response, held, idle, tasks);
    let (mut parts, _) = response.into_parts();
    hops::strip(&mut parts.headers);
    tunnel::ask(&mut parts.headers, speaks.protocol);
    Ok(Response::from_parts(parts, Body::empty()))
}

/// What the server is to know of the request, and what not.
fn readdress(parts: &mut Parts, context: Option<&Context>) {
    let peer = parts.extensions.get::<Peer>().copied();
    let headers = &mut parts.headers;
    hops::strip(headers);
    headers.remove(SYNTHETIC);
    let (address, tls) = peer.map_or((None, false), |peer| (peer.address, peer.tls));
    hops::forwarded(headers, address, tls);
    let id = context.and_then(|context| HeaderValue::from_str(&context.id).ok());
    if let Some(id) = id {
        headers.insert(REQUEST_ID, id);
    }
}

async fn send(
    running: &Running,
    parts: &Parts,
    replay: &Replay<Body>,
) -> Result<Response<Answer>, ServeError> {
    let mut unsent = 0;
    loop {
        let request = hops::onward(parts, replay.reader(), HOST, false)
            .map_err(|_| ServeError::Malformed("the path cannot be read".into()))?;
        let error = match running.upstream.send(request).await {
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        if let Some(fault) = replay.fault() {
            return Err(of_body(fault));
        }
        unsent += 1;
        let again = matches!(error, SendError::NotSent(_)) && replay.can_repeat();
        if !again || unsent > UNSENT {
            tracing::warn!(event = "server_lost", %error, "the server broke off: {error}");
            return Err(ServeError::ServerLost);
        }
    }
}

fn of_body(fault: BodyFault) -> ServeError {
    match fault {
        BodyFault::TooLarge { limit } => ServeError::BodyTooLarge { limit },
        BodyFault::TooSlow { after } => ServeError::BodyTooSlow { after },
        BodyFault::Broken | BodyFault::Replaced => {
            ServeError::Malformed("the body broke off".into())
        }
    }
}
