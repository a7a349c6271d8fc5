//! Results of preheat's own verbs as evidence: readiness reports, probes, benches.

use preheat_api::ReadinessReport;
use preheat_api::report::{ErrorReport, ModelReport};
use preheat_core::FailureKind;
use preheat_diagnosis::{Cause, Diagnosis, Evidence};
use serde_json::Value;

/// Takes a result in, if the text is one.
pub fn take(source: &str, text: &str, diagnosis: &mut Diagnosis) -> bool {
    if !text.trim_start().starts_with('{') {
        return false;
    }
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        return false;
    };
    if let Ok(seen) = serde_json::from_value::<ReadinessReport>(value.clone()) {
        report(source, &seen, diagnosis);
        return true;
    }
    probe(source, &value, diagnosis) || bench(source, &value, diagnosis)
}

/// What a replica says of itself.
pub fn report(source: &str, report: &ReadinessReport, diagnosis: &mut Diagnosis) {
    for model in &report.models {
        let evidence = |text: String| evidence(source, text);
        if let Some(error) = &model.error {
            let text = format!("{} failed: {}", error.stage, error.cause);
            diagnosis.found(cause(error), 0.95, None, evidence(text));
        }
        if model.proof.status == "skipped" {
            diagnosis.found(
                Cause::WarmupSkipped,
                0.95,
                None,
                evidence("proof: skipped".into()),
            );
        }
        for check in model
            .checks
            .iter()
            .filter(|check| !check.ok && is_settled(model))
        {
            let what = if check.id == "P5" {
                Cause::OutOfMemory
            } else {
                Cause::WarmupFailed
            };
            let text = format!(
                "{} {}: {}, limit {}",
                check.id, check.what, check.value, check.limit
            );
            diagnosis.found(what, 0.85, None, evidence(text));
        }
        if let Some(ms) = model.started_ms() {
            diagnosis.start_took(ms, evidence(format!("ready after {:.1} s", ms / 1e3)));
        }
    }
}

/// While it is still warming, a check that does not hold is not a result.
fn is_settled(model: &ModelReport) -> bool {
    model.error.is_none() && matches!(model.proof.status.as_str(), "failed" | "degraded")
}

fn cause(error: &ErrorReport) -> Cause {
    match error.stage.as_str() {
        _ if error.exit_code == FailureKind::Memory.exit_code() => Cause::OutOfMemory,
        _ if error.exit_code == FailureKind::AddressInUse.exit_code() => Cause::AddressInUse,
        "warming" | "proving" => Cause::WarmupFailed,
        _ => Cause::LoadFailure,
    }
}

fn probe(source: &str, value: &Value, diagnosis: &mut Diagnosis) -> bool {
    let Some(cases) = value["cases"].as_array() else {
        return false;
    };
    let mut is_one = false;
    for case in cases {
        let (Some(first), Some(steady)) = (case["first_ms"].as_f64(), case["steady_ms"].as_f64())
        else {
            continue;
        };
        is_one = true;
        // The probe has weighed this pair against the noise of its other requests, which it knows
        // and a mere ratio does not.
        if case["was_cold"] == false {
            continue;
        }
        let name = case["name"].as_str().unwrap_or("case");
        let text = format!("case {name}: first {first} ms, steady {steady} ms");
        diagnosis.measured(first, steady, &evidence(source, text));
    }
    is_one
}

fn bench(source: &str, value: &Value, diagnosis: &mut Diagnosis) -> bool {
    let (Some(first), Some(steady)) = (
        value["first_ms"][0].as_f64(),
        value["steady"]["p50_ms"].as_f64(),
    ) else {
        return false;
    };
    let text = format!("first {first} ms, steady median {steady} ms");
    diagnosis.measured(first, steady, &evidence(source, text));
    true
}

/// A result is one document, so there is no line to point at but its first.
fn evidence(source: &str, text: String) -> Evidence {
    Evidence {
        source: source.to_owned(),
        line: 1,
        pod: None,
        text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(probe: &Value) -> Vec<Cause> {
        let mut diagnosis = Diagnosis::new();
        assert!(take("probe.json", &probe.to_string(), &mut diagnosis));
        let report = diagnosis.report();
        report.findings.iter().map(|found| found.cause).collect()
    }

    /// A probe knows how far noise reaches; what it calls warm is not blamed on users.
    #[test]
    fn a_probe_that_met_no_cold_model_shows_no_warming_by_traffic() {
        let probe = |was_cold: Value| {
            serde_json::json!({"cases": [
                {"name": "one", "first_ms": 30.0, "steady_ms": 10.0, "was_cold": was_cold},
            ]})
        };
        assert_eq!(findings(&probe(false.into())), []);
        assert_eq!(findings(&probe(true.into())), [Cause::WarmedByTraffic]);
        // Written by another tool, which says nothing of the kind.
        assert_eq!(findings(&probe(Value::Null)), [Cause::WarmedByTraffic]);
    }
}
