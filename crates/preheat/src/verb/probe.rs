//! `preheat probe`: warms any HTTP model server by a plan, from outside, and says what each case's
//! first request took against its steady ones. Bounded in time and in requests, so that it may run
//! as a start-up gate.

mod measure;
pub mod plan;
mod show;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::process::ExitCode;

use preheat_api::probe::ProbePlan;
use preheat_core::{Failure, FailureKind};
use preheat_server::exchange::Outgoing;

use self::measure::{Measured, Outcome};
use super::process;
use crate::cli::{ProbeArgs, ProbeFormat, Target};
use crate::client::{Client, ClientError};
use crate::config::file;
use crate::exit::{WAIT_TIMED_OUT, from_config, staged};
use crate::out;
use crate::terminal::columns;

/// A first request so many times slower than steady is a cold one.
const COLD_RATIO: f64 = 2.0;

/// Below this a difference is the network's and the scheduler's, not the model's.
const COLD_SLACK_MS: f64 = 10.0;

/// A first request must lie so many times further from steady than the slowest steady one.
const BEYOND_NOISE: f64 = 3.0;

/// What a first request takes, and what the next ones take.
#[derive(Debug, Clone, Copy)]
pub struct Pair {
    pub first_ms: f64,
    pub steady_ms: f64,
    /// Whether the difference is more than noise.
    pub is_cold: bool,
}

pub fn run(args: &ProbeArgs) -> Result<ExitCode, Failure> {
    let (base, path) = split(&args.target.url);
    let target = Target {
        url: base,
        ..args.target.clone()
    };
    let plan = plan::read(args, path)?;
    let measured = process::runtime()?.block_on(measure::all(&target, &plan));
    let measured = measured.map_err(|error| unreachable(&error))?;
    match format(args) {
        ProbeFormat::Text => out::print(&show::as_text(&measured, columns()))?,
        ProbeFormat::Json => out::json(&show::as_json(&measured))?,
        ProbeFormat::Prometheus => out::print(&show::as_prometheus(&measured))?,
        ProbeFormat::Junit => out::print(&show::as_junit(&measured))?,
    }
    Ok(ExitCode::from(code(&measured)))
}

fn format(args: &ProbeArgs) -> ProbeFormat {
    match args.target.json {
        true => ProbeFormat::Json,
        false => args.format,
    }
}

/// 0: warm now. Otherwise the worst that happened.
fn code(measured: &Measured) -> u8 {
    let has = |outcome: Outcome| measured.cases.iter().any(|case| case.outcome == outcome);
    if has(Outcome::Failed) {
        return FailureKind::Warmup.exit_code();
    }
    if measured.timed_out {
        return WAIT_TIMED_OUT;
    }
    if has(Outcome::Unsettled) || has(Outcome::SlowWhenFresh) || has(Outcome::Cold) {
        return FailureKind::Proof.exit_code();
    }
    0
}

fn unreachable(error: &ClientError) -> Failure {
    staged(
        "probe",
        FailureKind::Internal,
        error.to_string(),
        error.remedy(),
    )
}

/// A plan file as it is written.
pub fn written(file: &Path) -> Result<ProbePlan, Failure> {
    plan::parse(file::read(file).map_err(|error| from_config(&error))?)
}

/// The address of a server, and the path behind it.
pub fn split(url: &str) -> (String, Option<String>) {
    if url.starts_with("unix:") {
        return (url.to_owned(), None);
    }
    let host = url.find("://").map_or(0, |at| at + 3);
    match url[host..].find('/') {
        Some(at) => {
            let (base, path) = url.split_at(host + at);
            (base.to_owned(), (path != "/").then(|| path.to_owned()))
        }
        None => (url.to_owned(), None),
    }
}

/// The first request of one short text against the next ones, if the server can be asked at all.
pub async fn first_against_steady(target: &Target, path: Option<&str>) -> Option<Pair> {
    let plan = plan::quick(path);
    let measured = measure::all(target, &plan).await.ok()?;
    let case = measured
        .cases
        .into_iter()
        .find(|case| case.outcome != Outcome::Failed)?;
    Some(Pair {
        first_ms: case.first_ms?,
        steady_ms: case.steady_ms?,
        is_cold: case.was_cold(),
    })
}

/// A request of one short text that this server takes, and the model's name in it.
pub async fn taken(client: &Client) -> Option<Outgoing> {
    let plan = plan::quick(None);
    let case = plan.cases.first()?;
    let model = measure::model_of(client).await;
    for template in case.templates(&plan.spoken) {
        let out = case.fill(&template, &model);
        let answer = client.ask(out.clone()).await.ok()?;
        if case.check(&out.path, answer.status, &answer.body).is_ok() {
            return Some(out);
        }
    }
    None
}

/// A client with a connection of its own.
fn fresh(target: &Target) -> Result<Client, ClientError> {
    Client::of(target)
}
