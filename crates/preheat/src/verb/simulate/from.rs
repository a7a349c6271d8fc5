//! A replica as it was measured: its readiness report, or its passport, as the scenario's replica.

use std::collections::BTreeSet;
use std::time::Duration;

use preheat_api::ReadinessReport;
use preheat_api::quantity::{Size, Span};
use preheat_api::replica::Passport;
use preheat_api::report::{CaseReport, FIRST_REQUEST, ModelReport, StageReport};
use preheat_api::simulation::{Cold, Replica, ServiceTime, StageSpec};
use preheat_core::Failure;

use crate::exit::configuration;

const REMEDY: &str = "save what a ready replica answers on /ready or /v1/replica";

/// What a replica answered on one of both routes.
pub fn report(text: &str, origin: &str) -> Result<ReadinessReport, Failure> {
    serde_json::from_str::<Passport>(text)
        .map(|passport| passport.report)
        .or_else(|_| serde_json::from_str::<ReadinessReport>(text))
        .map_err(|error| {
            configuration(
                format!("{origin} is not a readiness report: {error}"),
                REMEDY,
            )
        })
}

pub fn replica(report: &ReadinessReport, origin: &str) -> Result<Replica, Failure> {
    let model = report.models.first();
    let model = model.ok_or_else(|| configuration(format!("{origin} names no model"), REMEDY))?;
    let steady = model
        .proof
        .steady_ms
        .filter(|ms| *ms > 0.0)
        .ok_or_else(|| {
            let cause = format!("{origin} holds no proof with a steady latency");
            configuration(cause, REMEDY)
        })?;
    let (stages, warm) = stages(&model.waterfall);
    Ok(Replica {
        concurrency: model.instances.max(1),
        service: ServiceTime {
            median: span(steady),
            p95: None,
        },
        stage: stages,
        warm: Some(warm),
        cold: cold(model),
        memory: Size(model.memory.peak_bytes),
    })
}

/// What each stage added to the start, one after another: of stages side by side, the part that
/// nothing else covered. And the time for warming and proving.
fn stages(waterfall: &[StageReport]) -> (Vec<StageSpec>, Span) {
    let mut sorted: Vec<_> = waterfall
        .iter()
        .filter(|s| s.stage != FIRST_REQUEST)
        .collect();
    sorted.sort_by(|a, b| a.start_ms.total_cmp(&b.start_ms));
    let (mut stages, mut warm, mut covered) = (Vec::new(), 0.0, 0.0f64);
    for stage in sorted {
        let end = stage.start_ms + stage.ms;
        // A gap before it belongs to it: nobody else accounts for that time.
        let added = (end - covered).max(0.0);
        covered = covered.max(end);
        if is_warming(&stage.stage) {
            warm += added;
        } else if added > 0.0 {
            stages.push(StageSpec {
                name: stage.stage.clone(),
                takes: span(added),
            });
        }
    }
    (stages, span(warm))
}

/// A stage of a time when the model is in memory already: each case's warm-up, and the proof.
fn is_warming(stage: &str) -> bool {
    stage == "prove" || stage == "warm" || stage.starts_with("warm ")
}

/// Shapes that were run, and the median of what their first runs cost on top.
fn cold(model: &ModelReport) -> Cold {
    let engine = |case: &&CaseReport| case.path == "engine";
    let cases: Vec<_> = model.cases.iter().filter(engine).collect();
    let shapes: BTreeSet<_> = cases.iter().map(|case| &case.shape).collect();
    let extra = |case: &&CaseReport| (case.first_ms - case.steady_ms).max(0.0);
    let mut extras: Vec<_> = cases.iter().map(extra).collect();
    extras.sort_by(f64::total_cmp);
    Cold {
        shapes: shapes.len().clamp(1, 64),
        first_run: span(extras.get(extras.len() / 2).copied().unwrap_or(0.0)),
        covered: 1.0,
    }
}

fn span(ms: f64) -> Span {
    Span(Duration::try_from_secs_f64(ms / 1e3).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(stage: &str, start_ms: f64, ms: f64) -> StageReport {
        StageReport {
            stage: stage.into(),
            start_ms,
            ms,
            bytes: None,
            cpu_ms: None,
        }
    }

    #[test]
    fn stages_side_by_side_count_once_and_warming_apart() {
        let (stages, warm) = stages(&[
            stage("fetch", 2.0, 98.0),
            stage("weights", 100.0, 40.0),
            stage("tokenizer", 100.0, 60.0),
            stage("engine", 160.0, 40.0),
            stage("warm 1x16", 200.0, 10.0),
            stage("warm 4x16", 210.0, 15.0),
            stage("prove", 230.0, 20.0),
            stage("first_request", 900.0, 3.0),
        ]);
        let named: Vec<_> = stages
            .iter()
            .map(|s| (s.name.as_str(), s.takes.0.as_millis()))
            .collect();
        let want = [
            ("fetch", 100),
            ("weights", 40),
            ("tokenizer", 20),
            ("engine", 40),
        ];
        assert_eq!(named, want);
        assert_eq!(warm.0.as_millis(), 50, "with the gap between the two");
    }

    #[test]
    fn what_is_no_report_says_so() {
        for text in ["", "{}", "[]", "{\"status\":\"ready\"}"] {
            let failure = report(text, "x.json").unwrap_err();
            assert!(
                failure.cause.contains("x.json is not a readiness report"),
                "{failure}"
            );
        }
    }
}
