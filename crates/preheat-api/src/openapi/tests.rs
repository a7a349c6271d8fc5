use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{admin_document, document, gateway_document, page, schemas};

/// Every `(method, path, operation)`.
fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            all.push((method.to_uppercase(), path.clone(), operation));
        }
    }
    all
}

fn codes(operation: &Value) -> Vec<&str> {
    operation["responses"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

/// Every value of this key, wherever it stands.
fn every<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get(key));
            fields.values().for_each(|value| every(value, key, found));
        }
        Value::Array(items) => items.iter().for_each(|value| every(value, key, found)),
        _ => {}
    }
}

#[test]
fn every_route_with_its_codes() {
    let document = document();
    let lines: Vec<_> = operations(&document)
        .iter()
        .map(|(method, path, operation)| {
            format!("{method} {path} → {}", codes(operation).join(" "))
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    POST / → 200 401 403 404 408 413 415 422 429 500 503 504
    POST /classify/image → 200 400 401 403 404 408 413 415 429 500 503 504
    GET /docs → 200
    POST /embed → 200 400 401 403 404 408 413 415 422 429 500 503 504
    GET /health → 200 503
    GET /info → 200 401 403 503
    GET /livez → 200
    GET /metrics → 200 401 403
    GET /openapi.json → 200
    GET /ping → 200 503
    POST /predict → 200 401 403 404 408 413 415 422 429 500 503 504
    GET /ready → 200 503
    GET /readyz → 200 503
    POST /rerank → 200 401 403 404 408 413 415 422 429 500 503 504
    GET /startupz → 200 503
    POST /tokenize → 200 401 403 404 408 413 415 422 429 500 503
    POST /v1/embeddings → 200 400 401 403 404 408 413 415 429 500 503 504
    GET /v1/models → 200 401 403
    GET /v1/models/{model} → 200 401 403 404
    GET /v2 → 200 401 403
    GET /v2/health/live → 200
    GET /v2/health/ready → 200 503
    GET /v2/models/stats → 200 401 403
    GET /v2/models/{model} → 200 401 403 404 503
    GET /v2/models/{model}/config → 200 401 403 404 503
    POST /v2/models/{model}/infer → 200 400 401 403 404 408 413 415 429 500 503 504
    GET /v2/models/{model}/ready → 200 404 503
    GET /v2/models/{model}/stats → 200 401 403 404
    GET /v2/models/{model}/versions/{version} → 200 401 403 404 503
    GET /v2/models/{model}/versions/{version}/config → 200 401 403 404 503
    POST /v2/models/{model}/versions/{version}/infer → 200 400 401 403 404 408 413 415 429 500 503 504
    GET /v2/models/{model}/versions/{version}/ready → 200 404 503
    GET /v2/models/{model}/versions/{version}/stats → 200 401 403 404
    ");
}

/// The server's routes are read from its source: this crate cannot use that one.
#[test]
fn the_document_and_the_router_hold_the_same_routes() {
    let server = Path::new(env!("CARGO_MANIFEST_DIR")).join("../preheat-server/src/http");
    let routed: BTreeSet<_> = [server.with_extension("rs"), server.join("probes.rs")]
        .iter()
        .flat_map(|file| routes_in(&fs::read_to_string(file).unwrap()))
        .collect();
    let document = document();
    let described = operations(&document)
        .into_iter()
        .map(|(method, path, _)| (method, path));
    assert_eq!(described.collect::<BTreeSet<_>>(), routed);
}

#[test]
fn the_gateways_document_and_its_router_hold_the_same_routes() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../preheat-gateway/src/admin.rs");
    let source = fs::read_to_string(source).unwrap();
    let document = gateway_document();
    // One route takes every order to a service.
    let described = operations(&document).into_iter().map(|(method, path, _)| {
        let whole = path
            .split(':')
            .next()
            .unwrap()
            .replace("{service}", "{target}");
        (method, whole)
    });
    let mut routed = routes_in(&source);
    routed.push(("POST".into(), "/v1/services/{target}".into()));
    let routed: BTreeSet<_> = routed.into_iter().collect();
    assert_eq!(described.collect::<BTreeSet<_>>(), routed);
    for verb in ["scale", "rollout", "promote", "rollback", "abort"] {
        assert!(source.contains(&format!("\"{verb}\" =>")), "{verb}");
        let path = format!("/v1/services/{{service}}:{verb}");
        assert!(document["paths"].get(&path).is_some(), "{path}");
    }
}

/// `.route("/path", get(…))` → `GET /path`.
fn routes_in(source: &str) -> Vec<(String, String)> {
    let mut routes = Vec::new();
    for call in source.split(".route(").skip(1) {
        let mut parts = call.splitn(3, '"').skip(1);
        let (path, rest) = (parts.next().unwrap(), parts.next().unwrap());
        let method = rest
            .trim_start_matches([',', ' ', '\n'])
            .split('(')
            .next()
            .unwrap();
        routes.push((method.to_uppercase(), path.to_owned()));
    }
    routes
}

#[test]
fn every_reference_leads_somewhere() {
    for document in [document(), admin_document(), gateway_document()] {
        let mut references = Vec::new();
        every(&document, "$ref", &mut references);
        assert!(references.len() > 50);
        for reference in references {
            let reference = reference.as_str().unwrap();
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }
}

#[test]
fn every_component_is_used() {
    let document = document();
    let mut references = Vec::new();
    every(&document, "$ref", &mut references);
    for kind in ["schemas", "responses", "parameters", "headers"] {
        for name in document["components"][kind].as_object().unwrap().keys() {
            let reference = json!(format!("#/components/{kind}/{name}"));
            assert!(references.contains(&&reference), "{reference}");
        }
    }
}

#[test]
fn every_operation_has_a_name_of_its_own() {
    let document = document();
    let mut ids = Vec::new();
    every(&document, "operationId", &mut ids);
    let all = ids.len();
    assert_eq!(
        ids.iter()
            .map(|id| id.as_str().unwrap())
            .collect::<BTreeSet<_>>()
            .len(),
        all
    );
    assert_eq!(operations(&document).len(), all);
}

#[test]
fn refusals_have_the_style_of_their_family() {
    let document = document();
    let content = |path: &str, method: &str, code: &str| {
        let reference = &document["paths"][path][method]["responses"][code]["$ref"];
        let pointer = reference.as_str().unwrap().trim_start_matches('#');
        let content = document.pointer(pointer).unwrap()["content"]
            .as_object()
            .unwrap();
        let bodies = content.iter().map(|(media, content)| {
            let name = content["schema"]["$ref"]
                .as_str()
                .unwrap()
                .rsplit('/')
                .next()
                .unwrap();
            format!("{media} {name}")
        });
        bodies.collect::<Vec<_>>().join(", ")
    };
    for (path, method, code, expected) in [
        ("/embed", "post", "400", "application/problem+json Problem"),
        ("/embed", "post", "422", "application/json TeiError"),
        (
            "/embed",
            "post",
            "503",
            "application/json TeiError, application/problem+json Problem",
        ),
        ("/", "post", "422", "application/json TeiError"),
        ("/info", "get", "503", "application/json TeiError"),
        (
            "/v1/embeddings",
            "post",
            "404",
            "application/json OpenAiError",
        ),
        ("/v1/models", "get", "401", "application/json OpenAiError"),
        (
            "/v2/models/{model}/infer",
            "post",
            "400",
            "application/json OipError",
        ),
        ("/v2", "get", "403", "application/json OipError"),
        ("/metrics", "get", "403", "application/problem+json Problem"),
    ] {
        assert_eq!(
            content(path, method, code),
            expected,
            "{method} {path} {code}"
        );
    }
}

#[test]
fn whoever_is_asked_to_come_back_is_told_when() {
    let document = document();
    for (name, response) in document["components"]["responses"].as_object().unwrap() {
        let told = response["headers"].get("retry-after").is_some();
        let wanted = name.ends_with("429") || name.ends_with("503");
        assert_eq!(told, wanted, "{name}");
    }
}

#[test]
fn a_limit_stands_where_it_was_meant_to() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    for (pointer, limit) in schemas::limits() {
        let place = schemas.pointer(pointer).unwrap_or(&Value::Null);
        assert!(place.get("type").is_some(), "{pointer}: {place}");
        for (keyword, value) in limit.as_object().unwrap() {
            assert_eq!(&place[keyword], value, "{pointer}");
        }
    }
}

/// Requests are described as they are read, answers as they are written.
#[test]
fn what_may_be_left_out_depends_on_the_direction() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    assert_eq!(schemas["EmbedRequest"]["required"], json!(["inputs"]));
    let token = schemas["Token"]["required"].as_array().unwrap();
    assert!(token.contains(&json!("start")), "written even when null");
    assert!(
        schemas.get("Texts2").is_none(),
        "a type is read or written, not both"
    );
}

#[test]
fn examples_are_read_by_the_types() {
    let document = document();
    let examples = |path: &str| {
        let examples = document.pointer(&format!(
            "/paths/{}/post/requestBody/content/application~1json/examples",
            path.replace('/', "~1")
        ));
        examples
            .unwrap()
            .as_object()
            .unwrap()
            .values()
            .map(|e| e["value"].clone())
            .collect()
    };
    fn must_read<T: serde::de::DeserializeOwned>(examples: Vec<Value>) {
        assert!(!examples.is_empty());
        for example in examples {
            serde_json::from_value::<T>(example).unwrap();
        }
    }
    must_read::<crate::embed::EmbedBody>(examples("/embed"));
    must_read::<crate::tei::EmbedRequest>(examples("/"));
    must_read::<crate::tei::TokenizeRequest>(examples("/tokenize"));
    must_read::<crate::openai::EmbeddingsRequest>(examples("/v1/embeddings"));
    must_read::<crate::oip::InferRequest>(examples("/v2/models/{model}/infer"));
}

#[test]
fn the_page_shows_every_route_and_shape() {
    let (document, page) = (document(), page());
    for (method, path, _) in operations(&document) {
        assert!(
            page.contains(&format!("<b>{method}</b> <code>{path}</code>")),
            "{method} {path}"
        );
    }
    for name in document["components"]["schemas"]
        .as_object()
        .unwrap()
        .keys()
    {
        assert!(page.contains(&format!("id=\"{name}\"")), "{name}");
    }
    for link in page
        .split("href=\"#")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
    {
        assert!(page.contains(&format!("id=\"{link}\"")), "{link}");
    }
}

#[test]
fn the_page_loads_nothing_and_runs_nothing() {
    let page = page();
    for word in [
        "<script", "src=", "@import", "url(", "http://", "https://", "<link", " on",
    ] {
        let inside_a_tag = page.split('<').filter_map(|part| part.split('>').next());
        assert!(
            !inside_a_tag
                .clone()
                .any(|tag| format!("<{tag}").contains(word)),
            "{word}"
        );
    }
    assert!(page.len() < 64 * 1024, "{} bytes", page.len());
}

#[test]
fn the_page_escapes_whatever_the_document_says() {
    let evil = "<script>'\"&`";
    let mut operation = json!({ "summary": evil, "tags": [evil] });
    operation["requestBody"]["content"][evil] = json!({ "schema": { "type": evil, "const": evil }, "examples": { evil: { "value": evil } } });
    operation["responses"][evil] = json!({
        "description": evil, "headers": { evil: {} }, "content": { evil: { "schema": { "type": evil } } }
    });
    operation["parameters"] = json!([{ "name": evil, "in": evil, "description": evil }]);
    let schema = json!({
        "description": evil,
        "properties": { evil: { "$ref": evil, "description": evil } },
    });
    let page = super::page::render(&json!({
        "info": { "title": evil, "version": evil, "description": evil },
        "tags": [{ "name": evil, "description": evil }],
        "paths": { evil: { evil: operation } },
        "components": { "schemas": { evil: schema } },
    }));
    assert!(page.contains("&lt;script&gt;"));
    assert!(!page.contains("<script"));
    assert!(!page.contains("'\"&`") && !page.contains("'\"&<code>"));
}
