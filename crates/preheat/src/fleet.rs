//! Services of a gateway and their replicas, for people.

use std::time::Duration;

use preheat_api::service::{Decision, ReplicaReport, ServiceReport};
use preheat_server::human;

use crate::table::{Column, Table, plain};

/// One service: how it stands, and each of its replicas.
pub fn service(service: &ServiceReport) -> String {
    let mut text = format!("{}: {}\n", plain(&service.name), plain(&service.detail));
    text += &format!(
        "{} wanted in rotation, {} spare, between {} and {}; {:.1} requests a second, {} held\n",
        service.wanted, service.spares, service.min, service.max, service.rate_rps, service.held
    );
    if !service.reason.is_empty() {
        text += &format!("why: {}\n", plain(&service.reason));
    }
    let replicas = replicas(&service.replicas);
    if !replicas.is_empty() {
        text += &format!("\n{replicas}");
    }
    text + "\n"
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
            &human::time(age),
            &replica.pid.to_string(),
        ]);
    }
    table
}

/// What was decided, with the figures behind it.
pub fn decisions(decisions: &[Decision]) -> String {
    let mut table = Table::new([
        Column::Right("after"),
        Column::Left("service"),
        Column::Left("action"),
        Column::Left("replica"),
        Column::Left("why"),
    ]);
    for decision in decisions {
        let mut why = decision.reason.clone();
        for (at, (name, value)) in decision.inputs.iter().enumerate() {
            let before = if at == 0 { ": " } else { ", " };
            why += &format!("{before}{name} {}", short(*value));
        }
        let after = Duration::from_secs_f64((decision.at_ms / 1e3).clamp(0.0, 1e9));
        table.row([
            &human::time(after),
            &decision.service,
            &decision.action,
            decision.replica.as_deref().unwrap_or_default(),
            &why,
        ]);
    }
    table.to_string()
}

/// Whole numbers without a point, others with few digits.
fn short(value: f64) -> String {
    if value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}
