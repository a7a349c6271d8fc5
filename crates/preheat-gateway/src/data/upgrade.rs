//! A request to leave HTTP (WebSocket for one) on its way to a replica. The two connections are joined
//! once the replica agrees, and keep its permit for as long as they speak.

use std::sync::Arc;

use http::header::{HeaderName, HeaderValue};
use http::{Response, request};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::upgrade::OnUpgrade;
use preheat_api::headers::REPLICA;
use preheat_runtime::upstream::SendError;
use preheat_runtime::{hops, tunnel};
use tokio::time::{Instant, timeout_at};

use super::body::Body;
use super::route::Front;
use crate::refusal::Refusal;
use crate::rotation::{Asking, Failure};
use crate::service::Service;

/// An answer to such a request that is no agreement says why, in few words.
const LONGEST: usize = 64 * 1024;

/// Replicas that may turn out to be gone before one is reached.
const UNREACHABLE: usize = 4;

/// What is asked for, and the client's connection once its answer has gone out.
pub struct Upgrade {
    pub parts: request::Parts,
    pub protocol: HeaderValue,
    pub client: OnUpgrade,
    pub since: Instant,
}

pub async fn forward(
    front: &Front,
    service: &Arc<Service>,
    upgrade: Upgrade,
) -> Result<Response<Body>, Refusal> {
    let limit = service.terms.request_timeout;
    let mut asking = Asking {
        bytes: 0,
        deadline: upgrade.since + limit,
        except: None,
        again: false,
    };
    for _ in 0..=UNREACHABLE {
        let mut permit = service.rotation.acquire(asking.clone()).await?.permit;
        let replica = permit.replica().clone();
        let upstream = Arc::clone(permit.upstream());
        let mut request = hops::onward(&upgrade.parts, Empty::new(), "replica", false)
            .map_err(|_| Refusal::Malformed("the path cannot be read".into()))?;
        tunnel::ask(request.headers_mut(), upgrade.protocol.clone());
        let opening = tunnel::open(upstream.place(), request, upstream.tasks());
        let opened = timeout_at(asking.deadline, opening).await;
        let mut response = match opened {
            Err(_) => {
                permit.failed(Failure::TooLate);
                return Err(Refusal::Deadline { limit });
            }
            Ok(Err(SendError::Connect(_))) => {
                permit.failed(Failure::Connect);
                service.rotation.unreachable(&replica);
                asking.except = Some(replica);
                asking.again = true;
                continue;
            }
            Ok(Err(error)) => {
                permit.failed(Failure::from(&error));
                return Err(Refusal::ReplicaLost);
            }
            Ok(Ok(response)) => response,
        };
        let agreed = tunnel::agreed(&response);
        if agreed {
            permit.answered();
            // In flight for the drain too: what is cut is counted.
            let held = (permit, front.draining.in_flight().enter());
            let idle = front.limits.tunnel_idle;
            tunnel::join(upgrade.client, &mut response, held, idle, upstream.tasks());
        }
        let (mut parts, body) = response.into_parts();
        hops::strip(&mut parts.headers);
        let body = match agreed {
            true => {
                tunnel::ask(&mut parts.headers, upgrade.protocol);
                Body::empty()
            }
            false => match Limited::new(body, LONGEST).collect().await {
                Ok(body) => Body::full(body.to_bytes()),
                Err(_) => return Err(Refusal::ReplicaLost),
            },
        };
        if let Ok(id) = HeaderValue::from_str(replica.as_str()) {
            parts.headers.insert(HeaderName::from_static(REPLICA), id);
        }
        return Ok(Response::from_parts(parts, body));
    }
    Err(Refusal::ReplicaLost)
}
