//! A plan as written → what is sent, in which order.

use std::collections::BTreeSet;
use std::time::Duration;

use preheat_api::probe::ProbePlan;
use preheat_core::Failure;
use preheat_server::exchange::{self, Exchange, Mistake, Spoken};
use serde_json::Value;

use crate::cli::ProbeArgs;
use crate::config::words::for_users;
use crate::exit::configuration;

/// Requests of a case: a probe stays a probe.
const MOST_ROUNDS: usize = 1_000;

#[derive(Debug, Clone)]
pub struct Plan {
    pub spoken: Spoken,
    /// None: what the server says.
    pub model: Option<String>,
    pub rounds: usize,
    pub timeout: Duration,
    pub max_ratio: f64,
    pub max_first_ratio: Option<f64>,
    pub slack: Duration,
    pub cases: Vec<Exchange>,
}

/// The plan that flags and file come to.
pub fn read(args: &ProbeArgs, path: Option<String>) -> Result<Plan, Failure> {
    let written = match &args.plan {
        Some(file) => super::written(file)?,
        None => ProbePlan::default(),
    };
    let preset = args.preset.clone().or(written.preset).unwrap_or_default();
    let preset = exchange::preset(&preset).map_err(written_wrong)?;
    if !(written.max_ratio.is_finite() && written.max_ratio >= 1.0) {
        return Err(mistake(
            format!("max_ratio = {} lets nothing pass", written.max_ratio),
            "give 1 or more".into(),
        ));
    }
    let mut cases = exchange::resolve(&written.case).map_err(written_wrong)?;
    if cases.is_empty() {
        cases = exchange::default_cases();
    }
    tell_apart(&mut cases);
    Ok(Plan {
        spoken: Spoken {
            preset,
            path: path.or(written.path),
            model: String::new(),
        },
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
        spoken: Spoken {
            path: path.map(str::to_owned),
            ..Spoken::default()
        },
        model: None,
        rounds: 8,
        timeout: Duration::from_secs(30),
        max_ratio: default.max_ratio,
        max_first_ratio: None,
        slack: default.slack.0,
        cases: exchange::default_cases().into_iter().take(1).collect(),
    }
}

/// A plan of its own, or the warm-up plan of a configuration.
pub fn parse(mut value: Value) -> Result<ProbePlan, Failure> {
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
            format!("in the plan, {path}: {}", for_users(&error.inner().to_string())),
            "keys of a plan: preset, path, model, rounds, timeout, max_ratio, slack, case; of a case: name, texts, generate, file, max, body, path, method, status, expect".into(),
        )
    })
}

/// Series of a monitoring system and tests of a report have names of their own.
pub(super) fn tell_apart(cases: &mut [Exchange]) {
    let mut names = BTreeSet::new();
    for case in cases {
        let own = case.name.clone();
        let mut count = 1;
        while !names.insert(case.name.clone()) {
            count += 1;
            case.name = format!("{own} ({count})");
        }
    }
}

fn written_wrong(mistake: Mistake) -> Failure {
    configuration(mistake.problem, mistake.remedy)
}

fn mistake(cause: String, remedy: String) -> Failure {
    configuration(cause, remedy)
}
