//! A plan as written → what is sent, in which order.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

use preheat_api::config::{Expect, Generate};
use preheat_api::probe::{ProbeCase, ProbePlan};
use preheat_core::Failure;
use serde_json::Value;

use super::body::{self, PRESETS, Template};
use crate::cli::ProbeArgs;
use crate::config::file;
use crate::exit::{configuration, from_config};

/// Cases of a plan, lines of a recording, requests of a case: a probe stays a probe.
const MOST_CASES: usize = 200;
const MOST_ROUNDS: usize = 1_000;

/// Lines taken from a file that does not say how many.
const LINES: usize = 20;

/// A recorded body is a request body, and those are bounded.
const LONGEST_LINE: u64 = 2_000_000;

#[derive(Debug, Clone)]
pub struct Plan {
    pub preset: Option<String>,
    pub path: Option<String>,
    pub model: Option<String>,
    pub rounds: usize,
    pub timeout: Duration,
    pub max_ratio: f64,
    pub max_first_ratio: Option<f64>,
    pub slack: Duration,
    pub cases: Vec<Case>,
}

#[derive(Debug, Clone)]
pub struct Case {
    pub name: String,
    pub texts: Vec<String>,
    /// The body itself, where the plan says it.
    pub body: Option<Value>,
    pub path: Option<String>,
    pub status: u16,
    pub expect: Expect,
}

impl Plan {
    /// What to try for a case.
    pub fn templates(&self, case: &Case) -> Vec<Template> {
        let path = case.path.as_deref().or(self.path.as_deref());
        let mut templates = body::candidates(self.preset.as_deref(), path);
        if let Some(body) = &case.body {
            templates.truncate(1);
            templates[0].body = body.clone();
        }
        templates
    }
}

/// The plan that flags and file come to.
pub fn read(args: &ProbeArgs, path: Option<String>) -> Result<Plan, Failure> {
    let written = match &args.plan {
        Some(file) => parse(file::read(file).map_err(|error| from_config(&error))?)?,
        None => ProbePlan::default(),
    };
    let preset = args.preset.clone().or(written.preset);
    if let Some(unknown) = preset
        .as_ref()
        .filter(|name| !PRESETS.contains(&name.as_str()))
    {
        return Err(mistake(
            format!("there is no preset `{unknown}`"),
            format!("take one of {}", PRESETS.join(", ")),
        ));
    }
    if !(written.max_ratio.is_finite() && written.max_ratio >= 1.0) {
        return Err(mistake(
            format!("max_ratio = {} lets nothing pass", written.max_ratio),
            "give 1 or more".into(),
        ));
    }
    let mut cases = Vec::new();
    for (number, case) in (1..).zip(&written.case) {
        cases.extend(resolve(case, number)?);
    }
    if cases.len() > MOST_CASES {
        return Err(mistake(
            format!("{} cases are too many", cases.len()),
            format!("give at most {MOST_CASES}"),
        ));
    }
    if cases.is_empty() {
        cases = default_cases();
    }
    Ok(Plan {
        preset,
        path: path.or(written.path),
        model: args.model.clone().or(written.model),
        rounds: args.rounds.unwrap_or(written.rounds).clamp(3, MOST_ROUNDS),
        timeout: args.timeout.unwrap_or(written.timeout.0),
        max_ratio: args.max_ratio.unwrap_or(written.max_ratio),
        max_first_ratio: args.max_first_ratio,
        slack: written.slack.0,
        cases,
    })
}

/// One short text, a few times: enough to tell cold from warm.
pub fn quick(path: Option<&str>) -> Plan {
    let default = ProbePlan::default();
    Plan {
        preset: None,
        path: path.map(str::to_owned),
        model: None,
        rounds: 8,
        timeout: Duration::from_secs(30),
        max_ratio: default.max_ratio,
        max_first_ratio: None,
        slack: default.slack.0,
        cases: default_cases().into_iter().take(1).collect(),
    }
}

/// A plan of its own, or the warm-up plan of a configuration.
fn parse(mut value: Value) -> Result<ProbePlan, Failure> {
    let in_model = value["model"]
        .as_array()
        .and_then(|models| models.first())
        .map(|model| model["warmup"]["case"].clone());
    let in_warmup = value["warmup"]
        .as_object()
        .and_then(|warmup| warmup.get("case").cloned());
    if let Some(cases) = in_model.or(in_warmup) {
        value = serde_json::json!({ "case": cases });
    }
    let mut path = String::new();
    serde_path_to_error::deserialize(value).map_err(|error| {
        path = error.path().to_string();
        mistake(
            format!("in the plan, {path}: {}", error.inner()),
            "keys of a plan: preset, path, model, rounds, timeout, max_ratio, slack, case; of a case: name, texts, generate, file, max, body, path, status, expect".into(),
        )
    })
}

fn resolve(case: &ProbeCase, number: usize) -> Result<Vec<Case>, Failure> {
    let name = if case.name.is_empty() {
        format!("case-{number}")
    } else {
        case.name.clone()
    };
    let one = |name: String, texts: Vec<String>, body: Option<Value>| Case {
        name,
        texts,
        body,
        path: case.path.clone(),
        status: case.status.unwrap_or(200),
        expect: case.expect.clone(),
    };
    match (&case.texts, case.generate, &case.file, &case.body) {
        (Some(texts), None, None, None) if !texts.is_empty() => {
            Ok(vec![one(name, texts.clone(), None)])
        }
        (Some(texts), None, None, Some(body)) => {
            Ok(vec![one(name, texts.clone(), Some(body.clone()))])
        }
        (None, Some(generate), None, body) => {
            Ok(vec![one(name, generated(generate), body.clone())])
        }
        (None, None, None, Some(body)) => Ok(vec![one(name, Vec::new(), Some(body.clone()))]),
        (None, None, Some(path), None) => {
            let bodies = recorded(path, case.max.unwrap_or(LINES)).map_err(|problem| {
                mistake(
                    format!("case {name}: {path}: {problem}"),
                    "give a readable file with one JSON body a line".into(),
                )
            })?;
            Ok((1..)
                .zip(bodies)
                .map(|(line, body)| one(format!("{name}#{line}"), Vec::new(), Some(body)))
                .collect())
        }
        _ => Err(mistake(
            format!("case {name} has no input, or more than one"),
            "give exactly one of texts (not empty), generate, file and body".into(),
        )),
    }
}

fn recorded(path: &str, most: usize) -> Result<Vec<Value>, String> {
    let mut reader = BufReader::new(File::open(path).map_err(|error| error.to_string())?);
    let mut bodies = Vec::new();
    while bodies.len() < most.min(MOST_CASES) {
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
                serde_json::from_str(&line)
                    .map_err(|error| format!("line {}: {error}", bodies.len() + 1))?,
            );
        }
    }
    match bodies.is_empty() {
        true => Err("it holds no body".into()),
        false => Ok(bodies),
    }
}

fn default_cases() -> Vec<Case> {
    let shapes = [("short", 1, 8), ("long", 1, 128), ("batch", 8, 16)];
    shapes
        .map(|(name, texts, tokens)| Case {
            name: name.into(),
            texts: generated(Generate { texts, tokens }),
            body: None,
            path: None,
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

fn mistake(cause: String, remedy: String) -> Failure {
    configuration(cause, remedy)
}
