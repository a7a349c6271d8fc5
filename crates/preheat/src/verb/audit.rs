//! `preheat audit`: a running replica or gateway held against what is promised of it. The first request
//! is no slower than the second; memory stays under its limit; and while a gateway goes from no replica
//! to many, its users notice nothing.

mod scaling;

use std::process::ExitCode;

use preheat_api::ReadinessReport;
use preheat_core::{Failure, FailureKind};
use preheat_server::human;
use serde_json::{Value, json};

use super::{probe, process};
use crate::cli::AuditArgs;
use crate::client::{Client, ClientError};
use crate::exit::staged;
use crate::out;
use crate::table::{Column, Table, plain};
use crate::terminal::columns;

/// What memory may take of its limit.
const MEMORY: f64 = 0.8;

/// One thing that must hold, with its figures.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    pub what: &'static str,
    pub ok: bool,
    pub value: String,
    pub limit: String,
}

pub fn run(args: &AuditArgs) -> Result<ExitCode, Failure> {
    let checks = process::runtime()?.block_on(checks(args))?;
    match args.target.json {
        true => out::json(&as_json(&args.target.url, &checks))?,
        false => out::print(&as_text(&args.target.url, &checks, columns()))?,
    }
    match checks.iter().all(|check| check.ok) {
        true => Ok(ExitCode::SUCCESS),
        false => Ok(ExitCode::from(FailureKind::Proof.exit_code())),
    }
}

async fn checks(args: &AuditArgs) -> Result<Vec<Check>, Failure> {
    let client = Client::of(&args.target).map_err(|error| unreachable(&error))?;
    let readiness = client
        .readiness()
        .await
        .map_err(|error| unreachable(&error))?;
    let mut checks = Vec::new();
    // From no replica on, where there is a gateway: first of all, since afterwards there is one.
    if let Some(services) = readiness.json["services"].as_array() {
        checks.extend(scaling::checks(args, services).await?);
    }
    checks.push(first_request(args).await?);
    let readiness = client
        .readiness()
        .await
        .map_err(|error| unreachable(&error))?;
    checks.extend(readiness.report.as_ref().and_then(memory));
    Ok(checks)
}

async fn first_request(args: &AuditArgs) -> Result<Check, Failure> {
    let pair = probe::first_against_steady(&args.target, None).await;
    let pair = pair.ok_or_else(|| {
        failed(
            "it takes no request of the usual APIs",
            "give the address that takes requests, not the admin listener's; a server with another API is \
             probed with a plan of its own (`preheat probe URL --plan FILE`)",
        )
    })?;
    let [first, steady] = [pair.first_ms, pair.steady_ms].map(human::millis);
    Ok(Check {
        what: "first request against the next ones",
        ok: !pair.is_cold,
        value: format!("{first}, then {steady}"),
        limit: "no slower than noise".into(),
    })
}

fn memory(report: &ReadinessReport) -> Option<Check> {
    let memory = &report.models.first()?.memory;
    let used = memory.peak_bytes as f64 / memory.limit_bytes.max(1) as f64;
    Some(Check {
        what: "peak memory of its limit",
        ok: memory.limit_bytes == 0 || used <= MEMORY,
        value: match memory.limit_bytes {
            0 => format!("{}, no limit known", human::bytes(memory.peak_bytes)),
            limit => format!(
                "{:.1} %: {} of {}",
                used * 100.0,
                human::bytes(memory.peak_bytes),
                human::bytes(limit)
            ),
        },
        limit: format!("{:.0} %", MEMORY * 100.0),
    })
}

fn as_text(url: &str, checks: &[Check], width: Option<usize>) -> String {
    let mut table = Table::new([
        Column::Left("result"),
        Column::Left("what"),
        Column::Left("value"),
        Column::Left("limit"),
    ]);
    for check in checks {
        let result = if check.ok { "ok" } else { "missed" };
        table.row([result, check.what, &check.value, &check.limit]);
    }
    let missed = checks.iter().filter(|check| !check.ok).count();
    let conclusion = match missed {
        0 => "it holds what is promised".to_owned(),
        missed => format!("it misses {missed} of {}", checks.len()),
    };
    let table = table.within(width);
    format!("{}\n\n{table}\n{conclusion}\n", plain(url))
}

fn as_json(url: &str, checks: &[Check]) -> Value {
    let check = |check: &Check| {
        json!({
            "what": check.what, "ok": check.ok, "value": check.value, "limit": check.limit,
        })
    };
    json!({
        "server": url,
        "ok": checks.iter().all(|check| check.ok),
        "checks": checks.iter().map(check).collect::<Vec<_>>(),
    })
}

fn unreachable(error: &ClientError) -> Failure {
    failed(error.to_string(), error.remedy())
}

fn failed(cause: impl Into<String>, remedy: impl Into<String>) -> Failure {
    staged("audit", FailureKind::Internal, cause, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_and_what_is_missed() {
        let check = |ok, what, value: &str, limit: &str| Check {
            what,
            ok,
            value: value.into(),
            limit: limit.into(),
        };
        let checks = [
            check(
                true,
                "first request against the next ones",
                "3.4 ms, then 3.1 ms",
                "no slower than noise",
            ),
            check(
                false,
                "peak memory of its limit",
                "91.2 %: 1.8 GB of 2.0 GB",
                "80 %",
            ),
        ];
        let url = "http://127.0.0.1:8000";
        insta::assert_snapshot!("missed", as_text(url, &checks, None));
        insta::assert_snapshot!("held", as_text(url, &checks[..1], None));
        for width in [60, 80, 120] {
            let name = format!("missed_in_{width}_columns");
            insta::assert_snapshot!(name, as_text(url, &checks, Some(width)));
        }
    }
}
