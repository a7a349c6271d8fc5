//! The readiness report of a gateway: that of its best replica, and how its services stand.

use std::sync::Arc;

use preheat_api::ReadinessReport;
use preheat_api::service::GatewayReport;

use crate::service::{Service, Status};

/// Ready when each service is, or would be by the next request.
#[must_use]
pub fn gateway(services: &[Arc<Service>]) -> GatewayReport {
    let statuses: Vec<_> = services.iter().map(|service| service.status()).collect();
    let worst = statuses.iter().max_by_key(|status| unreadiness(status));
    let report = worst.map_or_else(|| report_of("no service", "not_ready"), readiness);
    GatewayReport {
        report,
        services: statuses.into_iter().map(|status| status.report).collect(),
    }
}

/// One service's, in the form of a replica's.
fn readiness(status: &Status) -> ReadinessReport {
    let service = &status.report;
    let ready = unreadiness(status) < 2;
    let mut report = status
        .best
        .clone()
        .unwrap_or_else(|| report_of(&service.name, "starting"));
    report.status = if ready { "ready" } else { "not_ready" }.into();
    report.detail.clone_from(&service.detail);
    if ready && status.best.is_none() {
        report.stage = "cold".into();
        report.phase = "idle".into();
    }
    if !ready
        && let Some(error) = &service.error
        && let Some(model) = report.models.first_mut()
    {
        model.error.get_or_insert_with(|| error.clone());
    }
    report
}

fn unreadiness(status: &Status) -> u8 {
    match status.report.status.as_str() {
        "ready" => 0,
        "idle" => 1,
        _ => 2,
    }
}

fn report_of(model: &str, phase: &str) -> ReadinessReport {
    ReadinessReport {
        status: "not_ready".into(),
        detail: String::new(),
        model: model.into(),
        warmup_seconds: 0.0,
        stage: "cold".into(),
        phase: phase.into(),
        eta_ms: None,
        models: Vec::new(),
    }
}
