use std::collections::BTreeMap;

use insta::assert_snapshot;
use preheat_api::service::{RolloutLimits, SeenReport};

use super::*;

fn replica(id: &str, role: &str, phase: &str) -> ReplicaReport {
    let is_ready = phase == "ready";
    ReplicaReport {
        id: id.into(),
        pid: 4711,
        revision: "9c1f3a77".into(),
        phase: phase.into(),
        detail: phase.into(),
        role: role.into(),
        proof: if is_ready { "passed" } else { "pending" }.into(),
        serving: is_ready && role == "active",
        in_flight: usize::from(is_ready),
        concurrency: 4,
        answered: if is_ready { 1200 } else { 0 },
        uptime_ms: 61_000.0,
        ready_after_ms: is_ready.then_some(412.0),
        latency_ms: is_ready.then_some(12.5),
    }
}

fn report(rollout: Option<RolloutReport>) -> ServiceReport {
    ServiceReport {
        name: "embedder".into(),
        status: "ready".into(),
        detail: "ready, 1 of 2 replicas serve".into(),
        min: 1,
        max: 4,
        wanted: 2,
        reason: "41.2/s over 0.7 × 29.4/s of one replica".into(),
        spares: 1,
        held: 3,
        held_bytes: 96,
        rate_rps: 41.23,
        capacity_rps: Some(29.4),
        revision: "9c1f3a77".into(),
        replicas: vec![
            replica("r1", "active", "ready"),
            replica("r2", "active", "warming"),
            replica("r3", "spare", "ready"),
        ],
        rollout,
        error: None,
    }
}

fn in_stage(stage: &str, detail: &str) -> RolloutReport {
    RolloutReport {
        from: "9c1f3a77".into(),
        from_source: "all-MiniLM-L6-v2".into(),
        to: "b07e55d0".into(),
        to_source: "./models/new".into(),
        stage: stage.into(),
        detail: detail.into(),
        size: 2,
        proven: 1,
        stage_ms: 1500.0,
        limit_ms: Some(20_000.0),
        seen: Some(SeenReport {
            requests: 720,
            errors: 1,
            p95_ms: 138.0,
            blue_p95_ms: 141.0,
        }),
        limits: RolloutLimits {
            slo_p95_ms: 200.0,
            max_ratio: 1.2,
            slack_ms: 2.0,
            max_errors: 0.001,
        },
    }
}

/// What `status` of a gateway, `scale` and the verbs of a rollout print.
#[test]
fn a_service_with_its_replicas() {
    let report = report(Some(in_stage("proving", "")));
    assert_snapshot!(service(&report, None));
    for width in [60, 80, 120] {
        let name = format!("a_service_in_{width}_columns");
        assert_snapshot!(name, service(&report, Some(width)));
    }
}

#[test]
fn a_service_at_zero_has_no_table() {
    let idle = ServiceReport {
        detail: "idle, woken by the next request".into(),
        replicas: Vec::new(),
        reason: String::new(),
        ..report(None)
    };
    assert_snapshot!(service(&idle, None));
}

#[test]
fn every_step_of_a_rollout() {
    let steps = [
        ("proving", ""),
        ("loading", "all of green is proven: replicas 2"),
        ("watching", "green serves: revision b07e55d0"),
        ("keeping", "green has been watched for 20 s"),
        ("promoted", "promoted by hand"),
        (
            "rolled_back",
            "rolled back by hand: green had served for 460 ms",
        ),
        ("refused", "green is slower than blue: p95 412 ms"),
    ];
    let lines = steps.map(|(stage, detail)| rollout(&in_stage(stage, detail)));
    assert_snapshot!(lines.join("\n"));
}

/// What `status --why` prints.
#[test]
fn decisions_with_their_figures() {
    let decision =
        |sequence, action: &str, replica: Option<&str>, reason: &str, detail: &str| Decision {
            sequence,
            at_ms: 1000.0 * sequence as f64,
            service: "embedder".into(),
            action: action.into(),
            replica: replica.map(str::to_owned),
            reason: reason.into(),
            inputs: BTreeMap::new(),
            detail: detail.into(),
        };
    let all = [
        decision(
            1,
            "start",
            Some("r1"),
            "fewer replicas than wanted",
            "fewer replicas than wanted: active 0, wanted active 2, wanted spares 1",
        ),
        decision(
            62,
            "promote",
            Some("r3"),
            "every permit taken at the first request",
            "",
        ),
        decision(
            3700,
            "scale",
            None,
            "the load fell",
            "the load fell: rate 3.5/s, down after 60.0 s",
        ),
    ];
    assert_snapshot!(decisions(&all, None));
    for width in [60, 80, 120] {
        let name = format!("decisions_in_{width}_columns");
        assert_snapshot!(name, decisions(&all, Some(width)));
    }
}
