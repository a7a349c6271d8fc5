//! Shapes and ports that a line tells, whatever they are called.

use super::list::List;
use super::text::digits;

/// Whether the shape of an input is told: `1x3x640x640`, `[1, 512]`, `(8,320)`, `L=611`, `tokens=498`.
pub(crate) fn tells_shape(text: &str) -> bool {
    is_crossed(text) || is_listed(text) || is_called(text)
}

/// `640x640`, `1x17`
fn is_crossed(text: &str) -> bool {
    text.match_indices('x').any(|(at, _)| {
        let before = text[..at].trim_end_matches(|c: char| c.is_ascii_digit());
        let is_number = before.len() < at && !before.ends_with(|c: char| c.is_ascii_alphanumeric());
        let (behind, _) = digits(&text[at + 1..]);
        // `0x7f11` is an address.
        is_number && !behind.is_empty() && !text[before.len()..at].starts_with('0')
    })
}

/// `[1,512]`, `(8, 320)`: nothing but numbers.
fn is_listed(text: &str) -> bool {
    text.match_indices(['[', '(']).any(|(at, _)| {
        let Some(end) = text[at + 1..].find([']', ')']) else {
            return false;
        };
        let inner = &text[at + 1..at + 1 + end];
        let numbers = inner.split(',').map(str::trim);
        inner.contains(',')
            && inner.len() <= 32
            && numbers.clone().count() <= 5
            && numbers
                .into_iter()
                .all(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
    })
}

/// A length by a short name.
fn is_called(text: &str) -> bool {
    const NAMES: [&str; 12] = [
        "bs=", "batch=", "l=", "n=", "t=", "len=", "seq=", "seqlen=", "tokens=", "length=",
        "frames=", "size=",
    ];
    NAMES.iter().any(|name| {
        text.match_indices(name).any(|(at, _)| {
            let is_begin = !text[..at].ends_with(|c: char| c.is_ascii_alphanumeric());
            is_begin && text[at + name.len()..].starts_with(|c: char| c.is_ascii_digit())
        })
    })
}

/// What is done to a port, or with one, by whoever waits there for others.
pub(crate) const OPENS: [&str; 18] = [
    "opening",
    "listening",
    "listen",
    "bound",
    "binding",
    "bind",
    "up",
    "serving",
    "running",
    "started",
    "starting",
    "open",
    "opened",
    "web",
    "uvicorn",
    "express",
    "gateway",
    "serve",
];

/// Who does that, where no word says it.
const SERVERS: [&str; 5] = ["server", "http", "api", "grpc", "app"];

/// Words of whoever asks somebody else, or tells of something that watches.
const ASKS: [&str; 30] = [
    "connect",
    "upstream",
    "probe",
    "retry",
    "refused",
    "pull",
    " get ",
    "get /",
    "post ",
    "curl",
    "dial",
    "client",
    " from ",
    "metrics",
    "prometheus",
    "debug",
    "redis",
    "postgres",
    "database",
    "proxy",
    "peer",
    "fail",
    "error",
    "in use",
    "otel",
    "not ",
    "health",
    "tcp address",
    "download",
    "endpoint",
];

static OPENING: List = List::new(&[&OPENS, &SERVERS]);
static ASKING: List = List::new(&[&ASKS]);

/// Whether somebody begins to wait for requests: `bound :8000`, `web on 0.0.0.0:80`, `express on 3000`.
pub(crate) fn opens_port(text: &str) -> bool {
    let is_short = text.len() <= 160;
    is_short
        && !text.starts_with("get ")
        && has_port(text)
        && OPENING.stands_in(text)
        && !ASKING.is_in(text)
}

/// `:8000` behind an address or a blank, `port 8000`, `on 3000` at the end.
fn has_port(text: &str) -> bool {
    let is_port = |rest: &str, is_last: bool| {
        let (port, behind) = digits(rest);
        let is_over = !behind
            .starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '.' | '%'));
        (2..=5).contains(&port.len())
            && is_over
            && (!is_last || (port.len() >= 4 && behind.is_empty()))
    };
    let behind_sign = text.match_indices(':').any(|(at, _)| {
        let before = &text[..at];
        let is_address = before.ends_with([' ', ']', '*']) || before.is_empty() || is_host(before);
        is_address && is_port(&text[at + 1..], false)
    });
    behind_sign
        || ["port ", "port=", "port: "].iter().any(|name| {
            text.match_indices(name)
                .any(|(at, _)| is_port(&text[at + name.len()..], false))
        })
        || text
            .match_indices(" on ")
            .any(|(at, _)| is_port(&text[at + 4..], true))
}

/// `…0.0.0.0`, `…//host`, and no clock.
fn is_host(before: &str) -> bool {
    let word = before.rsplit(' ').next().unwrap_or_default();
    word.contains("//") || word.ends_with("localhost") || word.matches('.').count() == 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_told_in_many_forms() {
        for text in [
            "batch=1x17",
            "for [1,512], compiling",
            "graph for (8, 320)",
            "l=611 rounds",
            "tokens=498 is",
        ] {
            assert!(tells_shape(text), "{text}");
        }
        for text in [
            "at 0x7f11d40c5a60",
            "(1 of 2)",
            "[gpu 0] at (a, b)",
            "level=3",
            "index (3)",
            "2 x faster",
        ] {
            assert!(!tells_shape(text), "{text}");
        }
    }

    #[test]
    fn a_port_is_opened_by_who_waits_there() {
        for text in [
            "bound :8000, session loaded",
            "[web] bound 0.0.0.0:9000",
            "[10:00:00] express on 3000",
            "api up, port 8000",
            "starting server at http://0.0.0.0:8000 (bjoern)",
            "uvicorn: http://0.0.0.0:80",
            "grpc up at [::]:50051",
        ] {
            assert!(opens_port(text), "{text}");
        }
        for text in [
            "connected to redis:6379",
            "get http://10.0.0.1:8000/ready",
            "web started at 10:00:31",
            "step 3 on 2026",
            "upstream app:8000 is up",
            "metrics server on :9090",
        ] {
            assert!(!opens_port(text), "{text}");
        }
    }
}
