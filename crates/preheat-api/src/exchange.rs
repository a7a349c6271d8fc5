//! Requests to model servers of others: bodies of the usual APIs as templates, which of them a path
//! asks for, and what can be read from an answer.

use serde_json::{Value, json};

/// Where a request goes and what it holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    pub preset: &'static str,
    pub path: String,
    pub body: Value,
}

/// What fills a template.
#[derive(Debug, Clone, Copy)]
pub struct Fill<'a> {
    pub texts: &'a [String],
    pub model: &'a str,
}

/// Names that `--preset` takes.
pub const PRESETS: [&str; 4] = ["openai", "oip", "tei", "preheat"];

fn template(preset: &'static str, path: &str, body: Value) -> Template {
    Template {
        preset,
        path: path.to_owned(),
        body,
    }
}

fn list(path: &str) -> Template {
    template("preheat", path, json!("{{texts}}"))
}

fn inputs(path: &str) -> Template {
    template("tei", path, json!({ "inputs": "{{texts}}" }))
}

fn openai(path: &str) -> Template {
    let body = match path {
        _ if path.ends_with("/chat/completions") => json!({
            "model": "{{model}}", "max_tokens": 8,
            "messages": [{ "role": "user", "content": "{{text}}" }],
        }),
        _ if path.ends_with("/completions") => {
            json!({ "model": "{{model}}", "max_tokens": 8, "prompt": "{{text}}" })
        }
        _ => json!({ "model": "{{model}}", "input": "{{texts}}" }),
    };
    template("openai", path, body)
}

fn oip(path: &str) -> Template {
    let input =
        json!({ "name": "text", "datatype": "BYTES", "shape": ["{{count}}"], "data": "{{texts}}" });
    template("oip", path, json!({ "inputs": [input] }))
}

fn keyed(path: &str, key: &str, value: &str) -> Template {
    template("json", path, json!({ key: value }))
}

/// What to try, in this order; always at least one. A server that refuses one as malformed has not run its model.
#[must_use]
pub fn candidates(preset: Option<&str>, path: Option<&str>) -> Vec<Template> {
    match (preset, path) {
        (Some("openai"), path) => vec![openai(path.unwrap_or("/v1/embeddings"))],
        (Some("oip"), path) => vec![oip(path.unwrap_or("/v2/models/{{model}}/infer"))],
        (Some("tei"), path) => vec![inputs(path.unwrap_or("/embed"))],
        (Some(_), path) => vec![list(path.unwrap_or("/embed"))],
        (None, None) => vec![
            list("/embed"),
            inputs("/embed"),
            openai("/v1/embeddings"),
            oip("/v2/models/{{model}}/infer"),
        ],
        (None, Some(path)) => by_path(path),
    }
}

fn by_path(path: &str) -> Vec<Template> {
    let plain = path
        .split('?')
        .next()
        .unwrap_or_default()
        .trim_end_matches('/');
    if plain.ends_with("/embeddings") || plain.ends_with("/completions") {
        return vec![openai(path)];
    }
    if plain.ends_with("/infer") {
        return vec![oip(path)];
    }
    if plain.ends_with("/generate") {
        let body = json!({ "inputs": "{{text}}", "parameters": { "max_new_tokens": 8 } });
        return vec![
            template("tei", path, body),
            keyed(path, "prompt", "{{text}}"),
            keyed(path, "text", "{{text}}"),
        ];
    }
    if plain.ends_with("/rerank") {
        return vec![template(
            "tei",
            path,
            json!({ "query": "{{text}}", "texts": "{{texts}}" }),
        )];
    }
    let single = template("tei", path, json!({ "inputs": "{{text}}" }));
    vec![
        list(path),
        inputs(path),
        keyed(path, "texts", "{{texts}}"),
        keyed(path, "text", "{{text}}"),
        single,
        keyed(path, "instances", "{{texts}}"),
        keyed(path, "input", "{{texts}}"),
    ]
}

/// A template with everything filled in.
#[must_use]
pub fn fill(template: &Value, with: Fill<'_>) -> Value {
    match template {
        Value::String(text) => match text.as_str() {
            "{{texts}}" => json!(with.texts),
            "{{count}}" => json!(with.texts.len()),
            _ => Value::String(words(text, with)),
        },
        Value::Array(items) => items.iter().map(|item| fill(item, with)).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), fill(value, with)))
            .collect(),
        other => other.clone(),
    }
}

/// A text with `{{text}}` and `{{model}}` filled in.
#[must_use]
pub fn words(text: &str, with: Fill<'_>) -> String {
    if !text.contains("{{") {
        return text.to_owned();
    }
    let first = with.texts.first().map_or("", String::as_str);
    // The model first: what a text holds is not looked into.
    text.replace("{{model}}", with.model)
        .replace("{{text}}", first)
}

/// The rows of an answer in any of the usual shapes; none where it has another.
#[must_use]
pub fn rows(answer: &Value) -> Option<Vec<&Value>> {
    let rows = match answer {
        Value::Array(_) => answer,
        Value::Object(map) => map
            .get("embeddings")
            .or_else(|| map.get("predictions"))
            .or_else(|| map.get("data"))?,
        _ => return None,
    };
    Some(
        rows.as_array()?
            .iter()
            .map(|row| row.get("embedding").unwrap_or(row))
            .collect(),
    )
}
