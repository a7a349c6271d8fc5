//! What a played replica says of itself.

use preheat_api::ReadinessReport;
use preheat_api::replica::{Objectives, Passport};
use preheat_api::report::{EngineReport, MemoryReport, ModelReport, ProofReport};
use preheat_core::ReplicaId;

pub fn passport(id: &ReplicaId, phase: &str, sequence: u64, width: usize) -> Passport {
    let ready = phase == "ready";
    let model = ModelReport {
        name: "model".into(),
        phase: phase.into(),
        engine: Some(EngineReport {
            name: "play".into(),
            dtype: "none".into(),
            dim: width,
            max_tokens: 1,
            simulated: true,
            accuracy: None,
        }),
        instances: 1,
        source: None,
        revision: None,
        waterfall: Vec::new(),
        cases: Vec::new(),
        notes: Vec::new(),
        checks: Vec::new(),
        proof: ProofReport {
            status: if ready { "passed" } else { "pending" }.into(),
            first_request_ms: None,
            steady_ms: Some(50.0),
            capacity_rps: None,
            saved_ms: 0.0,
        },
        memory: MemoryReport {
            resident_bytes: 0,
            peak_bytes: 0,
            limit_bytes: 0,
            headroom: 1.0,
        },
        floor: None,
        error: None,
    };
    Passport {
        id: id.as_str().into(),
        version: "test".into(),
        pid: 0,
        http: String::new(),
        grpc: String::new(),
        admin: String::new(),
        uptime_ms: 0.0,
        phases: Vec::new(),
        epoch: "test".into(),
        sequence,
        objectives: Objectives {
            slo_p95_ms: 200.0,
            headroom: 0.2,
            concurrency: 1,
            queue: 1,
        },
        report: ReadinessReport {
            status: if ready { "ready" } else { "not_ready" }.into(),
            detail: phase.into(),
            model: "model".into(),
            warmup_seconds: 0.0,
            stage: "loading".into(),
            phase: phase.into(),
            eta_ms: None,
            models: vec![model],
        },
    }
}
