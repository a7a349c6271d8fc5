//! Whether services keep their promises now: for rollout tools that ask before they go on.

use std::sync::Arc;
use std::time::Duration;

use preheat_api::report::CheckReport;
use preheat_api::service::{ServiceReport, VerifiedService, VerifyReport};

use crate::clock::millis;
use crate::service::Service;
use crate::traffic::Summary;

/// Requests below which their p95 says nothing.
const ENOUGH: u64 = 20;

/// Share of requests that may fail.
const MAX_ERRORS: f64 = 0.001;

#[must_use]
pub fn verify(services: &[Arc<Service>]) -> VerifyReport {
    let services: Vec<_> = services.iter().map(|service| of(service)).collect();
    VerifyReport {
        ok: services.iter().all(|service| service.ok),
        services,
    }
}

fn of(service: &Service) -> VerifiedService {
    let report = service.status().report;
    let late = service.rotation.of_late();
    let checks = vec![
        serves(&report),
        enough(&report),
        in_time(late, service.rotation.slo().threshold),
        without_errors(late),
        rollout(&report),
    ];
    VerifiedService {
        name: report.name,
        ok: checks.iter().all(|check| check.ok),
        checks,
    }
}

fn serves(report: &ServiceReport) -> CheckReport {
    let ok = matches!(report.status.as_str(), "ready" | "idle");
    check("serves", "the service serves", ok, &report.detail, "ready")
}

fn enough(report: &ServiceReport) -> CheckReport {
    let serving = report.replicas.iter().filter(|r| r.serving).count();
    let ok = serving >= report.wanted;
    let what = "as many proven replicas serve as are wanted";
    check("replicas", what, ok, serving, report.wanted)
}

fn in_time(late: Summary, limit: Duration) -> CheckReport {
    let ok = late.requests < ENOUGH || late.p95 <= limit;
    let value = format!("{:.1} ms of {} requests", millis(late.p95), late.requests);
    let limit = format!("{:.1} ms", millis(limit));
    check("p95", "p95 of users' requests of late", ok, value, limit)
}

fn without_errors(late: Summary) -> CheckReport {
    let share = late.errors as f64 / late.requests.max(1) as f64;
    let value = format!("{} of {}", late.errors, late.requests);
    let limit = format!("{:.1} %", MAX_ERRORS * 100.0);
    check(
        "errors",
        "users' requests that failed of late",
        share <= MAX_ERRORS,
        value,
        limit,
    )
}

/// A rollout on its way is no fault; one that failed is the last word until the next.
fn rollout(report: &ServiceReport) -> CheckReport {
    let stage = report.rollout.as_ref().map_or("none", |r| r.stage.as_str());
    let failed = ["returning", "discarding", "rolled_back", "refused"];
    let ok = !failed.contains(&stage);
    check("rollout", "no rollout has failed", ok, stage, "none failed")
}

fn check(
    id: &str,
    what: &str,
    ok: bool,
    value: impl ToString,
    limit: impl ToString,
) -> CheckReport {
    CheckReport {
        id: id.into(),
        what: what.into(),
        ok,
        value: value.to_string(),
        limit: limit.to_string(),
    }
}
