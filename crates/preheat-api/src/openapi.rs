//! The data listener's interface as one OpenAPI 3.1 document, and as a page for people.
//!
//! Owns the table of routes and what each of them can answer; the shapes come from the very types
//! that are parsed and sent. It never routes and never answers: that is the server's.

mod admin;
mod components;
mod gateway;
mod page;
mod refusals;
mod route;
mod routes;
mod schemas;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

pub use page::page;

use crate::headers;
use route::{Answer, Body, Content, Route};
use routes::ROUTES;
use schemas::Schemas;

/// What holds for all routes.
const ABOUT: &str = "\
    Answers of a model that was warmed, and proven warm, before the first request is let in. Which \
    routes serve it depends on its task; the others answer 404. \
    Until then, and while it drains, a replica answers 503 and says when to come back. Numbers of \
    inputs are those of the default configuration (`limits.client_batch`). Requests that break \
    HTTP itself are refused with 400, 414 or 431 before a route is looked for.";

/// One listener, as it describes itself.
struct Interface {
    about: &'static str,
    tags: &'static [(&'static str, &'static str)],
    routes: &'static [Route],
    /// Of every answer.
    headers: &'static [&'static str],
    family: refusals::FamilyOf,
}

/// Of every answer of a replica.
const OF_A_REPLICA: &[&str] = &[headers::REQUEST_ID, headers::WARM];

/// The document, the same for every replica of this version.
#[must_use]
pub fn document() -> Value {
    describe(&Interface {
        about: ABOUT,
        tags: &routes::TAGS,
        routes: ROUTES,
        headers: OF_A_REPLICA,
        family: refusals::by_path,
    })
}

/// The admin listener's document: what the dashboard and a gateway read.
#[must_use]
pub fn admin_document() -> Value {
    describe(&admin::INTERFACE)
}

/// The document of a gateway's admin listener.
#[must_use]
pub fn gateway_document() -> Value {
    describe(&gateway::INTERFACE)
}

fn describe(interface: &Interface) -> Value {
    let mut schemas = Schemas::new();
    let paths = paths(interface, &mut schemas);
    let refusals = refusals(interface, &mut schemas);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "preheat",
            "version": env!("CARGO_PKG_VERSION"),
            "description": interface.about,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "tags": interface.tags.iter().map(|(name, description)| {
            json!({ "name": name, "description": description })
        }).collect::<Vec<_>>(),
        "paths": paths,
        "components": {
            "schemas": schemas.into_definitions(),
            "responses": refusals,
            "parameters": parameters(interface),
            "headers": components::response_headers(),
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer" },
                "key": { "type": "apiKey", "in": "header", "name": "x-api-key" },
            },
        },
    })
}

fn paths(interface: &Interface, schemas: &mut Schemas) -> Value {
    let mut paths = Map::new();
    for route in interface.routes {
        for path in route.paths {
            let mut item = Map::new();
            item.insert(
                route.method.into(),
                operation(interface, route, path, schemas),
            );
            paths.insert((*path).into(), item.into());
        }
    }
    paths.into()
}

/// Each refusal once, however many routes share it.
fn refusals(interface: &Interface, schemas: &mut Schemas) -> Value {
    let mut responses = Map::new();
    for route in interface.routes {
        let all = |path: &&str| refusals::of(path, route.refusals, interface.family);
        for refusal in route.paths.iter().flat_map(all) {
            let answer = response(interface, &refusal.answer(), schemas);
            responses.insert(refusal.name(), answer);
        }
    }
    responses.into()
}

fn operation(interface: &Interface, route: &Route, path: &str, schemas: &mut Schemas) -> Value {
    let mut responses: Map<String, Value> = route
        .answers
        .iter()
        .map(|answer| {
            let code = answer.status.to_string();
            (code, response(interface, answer, schemas))
        })
        .collect();
    for refusal in refusals::of(path, route.refusals, interface.family) {
        let shared = reference("responses", &refusal.name());
        responses.insert(refusal.status.to_string(), shared);
    }
    let mut operation = json!({
        "operationId": operation_id(route.method, path),
        "summary": route.summary,
        "tags": [route.tag],
        "security": security(route),
        "responses": responses,
    });
    let parameters = parameters_in(path);
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(body) = &route.body {
        operation["requestBody"] = request_body(body, schemas);
    }
    operation
}

fn reference(kind: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{kind}/{name}") })
}

/// `post /v1/embeddings` → `post_v1_embeddings`.
fn operation_id(method: &str, path: &str) -> String {
    let words = path
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    std::iter::once(method)
        .chain(words)
        .collect::<Vec<_>>()
        .join("_")
}

/// Keys are wanted only where the configuration lists some, so going without is an alternative.
fn security(route: &Route) -> Value {
    if route.refusals.contains(&refusals::KEY) {
        json!([{}, { "bearer": [] }, { "key": [] }])
    } else {
        json!([])
    }
}

fn request_body(body: &Body, schemas: &mut Schemas) -> Value {
    let examples: Map<String, Value> = body
        .examples
        .iter()
        .map(|(name, text)| {
            let value: Value = serde_json::from_str(text).expect("examples are constant JSON");
            ((*name).to_owned(), json!({ "value": value }))
        })
        .collect();
    let schema = schemas.request(body.schema);
    let mut media = json!({ "schema": schema });
    if !examples.is_empty() {
        media["examples"] = examples.into();
    }
    let content: Map<String, Value> = body
        .media
        .iter()
        .map(|name| ((*name).to_owned(), media.clone()))
        .collect();
    json!({ "required": true, "content": content })
}

fn response(interface: &Interface, answer: &Answer, schemas: &mut Schemas) -> Value {
    let mut content = Map::new();
    for Content { media, schema } in answer.content {
        let schema = schemas.answer(*schema);
        content.insert((*media).into(), json!({ "schema": schema }));
    }
    let names = interface.headers.iter().chain(answer.headers);
    let headers: Map<String, Value> = names
        .map(|name| ((*name).to_owned(), reference("headers", name)))
        .collect();
    json!({ "description": answer.meaning, "headers": headers, "content": content })
}

/// Those that its paths name.
fn parameters(interface: &Interface) -> Value {
    let Value::Object(mut all) = components::parameters() else {
        return Value::Null;
    };
    let paths = interface.routes.iter().flat_map(|route| route.paths);
    all.retain(|name, _| paths.clone().any(|path| path.contains(&in_braces(name))));
    all.into()
}

fn in_braces(name: &str) -> String {
    format!("{{{name}}}")
}

fn parameters_in(path: &str) -> Vec<Value> {
    ["model", "version", "service"]
        .into_iter()
        .filter(|name| path.contains(&in_braces(name)))
        .map(|name| reference("parameters", name))
        .collect()
}
