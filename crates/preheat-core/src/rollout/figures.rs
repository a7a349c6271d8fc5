//! Whether what was measured speaks against green.

use std::time::Duration;

use super::{RolloutPolicy, SetLoad, Traffic};
use crate::decision::{Because, Value};

impl Traffic {
    /// Some users' requests are wrong, before a rollout as after it. Many more of them than before are
    /// green's own doing: other names of inputs, or other limits.
    fn is_picky(&self) -> bool {
        let share = self.declined as f64 / (self.requests + self.declined).max(1) as f64;
        let most = self.blue_declined.map_or(HALF, |blue| blue * 2.0 + PICKY);
        self.declined >= A_FEW && share > most
    }
}

/// Declined requests that say nothing yet.
const A_FEW: u64 = 10;

/// The share of declined requests, beyond twice that of blue, that is no accident.
const PICKY: f64 = 0.1;

/// Where nothing is known of blue.
const HALF: f64 = 0.5;

impl RolloutPolicy {
    pub(super) fn misses_under_load(&self, load: &SetLoad) -> Option<Because> {
        let rule = if load.requests == 0 {
            "green was not loaded at all"
        } else if load.errors > 0 {
            "green failed under load"
        } else {
            self.too_slow(load.p95, load.blue_p95)?
        };
        Some(self.saw_load(rule, load))
    }

    pub(super) fn misses_under_traffic(&self, traffic: &Traffic) -> Option<Because> {
        let failed = traffic.errors as f64 / traffic.requests.max(1) as f64;
        let rule = if traffic.errors > 0 && failed > self.max_errors {
            "green fails requests"
        } else if traffic.is_picky() {
            "green does not take the requests that blue took"
        } else if traffic.requests < self.at_least {
            return None;
        } else {
            self.too_slow(traffic.p95, traffic.blue_p95)?
        };
        let because = Because::new(rule)
            .saw("requests", Value::Count(traffic.requests))
            .saw("errors", Value::Count(traffic.errors))
            .saw("declined", Value::Count(traffic.declined))
            .time("p95", traffic.p95)
            .time("blue's p95", traffic.blue_p95)
            .time("objective", self.slo_p95);
        Some(because)
    }

    pub(super) fn too_slow(&self, p95: Duration, blue: Duration) -> Option<&'static str> {
        if p95 > self.slo_p95 {
            Some("green misses the objective")
        } else if blue > Duration::ZERO && p95 > self.allowed(blue) {
            Some("green is slower than blue")
        } else {
            None
        }
    }

    fn allowed(&self, blue: Duration) -> Duration {
        blue.mul_f64(self.max_ratio.max(1.0)).max(blue + self.slack)
    }

    pub(super) fn saw_load(&self, rule: &'static str, load: &SetLoad) -> Because {
        Because::new(rule)
            .saw("requests", Value::Count(load.requests))
            .saw("errors", Value::Count(load.errors))
            .time("p95", load.p95)
            .time("blue's p95", load.blue_p95)
            .time("objective", self.slo_p95)
    }
}
