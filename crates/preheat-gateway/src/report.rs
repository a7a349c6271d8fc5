//! The readiness report of a gateway: that of its best replica, and how its services stand.

use std::sync::Arc;

use preheat_api::ReadinessReport;
use preheat_api::service::GatewayReport;
use preheat_core::{Phase, PhaseGroup};

use crate::service::{Service, Status};

/// Who asks for the report, and in what state the gateway is.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// It leaves: clients are to go elsewhere while it still answers.
    pub leaving: bool,
    /// Paths and sources are for callers with credentials.
    pub known: bool,
}

/// Ready when each service is, or would be by the next request, until the gateway leaves.
#[must_use]
pub fn gateway(services: &[Arc<Service>], asked: Asked) -> GatewayReport {
    let mut statuses: Vec<_> = services.iter().map(|service| service.status()).collect();
    if !asked.known {
        statuses.iter_mut().for_each(conceal);
    }
    let worst = statuses.iter().max_by_key(|status| unreadiness(status));
    let mut report = worst.map_or_else(|| report_of("no service", "not_ready"), readiness);
    if asked.leaving {
        leave(&mut report);
    }
    GatewayReport {
        report,
        services: statuses.into_iter().map(|status| status.report).collect(),
    }
}

/// As a replica's own report to whoever has shown no key.
fn conceal(status: &mut Status) {
    for model in status.best.iter_mut().flat_map(|best| &mut best.models) {
        model.source = None;
    }
    if let Some(rollout) = &mut status.report.rollout {
        rollout.from_source.clear();
        rollout.to_source.clear();
    }
}

fn leave(report: &mut ReadinessReport) {
    report.status = "not_ready".into();
    report.detail = "draining: the gateway leaves; another one will serve".into();
    report.stage = PhaseGroup::Draining.name().into();
    report.phase = Phase::Draining.name().into();
    report.eta_ms = None;
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
