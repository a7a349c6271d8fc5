//! Traffic as it can be had: recordings, access logs, a running server.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};

use preheat_api::record::Recorded;
use preheat_core::Failure;
use serde_json::Value;

use super::super::{process, record};
use super::failed;
use crate::cli::{PlanArgs, Target};

/// Lines of one file, and bytes of one line.
const LINES: usize = 1_000_000;
const LONGEST_LINE: u64 = 2_000_000;

/// One request, as far as it is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    pub path: Option<String>,
    pub body: Option<Value>,
}

/// Whether every source that is a file is there: told before a model is loaded for what they hold.
pub fn check(args: &PlanArgs) -> Result<(), Failure> {
    let files = args.from.iter().filter(|source| !is_address(source));
    files
        .map(|path| std::fs::metadata(path).map_err(|error| unreadable(path, &error)))
        .try_for_each(|there| there.map(drop))
}

/// Hands each request on and keeps none; returns how many there were.
pub fn each(args: &PlanArgs, mut take: impl FnMut(Seen)) -> Result<usize, Failure> {
    let mut all = 0;
    for source in &args.from {
        match is_address(source) {
            true => live(source, args, &mut all, &mut take)?,
            false => file(source, &mut all, &mut take)?,
        }
    }
    Ok(all)
}

/// A server is listened to, a file is read.
pub fn is_address(source: &str) -> bool {
    source.contains("://") || source.starts_with("unix:")
}

fn live(
    url: &str,
    args: &PlanArgs,
    all: &mut usize,
    take: &mut impl FnMut(Seen),
) -> Result<(), Failure> {
    let target = Target {
        url: url.to_owned(),
        key: args.key.clone(),
        json: false,
    };
    let listening = record::listen(&target, args.time, |text| {
        if let Some(seen) = line(text) {
            *all += 1;
            take(seen);
        }
        Ok(*all < LINES)
    });
    // Nothing is written here that could fail.
    process::runtime()?.block_on(listening)?.unwrap_or(());
    Ok(())
}

pub fn file(path: &str, all: &mut usize, take: &mut impl FnMut(Seen)) -> Result<(), Failure> {
    let failed = |error: std::io::Error| unreadable(path, &error);
    let mut reader = BufReader::new(File::open(path).map_err(failed)?);
    let mut bytes = Vec::new();
    while *all < LINES {
        bytes.clear();
        let mut limited = reader.by_ref().take(LONGEST_LINE);
        if limited.read_until(b'\n', &mut bytes).map_err(failed)? == 0 {
            break;
        }
        if let Some(seen) = line(String::from_utf8_lossy(&bytes).trim()) {
            *all += 1;
            take(seen);
        }
    }
    Ok(())
}

fn unreadable(path: &str, error: &std::io::Error) -> Failure {
    let cause = format!("{path} cannot be read: {error}");
    failed(cause, "give a recording, an access log, or an address")
}

/// A request, if the line shows one.
fn line(text: &str) -> Option<Seen> {
    if let Some(path) = logged(text) {
        return Some(Seen {
            path: Some(path),
            body: None,
        });
    }
    let (path, body) = Recorded::read(text).ok()?;
    // A log of another program in JSON is no request.
    let plausible = path.is_some() || preheat_server::exchange::texts(body.clone()).is_some();
    plausible.then_some(Seen {
        path,
        body: Some(body),
    })
}

/// `"POST /embed HTTP/1.1"`, as servers and proxies log it; only what a user wants done counts.
fn logged(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("\"POST ")?;
    let (path, rest) = rest.split_once(' ')?;
    let path = path.split('?').next().unwrap_or(path);
    (rest.starts_with("HTTP/") && path.starts_with('/')).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn requests_are_found_in_what_servers_write() {
        let post = |path: &str| Some(path.to_owned());
        for (text, path, body) in [
            (r#"["a"]"#, None, Some(json!(["a"]))),
            (
                r#"{"path":"/embed","body":["a"]}"#,
                post("/embed"),
                Some(json!(["a"])),
            ),
            (
                r#"INFO: 127.0.0.1:5 - "POST /embed?x=1 HTTP/1.1" 200 OK"#,
                post("/embed"),
                None,
            ),
            (
                r#"10.0.0.1 - - [01/Jan/2026:00:00:00 +0000] "POST /v1/embeddings HTTP/2.0" 200 512"#,
                post("/v1/embeddings"),
                None,
            ),
        ] {
            assert_eq!(line(text), Some(Seen { path, body }), "{text}");
        }
        for none in [
            "",
            "loading",
            r#""GET / HTTP/1.1" 200"#,
            r#"{"level":"info"}"#,
            "{",
        ] {
            assert_eq!(line(none), None, "{none}");
        }
    }
}
