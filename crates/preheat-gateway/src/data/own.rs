//! What the gateway answers itself: how it is, and what it is.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use preheat_api::config::HealthIs;
use preheat_api::embed::Health;
use preheat_api::headers::WARM;
use preheat_api::openai::{ModelItem, ModelList};
use preheat_api::{ReadinessReport, openapi};
use preheat_runtime::keys::{Admitted, Keys};
use preheat_runtime::{Stage, metrics};
use serde::Serialize;

use super::Arriving;
use super::body::Body;
use super::model;
use super::route::Front;
use crate::refusal::Refusal;
use crate::report;
use crate::service::Service;

/// One of them in OpenAI's words.
const MODEL: &str = "/v1/models/";

/// What the gateway says itself, of all its services or of the one whose route this is.
pub fn answer(
    front: &Front,
    placed: Option<&Arc<Service>>,
    request: &Request<Arriving>,
) -> Option<Result<Response<Body>, Refusal>> {
    let services = placed.map_or(front.services.as_slice(), std::slice::from_ref);
    let path = request.uri().path();
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return None;
    }
    let answer = match path {
        "/livez" | "/v2/health/live" => alive(),
        "/health" if front.health_is == HealthIs::Live => alive(),
        "/health" | "/ready" | "/readyz" | "/ping" | "/v2/health/ready" => {
            front.readiness(services, request.headers())
        }
        "/startupz" => started(services),
        // Somebody else's server describes itself.
        "/openapi.json" | "/docs" if !services.iter().all(|s| s.terms.nature.own) => {
            return None;
        }
        "/openapi.json" => json(StatusCode::OK, &openapi::document()),
        "/v1/models" if services.len() > 1 => {
            if let Err(refusal) = front.admit(request.headers()) {
                return Some(Err(refusal));
            }
            json(StatusCode::OK, &models(services))
        }
        _ if services.len() > 1 && path.starts_with(MODEL) => {
            if let Err(refusal) = front.admit(request.headers()) {
                return Some(Err(refusal));
            }
            let name = percent_decode_str(&path[MODEL.len()..]).decode_utf8_lossy();
            if !services.iter().any(|service| service.name == name) {
                return Some(Err(Refusal::UnknownModel(name.into_owned())));
            }
            json(StatusCode::OK, &ModelItem::of(&name))
        }
        "/docs" => page("text/html; charset=utf-8", openapi::page()),
        "/metrics" => {
            if let Err(refusal) = front.admit(request.headers()) {
                return Some(Err(refusal));
            }
            let text = front.metrics.page(services);
            metrics::answer(request.headers(), text).map(|page| Body::full(Bytes::from(page)))
        }
        _ => {
            let service = model_ready(services, path)?;
            front.readiness(std::slice::from_ref(service), request.headers())
        }
    };
    Some(Ok(answer))
}

/// `/v2/models/{model}/ready`, with or without a version.
fn model_ready<'a>(services: &'a [Arc<Service>], path: &str) -> Option<&'a Arc<Service>> {
    let model = model::in_path(path.strip_suffix("/ready")?)?;
    services.iter().find(|s| s.name == model)
}

/// All of them in OpenAI's list.
fn models(services: &[Arc<Service>]) -> ModelList {
    let item = |service: &Arc<Service>| ModelItem::of(&service.name);
    ModelList {
        object: "list".into(),
        data: services.iter().map(item).collect(),
    }
}

fn alive() -> Response<Body> {
    let health = Health {
        status: "alive".into(),
    };
    json(StatusCode::OK, &health)
}

fn started(services: &[Arc<Service>]) -> Response<Body> {
    let started = services.iter().all(|service| service.has_been_ready());
    let status = if started { "started" } else { "starting" };
    let health = Health {
        status: status.into(),
    };
    json(code(started), &health)
}

impl Front {
    fn readiness(&self, services: &[Arc<Service>], headers: &HeaderMap) -> Response<Body> {
        let report = report::gateway(services, self.asked(&self.keys, headers));
        let ready = report.report.status == "ready";
        let mut response = json(code(ready), &report);
        if let Some(warm) = warmth(&report.report).filter(|_| ready) {
            let warm = HeaderValue::from_static(warm);
            response.headers_mut().insert(WARM, warm);
        }
        response
    }

    /// `keys`: those that open the door which is asked.
    pub fn asked(&self, keys: &Keys, headers: &HeaderMap) -> report::Asked {
        report::Asked {
            leaving: self.draining.stage() >= Stage::Settling,
            // Where nobody needs a key, nobody has shown one.
            known: keys.required() && keys.check(headers) == Admitted::Yes,
        }
    }
}

/// What replicas say of their answers; nothing where there is no replica.
fn warmth(report: &ReadinessReport) -> Option<&'static str> {
    match report.models.first()?.proof.status.as_str() {
        "passed" => Some("proven"),
        "degraded" => Some("degraded"),
        "skipped" => Some("skipped"),
        _ => None,
    }
}

fn code(ok: bool) -> StatusCode {
    if ok {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

fn json(status: StatusCode, shape: &impl Serialize) -> Response<Body> {
    // These shapes always serialise.
    let text = serde_json::to_string(shape).unwrap_or_default();
    let mut response = page("application/json", text);
    *response.status_mut() = status;
    response
}

fn page(kind: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Body::full(Bytes::from(text)));
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
