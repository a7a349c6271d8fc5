//! Which service a request's host and path belong to, where services have routes of their own.

use std::sync::Arc;

use http::header::{self, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, Request, Uri};
use preheat_api::config::Route;

use crate::service::Service;

/// Tells a server what was taken off its paths, as other proxies do.
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// The service whose route says the most of what the request says: its host first, then the longest
/// beginning of its path. None where no route fits: then the model decides.
pub fn find<'a, B>(services: &'a [Arc<Service>], request: &Request<B>) -> Option<&'a Arc<Service>> {
    let routed = |service: &&Arc<Service>| !service.terms.route.is_open();
    if !services.iter().any(|service| routed(&service)) {
        return None;
    }
    let host = host(request.uri(), request.headers());
    let path = request.uri().path();
    let fits = |service: &&Arc<Service>| fits(&service.terms.route, host.as_deref(), path);
    let services = services.iter().filter(routed).filter(fits);
    services.max_by_key(|service| {
        let route = &service.terms.route;
        (!route.hosts.is_empty(), route.prefix.len())
    })
}

fn fits(route: &Route, host: Option<&str>, path: &str) -> bool {
    let named = |host: &str| route.hosts.iter().any(|own| own.eq_ignore_ascii_case(host));
    (route.hosts.is_empty() || host.is_some_and(named)) && after(path, &route.prefix).is_some()
}

/// What comes after a prefix that ends where a part of the path does.
fn after<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(prefix)?;
    (prefix.is_empty() || rest.is_empty() || rest.starts_with(['/', '?'])).then_some(rest)
}

/// The name that the client asked for, without a port.
fn host(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    if let Some(host) = uri.host() {
        return Some(host.to_owned());
    }
    let named = headers.get(header::HOST)?.as_bytes();
    Some(Authority::try_from(named).ok()?.host().to_owned())
}

/// Takes the prefix off the path, and tells the server of it.
pub fn take_off<B>(request: &mut Request<B>, prefix: &str) {
    if prefix.is_empty() {
        return;
    }
    let Some(rest) = request
        .uri()
        .path_and_query()
        .and_then(|path| after(path.as_str(), prefix))
    else {
        return;
    };
    let path = match rest.starts_with('/') {
        true => PathAndQuery::try_from(rest),
        false => PathAndQuery::try_from(format!("/{rest}")),
    };
    let mut parts = request.uri().clone().into_parts();
    // What is left of a good path is one.
    if let Ok(path) = path {
        parts.path_and_query = Some(path);
    }
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
    if let Ok(prefix) = HeaderValue::from_str(prefix) {
        request.headers_mut().insert(FORWARDED_PREFIX, prefix);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use preheat_core::Slo;
    use preheat_core::balance::BalancePolicy;
    use preheat_core::hold::HoldPolicy;

    use super::*;
    use crate::clock::Clock;
    use crate::rotation::Rotation;
    use crate::service::Terms;

    fn service(name: &str, hosts: &[&str], prefix: &str) -> Arc<Service> {
        let slo = Slo::p95(Duration::from_millis(200));
        let (policy, hold) = (BalancePolicy::under(slo), HoldPolicy::default());
        let rotation = Rotation::new(policy, hold, Duration::ZERO, Clock::new());
        let (service, _) = Service::new(name.into(), Arc::new(rotation));
        let route = Route {
            hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
            prefix: prefix.into(),
        };
        Arc::new(service.on(Terms {
            route,
            ..Terms::default()
        }))
    }

    fn found(uri: &str, host: Option<&str>) -> String {
        let services = [
            service("open", &[], ""),
            service("a", &["a.example"], ""),
            service("a-search", &["a.example", "b.example"], "/search"),
            service("search", &[], "/search"),
            service("deep", &[], "/search/deep"),
        ];
        let mut request = Request::get(uri);
        if let Some(host) = host {
            request = request.header(header::HOST, host);
        }
        let found = find(&services, &request.body(()).unwrap());
        found.map_or("none".into(), |service| service.name.clone())
    }

    #[test]
    fn the_route_that_says_most_takes_the_request() {
        for (uri, host, service) in [
            ("/embed", None, "none"),
            ("/embed", Some("c.example"), "none"),
            ("/embed", Some("A.example:8000"), "a"),
            ("http://a.example/embed", None, "a"),
            ("/search/embed", Some("a.example"), "a-search"),
            ("/search/embed", Some("b.example"), "a-search"),
            ("/search/embed", Some("c.example"), "search"),
            ("/search", None, "search"),
            ("/search?q=1", None, "search"),
            ("/searching", None, "none"),
            ("/search/deep/x", None, "deep"),
            ("/search/deeper", None, "search"),
            // A host outweighs a longer path.
            ("/search/deep/x", Some("b.example"), "a-search"),
            ("/embed", Some("not a host"), "none"),
        ] {
            assert_eq!(found(uri, host), service, "{uri} of {host:?}");
        }
    }

    #[test]
    fn replicas_see_what_comes_after_the_prefix() {
        for (uri, prefix, left) in [
            ("/search/embed?x=/search", "/search", "/embed?x=/search"),
            ("/search", "/search", "/"),
            ("/search?x=1", "/search", "/?x=1"),
            ("http://a.example/search/e", "/search", "http://a.example/e"),
            ("/embed", "", "/embed"),
        ] {
            let mut request = Request::get(uri).body(()).unwrap();
            take_off(&mut request, prefix);
            assert_eq!(request.uri().to_string(), left, "{uri}");
            let told = request.headers().get(FORWARDED_PREFIX);
            assert_eq!(told.map_or("", |told| told.to_str().unwrap()), prefix);
        }
    }
}
