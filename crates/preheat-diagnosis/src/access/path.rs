//! Paths that are asked for, and by whom.

/// Words of a model's name.
const NAME_PARTS: usize = 5;

/// Fields of structured logs that hold the path that was asked for.
pub(super) const FIELDS: [&str; 6] = [
    "path=/",
    "uri=/",
    "url=/",
    "route=/",
    "endpoint=/",
    "url=http",
];

/// Words that make a path one of a file: `model_path=/models/a`.
const OF_FILES: [&str; 12] = [
    "model ",
    "file ",
    "data ",
    "cache ",
    "dest ",
    "src ",
    "config ",
    "repository ",
    "base ",
    "root ",
    "log ",
    "tokenizer ",
];

/// The path that was asked for.
pub(super) fn path(text: &str) -> Option<&str> {
    let starts = ["post /", "get /", "put /", "post \"/", "get \"/", "put \"/"];
    let of = |start: &str| {
        let at = text.find(start)?;
        let is_file = start.contains('=') && OF_FILES.iter().any(|word| text[..at].ends_with(word));
        (!is_file).then_some(at + start.len() - 1)
    };
    let of_address = || {
        let at = ["post http", "get http", "put http", "url=http"]
            .iter()
            .find_map(|start| text.find(start))?;
        let host = at + text[at..].find("://")? + "://".len();
        let end = text[host..].find([' ', '"', '/'])?;
        text[host + end..].starts_with('/').then_some(host + end)
    };
    let fields = FIELDS.iter().filter(|field| field.ends_with('/'));
    let at = starts.iter().chain(fields).find_map(|start| of(start));
    let at = at.or_else(of_address)?;
    let path = text[at..].split([' ', '"', '?', '\'', ',']).next()?;
    Some(with_name(&text[at..], path))
}

/// The whole of a path in which a model is named: blanks stand for the dashes of its name.
fn with_name<'a>(text: &'a str, path: &'a str) -> &'a str {
    const OF_MODELS: [&str; 3] = ["/v2/models/", "/v1/models/", "/models/"];
    if !OF_MODELS.iter().any(|of| path.starts_with(of)) {
        return path;
    }
    let mut end = path.len();
    let Some(behind) = text[end..].strip_prefix(' ') else {
        return path;
    };
    let is_of_name = |word: &&str| {
        word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'/') && !word.starts_with("http/")
    };
    let parts = behind.split(' ').take(NAME_PARTS);
    for part in parts.take_while(is_of_name) {
        end += 1 + part.len();
        if part.contains('/') {
            return &text[..end];
        }
    }
    path
}

/// Whether a line tells of somebody who asks for the state, and for no answer of a model.
pub(crate) fn asks_for_state(text: &str) -> bool {
    path(text).is_some_and(is_probe)
}

/// `/readyz`, `/readiness`, `/v2/models/m/ready`
pub(super) fn names_readiness(path: &str) -> bool {
    path.contains("ready") || path.contains("readiness")
}

/// Whether a path is asked by somebody who loads a model, and waits for that.
pub(super) fn is_operators(path: &str) -> bool {
    path.ends_with("/load")
        || path.ends_with("/reload")
        || path.ends_with("/unload")
        || path.contains("/admin/")
        || path.starts_with("/models?")
}

/// Whether a path is asked by machines that watch rather than by users.
pub(crate) fn is_probe(path: &str) -> bool {
    const PROBES: [&str; 18] = [
        "/health",
        "/ready",
        "/live",
        "/startup",
        "/metrics",
        "/ping",
        "/v2/health",
        "/favicon",
        "/docs",
        "/openapi",
        "/status",
        "/info",
        "/alive",
        "/heartbeat",
        "/probe",
        "/actuator",
        "/.well-known/",
        "/-/",
    ];
    const ENDS: [&str; 10] = [
        "/ready",
        "/readiness",
        "/readyz",
        "/live",
        "/livez",
        "/health",
        "/healthz",
        "/alive",
        "/up",
        "/ping",
    ];
    // What is there, and not what it says.
    const LISTS: [&str; 4] = ["/version", "/v1/models", "/api/tags", "/api/version"];
    path == "/"
        || LISTS.contains(&path)
        || PROBES.iter().any(|probe| path.starts_with(probe))
        || ENDS.iter().any(|end| path.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_whole_where_a_models_name_has_dashes() {
        for (text, whole) in [
            ("/v2/models/my name/ready", "/v2/models/my name/ready"),
            ("/v2/models/m http/2 200", "/v2/models/m"),
            ("/v2/models/m\"é / x", "/v2/models/m"),
            ("/v2/models/m", "/v2/models/m"),
        ] {
            let end = text.find([' ', '"']).unwrap_or(text.len());
            assert_eq!(with_name(text, &text[..end]), whole, "{text}");
        }
    }
}
