//! Lines about requests: those of access logs, and others that tell of one.

use super::Diagnosis;
use super::cause::Cause;
use super::parsed::Parsed;
use super::timeline::Stream;

impl Diagnosis {
    /// A line of an access log: a request, a probe that was answered, what it took.
    pub(super) fn access(&mut self, stream: &mut Stream, line: &Parsed<'_>) {
        let Some(path) = path(line.text) else { return };
        let ok = line.text.contains(" 200");
        if is_probe(path) {
            if ok && path.contains("ready") {
                stream.claims_ready(&line.evidence);
                let _ = stream.complete(line.at);
            }
            return;
        }
        // A size may look like a status.
        if !ok && has_status_503(line.text) {
            if let Some(ready) = stream.refuses() {
                self.see(Cause::ReadyTooEarly, 0.7, ready, None, None);
            }
            return;
        }
        stream.request();
        if let Some(took) = line.amounts.last() {
            self.latency.request(took.ms, &line.evidence);
        }
    }

    /// A line about a request that is no line of an access log: it begins, or tells its time.
    pub(super) fn asked(&mut self, stream: &mut Stream, line: &Parsed<'_>) {
        if path(line.text).is_none_or(is_probe) || line.parts().next().is_some() {
            return;
        }
        stream.request();
        if let Some(took) = line.amounts.last() {
            self.latency.request(took.ms, &line.evidence);
        }
    }
}

/// Not every line with a path in it is a line of an access log.
pub(super) fn is_access(line: &Parsed<'_>) -> bool {
    let method = ["get /", "post /", "put /", "get \"/", "post \"/", "put \"/"]
        .iter()
        .any(|method| line.text.contains(method));
    let answered = [
        "http/1", "http/2", "status", "code=", " 200", " 503", " 500",
    ]
    .iter()
    .any(|word| line.text.contains(word));
    let fields = ["path=/", "uri=/", "url=/"]
        .iter()
        .any(|field| line.text.contains(field));
    (method || fields) && answered
}

fn has_status_503(text: &str) -> bool {
    text.match_indices(" 503").any(|(at, status)| {
        !text[at + status.len()..].starts_with(|c: char| c.is_ascii_alphanumeric())
    })
}

/// The path that was asked for.
fn path(text: &str) -> Option<&str> {
    let starts = [
        "post /", "get /", "put /", "post \"/", "get \"/", "put \"/", "path=/", "uri=/", "url=/",
    ];
    let at = starts
        .iter()
        .find_map(|start| text.find(start).map(|at| at + start.len() - 1))?;
    text[at..].split([' ', '"', '?', '\'', ',']).next()
}

/// Whether a path is asked by machines that watch rather than by users.
fn is_probe(path: &str) -> bool {
    const PROBES: [&str; 12] = [
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
    ];
    path == "/"
        || PROBES.iter().any(|probe| path.starts_with(probe))
        || path.ends_with("/ready")
        || path.ends_with("/live")
        || path.ends_with("/health")
}
