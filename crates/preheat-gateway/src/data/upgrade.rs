//! A request to leave HTTP (WebSocket for one) on its way to a replica. The two connections are joined
//! once the replica agrees, and keep its permit for as long as they speak.

use std::sync::Arc;

use http::header::{HeaderName, HeaderValue};
use http::{Response, request};
use http_body_util::Empty;
use hyper::upgrade::OnUpgrade;
use preheat_api::headers::{REFUSED, REPLICA};
use preheat_runtime::{hops, tunnel};
use tokio::time::{Instant, timeout_at};

use super::body::Body;
use super::forward::judge;
use super::route::Front;
use crate::refusal::Refusal;
use crate::rotation::{Asking, Failure};
use crate::service::Service;

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
            // It has not seen it.
            Ok(Err(error)) if error.is_unexecuted() => {
                permit.failed(Failure::from(&error));
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
        if response.headers().contains_key(REFUSED) {
            service.rotation.unreachable(&replica);
            asking.again = true;
            continue;
        }
        let mut answer = match tunnel::agreed(&response) {
            true => {
                permit.answered();
                // In flight for the drain too: what is cut is counted.
                let held = (permit, front.draining.in_flight().enter());
                let idle = front.limits.tunnel_idle;
                tunnel::join(upgrade.client, &mut response, held, idle, upstream.tasks());
                let mut answer = response.map(|_| Body::empty());
                hops::strip(answer.headers_mut());
                tunnel::ask(answer.headers_mut(), upgrade.protocol);
                answer
            }
            // An answer like any other: an offer may be ignored.
            false => {
                judge(service, &mut permit, response.status());
                let mut answer = response.map(|body| Body::single(body, permit));
                hops::strip(answer.headers_mut());
                answer
            }
        };
        if let Ok(id) = HeaderValue::from_str(replica.as_str()) {
            answer
                .headers_mut()
                .insert(HeaderName::from_static(REPLICA), id);
        }
        return Ok(answer);
    }
    Err(Refusal::ReplicaLost)
}
