//! Services of a gateway and their replicas, for people.

#[cfg(test)]
mod tests;

use std::time::Duration;

use preheat_api::service::{Decision, ReplicaReport, RolloutReport, ServiceReport};
use preheat_server::human;

use crate::table::{Column, Table, plain};

/// One service: how it stands, and each of its replicas. `width`: of the terminal, where there is one.
pub fn service(service: &ServiceReport, width: Option<usize>) -> String {
    let mut text = format!("{}: {}\n", plain(&service.name), plain(&service.detail));
    text += &format!(
        "{} wanted in rotation, {} spare, between {} and {}; {:.1} requests a second, {} held\n",
        service.wanted, service.spares, service.min, service.max, service.rate_rps, service.held
    );
    if !service.reason.is_empty() {
        text += &format!("why: {}\n", plain(&service.reason));
    }
    if let Some(of) = &service.rollout {
        text += &format!("rollout: {}\n", rollout(of));
    }
    let replicas = replicas(&service.replicas);
    if !replicas.is_empty() {
        text += &format!("\n{}", replicas.within(width));
    }
    text + "\n"
}

/// How a rollout stands, on one line.
pub fn rollout(rollout: &RolloutReport) -> String {
    let stage = plain(&rollout.stage);
    let doing = match rollout.stage.as_str() {
        "proving" => format!("{} of {} replicas proven", rollout.proven, rollout.size),
        _ => plain(&rollout.detail),
    };
    let mut text = format!(
        "{} to {}: {stage}: {doing}",
        plain(&rollout.from),
        plain(&rollout.to)
    );
    if let (Some(seen), "watching") = (rollout.seen, rollout.stage.as_str()) {
        // A side that nobody has asked has no figure.
        let shown = |ms: f64| match ms > 0.0 {
            true => human::millis(ms),
            false => "-".to_owned(),
        };
        let [p95, blue] = [seen.p95_ms, seen.blue_p95_ms].map(shown);
        text += &format!(
            "; {} requests, {} failed, p95 {p95}, before {blue}",
            seen.requests, seen.errors
        );
    }
    text
}

fn replicas(replicas: &[ReplicaReport]) -> Table {
    let mut table = Table::new([
        Column::Left("replica"),
        Column::Left("role"),
        Column::Left("phase"),
        Column::Left("proof"),
        Column::Right("busy"),
        Column::Right("answered"),
        Column::Right("latency"),
        Column::Right("ready after"),
        Column::Right("age"),
        Column::Right("pid"),
        Column::Left("revision"),
    ]);
    for replica in replicas {
        let millis = |ms: Option<f64>| ms.map_or_else(String::new, human::millis);
        let age = Duration::from_secs_f64((replica.uptime_ms / 1e3).clamp(0.0, 1e9));
        table.row([
            &replica.id,
            &replica.role,
            &replica.phase,
            &replica.proof,
            &format!("{}/{}", replica.in_flight, replica.concurrency),
            &replica.answered.to_string(),
            &millis(replica.latency_ms),
            &millis(replica.ready_after_ms),
            &human::age(age),
            &replica.pid.to_string(),
            &replica.revision,
        ]);
    }
    table
}

/// What was decided, with the figures behind it.
pub fn decisions(decisions: &[Decision], width: Option<usize>) -> String {
    let mut table = Table::new([
        Column::Right("after"),
        Column::Left("service"),
        Column::Left("action"),
        Column::Left("replica"),
        Column::Left("why"),
    ]);
    for decision in decisions {
        let after = Duration::from_secs_f64((decision.at_ms / 1e3).clamp(0.0, 1e9));
        // A gateway of an earlier version does not put its figures into words.
        let why = match decision.detail.as_str() {
            "" => &decision.reason,
            detail => detail,
        };
        table.row([
            &human::since(after),
            &decision.service,
            &decision.action,
            decision.replica.as_deref().unwrap_or_default(),
            why,
        ]);
    }
    table.within(width)
}
