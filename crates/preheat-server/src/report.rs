//! Facts as people and programs read them: the readiness report.

use std::time::Duration;

use preheat_api::floor::MachineFloor;
use preheat_api::report::{
    CaseReport, CheckReport, EngineReport, ErrorReport, FloorReport, MemoryReport, ModelReport,
    OutputReport, ProofReport, ReadinessReport, StageReport,
};
use preheat_core::phase::PhaseGroup;
use preheat_core::proof::MemoryEvidence;
use preheat_core::warmup::Path;
use preheat_core::{Check, Failure, Moment, Phase, Span, Warmth};
use preheat_engine::EngineInfo;

use crate::board::{Doing, Facts};
use crate::clock::millis;
use crate::human;

/// What the report needs besides the facts.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    pub model: &'a str,
    pub instances: usize,
    pub resident_bytes: u64,
    pub memory: MemoryEvidence,
    pub now: Moment,
    /// A failed start is tried again.
    pub retries: bool,
    /// What this machine allows, where it was measured.
    pub floor: Option<&'a MachineFloor>,
    /// Paths and sources are for callers with credentials.
    pub show_source: bool,
}

#[must_use]
pub fn report(facts: &Facts, around: &Surroundings<'_>) -> ReadinessReport {
    let ready = facts.probes.readiness;
    ReadinessReport {
        status: if ready { "ready" } else { "not_ready" }.into(),
        detail: detail(facts),
        model: around.model.into(),
        warmup_seconds: warmup_time(facts, around.now).as_secs_f64(),
        stage: facts.phase.group().name().into(),
        phase: facts.phase.name().into(),
        eta_ms: eta(facts, around.now),
        models: vec![model(facts, around)],
    }
}

fn model(facts: &Facts, around: &Surroundings<'_>) -> ModelReport {
    let error = match &facts.phase {
        Phase::Failed(failure) => Some(error(failure, around.retries)),
        _ => None,
    };
    ModelReport {
        name: around.model.into(),
        phase: facts.phase.name().into(),
        engine: facts.engine.as_ref().map(engine),
        instances: around.instances,
        source: facts.source.clone().filter(|_| around.show_source),
        revision: facts.revision.clone(),
        waterfall: facts.waterfall.spans().iter().map(stage).collect(),
        cases: facts.warmup.cases.iter().map(case).collect(),
        notes: facts.warmup.notes.clone(),
        checks: facts.checks.iter().map(check).collect(),
        proof: proof(facts),
        memory: MemoryReport {
            resident_bytes: around.resident_bytes,
            peak_bytes: around.memory.peak_bytes,
            limit_bytes: around.memory.limit_bytes,
            headroom: (around.memory.headroom() * 1e4).round() / 1e4,
        },
        floor: around.floor.and_then(|floor| self::floor(facts, floor)),
        error,
    }
}

/// Known once the replica is ready.
fn floor(facts: &Facts, machine: &MachineFloor) -> Option<FloorReport> {
    let (_, ready) = facts.history.iter().find(|(name, _)| *name == "ready")?;
    let spans = facts.waterfall.spans().iter();
    // What was fetched was read from elsewhere.
    let read = spans.filter(|span| span.stage != "fetch");
    let bytes = read.filter_map(|span| span.bytes).max().unwrap_or(0);
    let cases = facts.warmup.cases.iter();
    let runs = cases.filter(|case| case.path == Path::Engine);
    let runs_ms = runs.map(|case| millis(case.steady())).sum::<f64>();
    let map_ms = bytes as f64 / 1e6 * machine.map_ms_per_mb;
    let ms = machine.process_ms + map_ms + runs_ms;
    let ready_ms = millis(ready.since_start());
    let rounded = |x: f64| (x * 1e3).round() / 1e3;
    Some(FloorReport {
        process_ms: rounded(machine.process_ms),
        map_ms: rounded(map_ms),
        runs_ms: rounded(runs_ms),
        ms: rounded(ms),
        ready_ms,
        ratio: (ready_ms / ms.max(1e-3) * 1e2).round() / 1e2,
    })
}

/// One sentence on what is going on.
#[must_use]
pub fn detail(facts: &Facts) -> String {
    let phase = facts.phase.name();
    match (&facts.phase, &facts.doing) {
        (Phase::Failed(failure), _) => failure.to_string(),
        (Phase::Ready, _) => match facts.pass.as_ref().map(|p| p.warmth()) {
            Some(Warmth::Skipped) => "ready, warm-up skipped: nothing is proven".into(),
            Some(Warmth::Degraded) => {
                let missed = facts
                    .checks
                    .iter()
                    .find(|c| !c.ok)
                    .map_or("latency", |c| c.what);
                format!("ready, degraded: {missed} never met its limit")
            }
            _ => "ready, proven warm".into(),
        },
        (
            _,
            Some(Doing::Fetching {
                file,
                done,
                total: Some(total),
            }),
        ) => {
            format!("{phase}: {file}, {done} of {total} bytes")
        }
        (
            _,
            Some(Doing::Fetching {
                file,
                done,
                total: None,
            }),
        ) => {
            format!("{phase}: {file}, {done} bytes")
        }
        (
            _,
            Some(Doing::Case {
                number, of, name, ..
            }),
        ) => {
            format!("{phase}: case {number} of {of}, {name}")
        }
        (_, Some(Doing::Waiting { what })) => format!("{phase}: {what}"),
        (_, Some(Doing::Attempt { number })) => format!("{phase}: attempt {number}"),
        _ => phase.into(),
    }
}

/// The last line of a start: how it went and, where it is known, how long it took.
#[must_use]
pub fn summary(report: &ReadinessReport, after: Option<Duration>) -> String {
    let ready = report.status == "ready";
    let mut text = match after {
        Some(after) if ready => {
            let how = report.detail.strip_prefix("ready").unwrap_or_default();
            format!("ready after {}{how}", human::time(after))
        }
        _ => report.detail.clone(),
    };
    let Some(model) = report.models.first().filter(|_| ready) else {
        return text;
    };
    let proof = &model.proof;
    if let (Some(first), Some(steady)) = (proof.first_request_ms, proof.steady_ms) {
        let [first, steady, saved] = [first, steady, proof.saved_ms].map(human::millis);
        text += &format!("; first request {first}, steady {steady}, saved {saved}");
    }
    if let Some(floor) = &model.floor {
        text += &format!(
            ", {:.1} x the floor of {}",
            floor.ratio,
            human::millis(floor.ms)
        );
    }
    let peak = human::bytes(model.memory.peak_bytes);
    match model.memory.limit_bytes {
        0 => text + &format!(", memory {peak}"),
        limit => text + &format!(", memory {peak} of {}", human::bytes(limit)),
    }
}

/// From the start of warming to ready, or until now.
fn warmup_time(facts: &Facts, now: Moment) -> Duration {
    let entered = |name| {
        facts
            .history
            .iter()
            .rev()
            .find(|(n, _)| *n == name)
            .map(|(_, at)| *at)
    };
    let Some(began) = entered("warming") else {
        return Duration::ZERO;
    };
    let ended = match facts.phase.group() {
        PhaseGroup::Warming => now,
        _ => facts
            .history
            .iter()
            .find(|(n, at)| *at >= began && !matches!(*n, "warming" | "proving"))
            .map_or(now, |(_, at)| *at),
    };
    ended.since(began)
}

/// From the runs done and the time they took. Proving repeats about a third of that.
#[must_use]
pub fn eta(facts: &Facts, now: Moment) -> Option<u64> {
    let done = facts.warmup.cases.len();
    let (Phase::Warming, 1..) = (&facts.phase, done) else {
        return None;
    };
    let left = facts.planned_runs.saturating_sub(done) + facts.planned_runs / 3;
    let each = warmup_time(facts, now).as_secs_f64() / done as f64;
    Some((each * left as f64 * 1e3) as u64)
}

fn proof(facts: &Facts) -> ProofReport {
    let proof = facts.pass.as_ref().and_then(|pass| pass.proof());
    let status = match (facts.pass.as_ref().map(|p| p.warmth()), &facts.phase) {
        (Some(Warmth::Proven), _) => "passed",
        (Some(Warmth::Degraded), _) => "degraded",
        (Some(Warmth::Skipped), _) => "skipped",
        (None, Phase::Failed(_)) => "failed",
        (None, _) => "pending",
    };
    ProofReport {
        status: status.into(),
        first_request_ms: proof.map(|p| millis(p.first())),
        steady_ms: proof.map(|p| millis(p.steady())),
        capacity_rps: proof.and_then(|p| p.capacity()),
        saved_ms: millis(facts.saved.unwrap_or_else(|| facts.warmup.saved())),
    }
}

fn engine(info: &EngineInfo) -> EngineReport {
    EngineReport {
        name: info.name.clone(),
        dtype: info.dtype.clone(),
        dim: info.dim,
        max_tokens: info.max_tokens,
        simulated: info.simulated,
        accuracy: info.accuracy.clone(),
    }
}

#[must_use]
pub fn stage(span: &Span) -> StageReport {
    StageReport {
        stage: span.stage.clone(),
        start_ms: millis(span.start.since_start()),
        ms: millis(span.took),
        bytes: span.bytes,
        cpu_ms: span.cpu.map(millis),
    }
}

fn case(case: &preheat_core::CaseReport) -> CaseReport {
    CaseReport {
        name: case.name.clone(),
        shape: case.shape.clone(),
        path: case.path.name().into(),
        instance: case.instance,
        rounds: case.rounds.len(),
        rounds_ms: case.rounds.iter().copied().map(millis).collect(),
        first_ms: millis(case.first()),
        steady_ms: millis(case.steady()),
        ratio: (case.ratio() * 100.0).round() / 100.0,
        settled: case.settled,
        output: OutputReport {
            shape: [case.output.rows, case.output.dim],
            finite: case.output.finite,
            ok: case.output.ok,
        },
    }
}

#[must_use]
pub fn check(check: &Check) -> CheckReport {
    CheckReport {
        id: check.id.name().into(),
        what: check.what.into(),
        ok: check.ok,
        value: check.value.clone(),
        limit: check.limit.clone(),
    }
}

fn error(failure: &Failure, retry: bool) -> ErrorReport {
    ErrorReport {
        stage: failure.stage.into(),
        cause: failure.cause.clone(),
        remedy: failure.remedy.clone(),
        exit_code: failure.kind.exit_code(),
        retry,
    }
}
