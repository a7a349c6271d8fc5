//! One request on its way to a replica, and to another one if the first fails it.
//!
//! Our own inference routes compute and change nothing, so a request whose replica died may be sent
//! again as long as no byte of its answer has left. It is executed twice at most. A wrapped server's
//! routes may change something: unless they were declared pure, or the method is safe, a request that
//! may have been executed is lost with its replica.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{HeaderMap, Request, Response, StatusCode, request};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use preheat_api::headers::{LOST, REFUSED, REPLICA, WARM};
use preheat_runtime::hops;
use preheat_runtime::replay::{BodyFault, BodyLimits, Replay};
use preheat_runtime::upstream::SendError;
use tokio::time::{Instant, timeout_at};

use super::body::{Body, GRPC_STATUS, is_servers_fault};
use super::route::Front;
use super::{Arriving, Received, Sent};
use crate::refusal::Refusal;
use crate::rotation::{Asking, Failure, Permit};
use crate::service::Service;

/// Answers up to this size are read before their head is passed on: until then another replica can
/// still answer.
const READ_FIRST: u64 = 64 * 1024;

/// Times that a request may meet replicas which did not begin it. Each of them is gone from the
/// rotation by the next.
const UNEXECUTED: usize = 4;

/// One request, as far as it can be sent more than once.
pub struct Call {
    pub parts: request::Parts,
    pub body: Replay<Arriving>,
    /// As declared, or as many as have come.
    pub bytes: u64,
    pub is_grpc: bool,
    pub since: Instant,
}

/// How one try ended.
enum Tried {
    Answered(Response<Body>),
    /// Somebody else may answer it.
    Failed {
        reason: &'static str,
        executed: bool,
    },
    Refused(Refusal),
}

/// Sends a request to a replica of `service`.
pub async fn forward(
    front: &Front,
    service: &Arc<Service>,
    call: Call,
) -> Result<Response<Body>, Refusal> {
    let longest = service.terms.request_timeout;
    let limit = grpc_timeout(&call).map_or(longest, |asked| asked.min(longest));
    let deadline = call.since + limit;
    let Call {
        parts,
        body: replay,
        is_grpc,
        bytes,
        ..
    } = call;
    let mut asking = Asking {
        bytes,
        deadline,
        except: None,
        again: false,
    };
    let pure = service.terms.nature.pure || parts.method.is_safe();
    let (mut executed, mut unexecuted) = (0, 0);
    loop {
        let terms = Terms {
            deadline,
            limit,
            may_repeat: pure && executed == 0,
            is_grpc,
        };
        let granted = service.rotation.acquire(asking.clone()).await?;
        if let Some(held) = granted.held {
            front.metrics.held_for(&service.name, held);
        }
        let permit = granted.permit;
        let replica = permit.replica().clone();
        let request = outgoing(&parts, replay.reader(), is_grpc)?;
        let tried = attempt(front, service, permit, request, &replay, terms);
        let (reason, was_executed) = match tried.await {
            Tried::Answered(mut response) => {
                if front.tap.is_open()
                    && !is_grpc
                    && response.status().is_success()
                    && let Some(body) = replay.whole()
                {
                    front.tap.offer(parts.uri.path(), body);
                }
                if let Ok(id) = HeaderValue::from_str(replica.as_str()) {
                    response.headers_mut().insert(REPLICA, id);
                }
                return Ok(response);
            }
            Tried::Refused(refusal) => return Err(refusal),
            Tried::Failed { reason, executed } => (reason, executed),
        };
        *(if was_executed {
            &mut executed
        } else {
            &mut unexecuted
        }) += 1;
        tracing::debug!(event = "retry", service = %service.name, %replica, reason, "sent elsewhere");
        let forbidden = was_executed && !pure;
        if forbidden || !replay.can_repeat() || executed > 1 || unexecuted > UNEXECUTED {
            return Err(Refusal::ReplicaLost);
        }
        front.metrics.retried(reason);
        asking.except = was_executed.then_some(replica);
        asking.again = true;
    }
}

/// What holds for one try.
#[derive(Debug, Clone, Copy)]
struct Terms {
    deadline: Instant,
    /// The whole time that it is of, for what is said when it has passed.
    limit: Duration,
    /// It may be executed once more.
    may_repeat: bool,
    is_grpc: bool,
}

async fn attempt(
    front: &Front,
    service: &Arc<Service>,
    mut permit: Permit,
    request: Request<Sent>,
    replay: &Replay<Arriving>,
    terms: Terms,
) -> Tried {
    let upstream = Arc::clone(permit.upstream());
    let Terms {
        deadline, is_grpc, ..
    } = terms;
    // Less than the replica promised says nothing about it: the client is in a hurry, or has waited.
    let is_fair = deadline - Instant::now() >= service.rotation.slo().threshold;
    let sending = async {
        match is_grpc {
            // Boxed, since it is large and most requests never get here.
            true => Box::pin(upstream.send_stream(request)).await,
            false => upstream.send(request).await,
        }
    };
    let response = match timeout_at(deadline, sending).await {
        Err(_) => return too_late(permit, is_fair, replay, terms),
        Ok(Err(error)) => return broken(service, permit, &error, replay),
        Ok(Ok(response)) => response,
    };
    let status = outcome(&response, is_grpc);
    if status == StatusCode::SERVICE_UNAVAILABLE
        && replay.can_repeat()
        && let Some(failed) = unavailable(service, &mut permit, response.headers(), terms)
    {
        return failed;
    }
    match status == StatusCode::GATEWAY_TIMEOUT && !is_fair {
        // The replica was handed the client's deadline, and kept it.
        true => permit.void(),
        false => judge(service, &mut permit, status),
    }
    let unproven = response.headers().get(WARM).is_some_and(|w| w == "skipped");
    if unproven {
        front.metrics.cold(&service.name);
    }
    let (mut parts, body) = response.into_parts();
    hops::strip(&mut parts.headers);
    let small = body.size_hint().exact().is_some_and(|s| s <= READ_FIRST);
    if is_grpc || !small {
        return Tried::Answered(Response::from_parts(parts, Body::stream(body, permit)));
    }
    match timeout_at(deadline, read(body)).await {
        Err(_) => too_late(permit, is_fair, replay, terms),
        Ok(Err(error)) => broken(service, permit, &SendError::Broken(error), replay),
        Ok(Ok(bytes)) => Tried::Answered(Response::from_parts(parts, Body::full(bytes))),
    }
}

async fn read(body: Received) -> Result<Bytes, hyper::Error> {
    Ok(body.collect().await?.to_bytes())
}

fn broken(
    service: &Service,
    mut permit: Permit,
    error: &SendError,
    replay: &Replay<Arriving>,
) -> Tried {
    if let Some(fault) = replay.fault() {
        // The client's own body broke the exchange.
        return Tried::Refused(Refusal::Body(fault));
    }
    permit.failed(Failure::from(error));
    let executed = !error.is_unexecuted();
    if !matches!(error, SendError::NotSent(_)) {
        // It is likely to be dead, and its other connections with it: nobody else is sent there
        // until it was heard of.
        service.rotation.unreachable(permit.replica());
    }
    Tried::Failed {
        reason: error.reason(),
        executed,
    }
}

/// The time is over before the answer has come.
fn too_late(mut permit: Permit, is_fair: bool, replay: &Replay<Arriving>, terms: Terms) -> Tried {
    let limit = terms.limit;
    // A stream may stay open for as long as its client likes.
    if !terms.is_grpc && !replay.has_arrived() {
        return Tried::Refused(Refusal::Body(BodyFault::TooSlow { after: limit }));
    }
    if is_fair {
        permit.failed(Failure::TooLate);
    } else {
        permit.void();
    }
    Tried::Refused(Refusal::Deadline { limit })
}

/// A replica that is not available for this request, where somebody else may be.
fn unavailable(
    service: &Service,
    permit: &mut Permit,
    said: &HeaderMap,
    terms: Terms,
) -> Option<Tried> {
    let rotation = &service.rotation;
    // Turned away before anything was done: by a drain that we had not heard of yet.
    if said.contains_key(REFUSED) {
        rotation.unreachable(permit.replica());
        return Some(Tried::Failed {
            reason: "turned_away",
            executed: false,
        });
    }
    let lost = said.contains_key(LOST);
    if !terms.may_repeat || (!lost && rotation.len() < 2) {
        return None;
    }
    permit.failed(if lost { Failure::Lost } else { Failure::Status });
    if lost {
        rotation.unreachable(permit.replica());
    }
    Some(Tried::Failed {
        reason: if lost { "lost" } else { "unavailable" },
        executed: true,
    })
}

/// How an answer reads over HTTP: a refused call of gRPC says it in its head.
fn outcome<B>(response: &Response<B>, is_grpc: bool) -> StatusCode {
    let said = response.headers().get(GRPC_STATUS).filter(|_| is_grpc);
    match said.map(HeaderValue::as_bytes) {
        None | Some(b"0") => response.status(),
        Some(b"14") => StatusCode::SERVICE_UNAVAILABLE,
        Some(b"4") => StatusCode::GATEWAY_TIMEOUT,
        Some(code) if is_servers_fault(code) => StatusCode::INTERNAL_SERVER_ERROR,
        // Cancelled, refused for a key, or for want of room.
        Some(b"1" | b"7" | b"8" | b"16") => StatusCode::TOO_MANY_REQUESTS,
        Some(_) => StatusCode::BAD_REQUEST,
    }
}

/// What an answer says about its replica.
pub fn judge(service: &Service, permit: &mut Permit, status: StatusCode) {
    if status.is_success() {
        permit.answered();
    } else if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED {
        permit.failed(Failure::Status);
    } else if status.is_client_error() && !is_about_the_caller(status) {
        service.rotation.declined(permit);
    }
}

/// Keys, rates and slow lines are the caller's affair, whatever serves.
fn is_about_the_caller(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::REQUEST_TIMEOUT
            | StatusCode::TOO_MANY_REQUESTS
    )
}

fn outgoing(parts: &request::Parts, body: Sent, is_grpc: bool) -> Result<Request<Sent>, Refusal> {
    hops::onward(parts, body, "replica", is_grpc)
        .map_err(|_| Refusal::Malformed("the path cannot be read".into()))
}

/// The body of a request, which may be sent twice.
///
/// # Errors
/// When it declares more than is taken.
pub fn replay(
    front: &Front,
    service: Option<&Arc<Service>>,
    body: Arriving,
    is_grpc: bool,
) -> Result<(Replay<Arriving>, u64), Refusal> {
    let bytes = body.size_hint().lower();
    if bytes > front.limits.max_body as u64 {
        let limit = front.limits.max_body;
        return Err(Refusal::Body(BodyFault::TooLarge { limit }));
    }
    let limits = BodyLimits {
        // The bodies of streams have no end; each message's size is the replica's to bound.
        bytes: if is_grpc {
            usize::MAX
        } else {
            front.limits.max_body
        },
        kept: front.limits.max_body,
        patience: if is_grpc {
            front.patience(service)
        } else {
            front.limits.body_timeout
        },
    };
    Ok((Replay::new(body, limits), bytes))
}

pub fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// A number and a unit: hours to nanoseconds.
fn grpc_timeout(call: &Call) -> Option<Duration> {
    let text = call.parts.headers.get("grpc-timeout")?.to_str().ok()?;
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u32 = number.parse().ok()?;
    let unit = match unit {
        "H" => Duration::from_secs(3600),
        "M" => Duration::from_secs(60),
        "S" => Duration::from_secs(1),
        "m" => Duration::from_millis(1),
        "u" => Duration::from_micros(1),
        "n" => Duration::from_nanos(1),
        _ => return None,
    };
    Some(unit.saturating_mul(number))
}
