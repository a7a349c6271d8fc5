//! A plan as written → the requests of it.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};

use http::Method;
use preheat_api::config::{CaseConfig, Expect, Generate};
use preheat_api::exchange::PRESETS;
use preheat_api::record::Recorded;
use serde_json::Value;

use super::Exchange;

/// Cases of one plan.
pub const MOST: usize = 200;

/// Lines taken from a file that does not say how many.
const LINES: usize = 20;

/// A recorded body is a request body, and those are bounded.
const LONGEST_LINE: u64 = 2_000_000;

/// What is wrong with a plan, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct Mistake {
    pub problem: String,
    pub remedy: String,
}

/// The requests of a plan as written, in order.
///
/// # Errors
/// The first mistake in it.
pub fn resolve(cases: &[CaseConfig]) -> Result<Vec<Exchange>, Mistake> {
    let mut all = Vec::new();
    for (number, case) in (1..).zip(cases) {
        all.extend(one(case, number)?);
    }
    if all.len() > MOST {
        return Err(mistake(
            format!("{} cases are too many", all.len()),
            format!("give at most {MOST}"),
        ));
    }
    Ok(all)
}

/// Whether there is such an API.
///
/// # Errors
/// When there is not.
pub fn preset(name: &str) -> Result<Option<String>, Mistake> {
    match name {
        "" => Ok(None),
        known if PRESETS.contains(&known) => Ok(Some(known.to_owned())),
        unknown => Err(mistake(
            format!("there is no preset `{unknown}`"),
            format!("take one of {}", PRESETS.join(", ")),
        )),
    }
}

fn one(case: &CaseConfig, number: usize) -> Result<Vec<Exchange>, Mistake> {
    let name = match case.name.as_str() {
        "" => format!("case-{number}"),
        name => name.to_owned(),
    };
    let method = case
        .method
        .as_deref()
        .unwrap_or("POST")
        .to_ascii_uppercase();
    let Ok(method) = method.parse::<Method>() else {
        let problem = format!("case {name}: {method:?} is no method");
        return Err(mistake(
            problem,
            "give GET, POST or another method of HTTP".into(),
        ));
    };
    let made = |name: String, texts: Vec<String>, body: Option<Value>| Exchange {
        name,
        texts,
        body,
        path: case.path.clone(),
        method: method.clone(),
        status: case.status.unwrap_or(200),
        expect: case.expect.clone(),
    };
    let foreign = !case.input.is_empty() || case.image.is_some();
    match (&case.texts, case.generate, &case.file, &case.body) {
        _ if foreign => {}
        (Some(texts), None, None, body) if !texts.is_empty() || body.is_some() => {
            return Ok(vec![made(name, texts.clone(), body.clone())]);
        }
        (None, Some(generate), None, body) => {
            return Ok(vec![made(name, generated(generate), body.clone())]);
        }
        (None, None, None, Some(body)) => {
            return Ok(vec![made(name, Vec::new(), Some(body.clone()))]);
        }
        (None, None, None, None) if method == Method::GET && case.path.is_some() => {
            return Ok(vec![made(name, Vec::new(), None)]);
        }
        (None, None, Some(path), None) => {
            let bodies = recorded(path, case.max.unwrap_or(LINES)).map_err(|problem| {
                mistake(
                    format!("case {name}: {path}: {problem}"),
                    "give a readable file with one JSON body a line".into(),
                )
            })?;
            let lines = (1..).zip(bodies);
            // A recorded request says itself where it went, unless the case says otherwise.
            let line = |(line, (path, body)): (usize, (Option<String>, Value))| {
                let mut exchange = made(format!("{name}#{line}"), Vec::new(), Some(body));
                exchange.path = exchange.path.or(path);
                exchange
            };
            return Ok(lines.map(line).collect());
        }
        _ => {}
    }
    Err(mistake(
        format!("case {name} has no input, or more than one"),
        "give exactly one of texts (not empty), generate, file and body".into(),
    ))
}

fn recorded(path: &str, most: usize) -> Result<Vec<(Option<String>, Value)>, String> {
    let mut reader = BufReader::new(File::open(path).map_err(|error| error.to_string())?);
    let mut bodies = Vec::new();
    while bodies.len() < most.min(MOST) {
        let mut line = String::new();
        let read = reader
            .by_ref()
            .take(LONGEST_LINE)
            .read_line(&mut line)
            .map_err(|error| error.to_string())?;
        if read == 0 {
            break;
        }
        if !line.trim().is_empty() {
            bodies.push(
                Recorded::read(&line)
                    .map_err(|error| format!("line {}: {error}", bodies.len() + 1))?,
            );
        }
    }
    match bodies.is_empty() {
        true => Err("it holds no body".into()),
        false => Ok(bodies),
    }
}

/// What is sent where nobody gave a plan: short, long, several.
#[must_use]
pub fn default_cases() -> Vec<Exchange> {
    let shapes = [("short", 1, 8), ("long", 1, 128), ("batch", 8, 16)];
    shapes
        .map(|(name, texts, tokens)| Exchange {
            name: name.into(),
            texts: generated(Generate { texts, tokens }),
            body: None,
            path: None,
            method: Method::POST,
            status: 200,
            expect: Expect::default(),
        })
        .to_vec()
}

/// Texts of about so many tokens: words that tokenizers keep whole.
fn generated(generate: Generate) -> Vec<String> {
    const WORDS: [&str; 8] = [
        "warm", "model", "request", "answer", "river", "stone", "seven", "light",
    ];
    let text = |number: usize| {
        let words =
            (0..generate.tokens.clamp(1, 100_000)).map(|word| WORDS[(number + word) % WORDS.len()]);
        words.collect::<Vec<_>>().join(" ")
    };
    (0..generate.texts.clamp(1, 10_000)).map(text).collect()
}

fn mistake(problem: String, remedy: String) -> Mistake {
    Mistake { problem, remedy }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_case_has_one_input() {
        for (case, good) in [
            (json!({ "texts": ["a"] }), true),
            (json!({ "body": { "x": 1 } }), true),
            (json!({ "texts": ["a"], "body": { "x": "{{text}}" } }), true),
            (json!({ "method": "get", "path": "/" }), true),
            (json!({ "path": "/" }), false),
            (json!({ "texts": [] }), false),
            (json!({ "image": "x.png" }), false),
            (
                json!({ "texts": ["a"], "generate": { "texts": 1, "tokens": 1 } }),
                false,
            ),
            (json!({ "method": "no method", "path": "/" }), false),
        ] {
            let parsed: CaseConfig = serde_json::from_value(case.clone()).unwrap();
            assert_eq!(resolve(&[parsed]).is_ok(), good, "{case}");
        }
    }
}
