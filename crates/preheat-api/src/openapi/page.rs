//! The document as a page: every route, its bodies and codes. One file without scripts that loads
//! nothing, so that it works wherever the replica does.

use serde_json::Value;

use super::document;

const STYLE: &str = include_str!("page.css");

/// The page for this version's document.
#[must_use]
pub fn page() -> String {
    render(&document())
}

pub(super) fn render(document: &Value) -> String {
    let mut out = String::new();
    let title = text(&document["info"]["title"]);
    let about = text(&document["info"]["description"]);
    let version = text(&document["info"]["version"]);
    out += &format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{title}</title><style>{STYLE}</style></head><body>\
         <h1>{title} <small>{version}</small></h1><p>{about}</p>\
         <p><a href=\"openapi.json\">openapi.json</a></p>"
    );
    for tag in list(&document["tags"]) {
        out += &format!(
            "<h2>{}</h2><p>{}</p>",
            text(&tag["name"]),
            text(&tag["description"])
        );
        for (path, item) in fields(&document["paths"]) {
            for (method, operation) in fields(item) {
                if operation["tags"][0] == tag["name"] {
                    out += &section(document, method, path, operation);
                }
            }
        }
    }
    out += "<h2>Shapes</h2>";
    for (name, schema) in fields(&document["components"]["schemas"]) {
        out += &shape_section(name, schema);
    }
    out += "</body></html>\n";
    out
}

fn section(document: &Value, method: &str, path: &str, operation: &Value) -> String {
    let mut out = format!(
        "<details><summary><b>{}</b> <code>{}</code></summary><p>{}</p>",
        escape(&method.to_uppercase()),
        escape(path),
        text(&operation["summary"])
    );
    for parameter in list(&operation["parameters"])
        .iter()
        .map(|p| resolve(document, p))
    {
        out += &format!(
            "<p><code>{}</code> in the {}: {}</p>",
            text(&parameter["name"]),
            text(&parameter["in"]),
            text(&parameter["description"])
        );
    }
    for (media, content) in fields(&operation["requestBody"]["content"]) {
        out += &format!(
            "<p>Takes {} as {}</p>",
            shape(&content["schema"]),
            escape(media)
        );
        for (_, example) in fields(&content["examples"]) {
            out += &format!("<pre>{}</pre>", escape(&example["value"].to_string()));
        }
    }
    out += "<table>";
    for (code, response) in fields(&operation["responses"]) {
        out += &answer_row(code, resolve(document, response));
    }
    out += "</table></details>";
    out
}

/// Cells and rows end where the next one begins, as HTML lets them: there are hundreds.
fn answer_row(code: &str, response: &Value) -> String {
    let bodies: Vec<_> = fields(&response["content"])
        .map(|(media, content)| format!("{} as {}", shape(&content["schema"]), escape(media)))
        .collect();
    let headers: Vec<_> = fields(&response["headers"])
        .map(|(name, _)| format!("<code>{}</code>", escape(name)))
        .collect();
    format!(
        "<tr><th>{}</th><td>{}<br>{}<br><small>{}</small>",
        escape(code),
        text(&response["description"]),
        bodies.join("<br>"),
        headers.join(" ")
    )
}

fn shape_section(name: &str, schema: &Value) -> String {
    let name = escape(name);
    let mut out = format!(
        "<h3 id=\"{name}\">{name}</h3><p>{}</p>",
        text(&schema["description"])
    );
    if schema["properties"].is_null() {
        out += &format!("<p>{}</p>", shape(schema));
        return out;
    }
    let required: Vec<_> = list(&schema["required"])
        .iter()
        .filter_map(Value::as_str)
        .collect();
    out += "<table>";
    for (field, schema) in fields(&schema["properties"]) {
        let mark = if required.contains(&field) { "" } else { "?" };
        out += &format!(
            "<tr><th>{}{mark}</th><td>{}<br>{}",
            escape(field),
            shape(schema),
            text(&schema["description"])
        );
    }
    out += "</table>";
    out
}

/// A schema in one line, with links to those that have a name.
fn shape(schema: &Value) -> String {
    if let Some(name) = schema["$ref"]
        .as_str()
        .and_then(|path| path.rsplit('/').next())
    {
        let name = escape(name);
        return format!("<a href=\"#{name}\">{name}</a>");
    }
    let choices = list(&schema["anyOf"]);
    if !choices.is_empty() {
        return choices.iter().map(shape).collect::<Vec<_>>().join(" or ");
    }
    let constants = list(&schema["enum"]).iter().chain(schema.get("const"));
    let constants: Vec<_> = constants.map(|value| escape(&value.to_string())).collect();
    if !constants.is_empty() {
        return constants.join(" or ");
    }
    match &schema["type"] {
        Value::String(kind) if kind == "array" => list_of(schema),
        Value::String(kind) => escape(kind),
        Value::Array(kinds) => kinds.iter().map(text).collect::<Vec<_>>().join(" or "),
        _ => "anything".into(),
    }
}

fn list_of(schema: &Value) -> String {
    let length = match (&schema["minItems"], &schema["maxItems"]) {
        (Value::Null, Value::Null) => String::new(),
        (least, Value::Null) => format!(" of at least {least}"),
        (least, most) if least == most => format!(" of {most}"),
        (Value::Null, most) => format!(" of at most {most}"),
        (least, most) => format!(" of {least} to {most}"),
    };
    format!("list{length} [{}]", shape(&schema["items"]))
}

fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let target = value["$ref"]
        .as_str()
        .and_then(|path| document.pointer(path.strip_prefix('#')?));
    target.unwrap_or(value)
}

fn fields(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.as_str(), value))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Prose of the document; what stands between backticks is code.
fn text(value: &Value) -> String {
    let escaped = escape(value.as_str().unwrap_or_default());
    let mut out = String::new();
    for (index, part) in escaped.split('`').enumerate() {
        let tag = match index {
            0 => "",
            odd if odd % 2 == 1 => "<code>",
            _ => "</code>",
        };
        out.push_str(tag);
        out.push_str(part);
    }
    out
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
