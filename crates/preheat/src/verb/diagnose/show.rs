//! Findings as people and as programs read them.

use preheat_diagnosis::{Evidence, Finding, Paid, Report};
use preheat_server::human;
use serde_json::{Value, json};

use crate::table::plain;

/// Lines of evidence that are shown to people; programs get all.
const SHOWN: usize = 3;

pub fn as_json(report: &Report) -> Value {
    let first = report.first_request;
    let start: Vec<Value> = report
        .start
        .iter()
        .map(|stage| json!({ "stage": stage.name, "ms": round(stage.ms) }))
        .collect();
    json!({
        "findings": report.findings.iter().map(finding_as_json).collect::<Vec<_>>(),
        "first_request": { "now_ms": first.now_ms.map(round), "after_ms": first.after_ms.map(round) },
        "start": start,
        "plan": {
            "steps": steps(report),
            "start_ms": report.plan.start_ms.map(round),
            "warmup_tokens": report.plan.lengths,
        },
    })
}

/// What to do, in order: what keeps a replica from serving, then one start that leaves nothing to
/// the first request.
fn steps(report: &Report) -> Vec<String> {
    let of = |paid: Paid| {
        let those = report.findings.iter().map(|f| f.cause.about());
        those.filter(move |about| about.paid == paid)
    };
    let mut steps: Vec<String> = of(Paid::Otherwise)
        .map(|about| about.change.to_owned())
        .collect();
    if of(Paid::ByFirstRequest).next().is_some() {
        let took = report.plan.start_ms;
        let took = took.map_or(String::new(), |ms| format!("; about {}", human::millis(ms)));
        steps.push(format!(
            "Start in this order: weights and tokenizer side by side, the device's context, every planned shape until its latency has settled, and only then readiness{took}."
        ));
        let lengths: Vec<String> = report.plan.lengths.iter().map(u64::to_string).collect();
        if !lengths.is_empty() {
            let first = &lengths[0];
            steps.push(format!(
                "Add lengths to the warm-up plan: {} tokens ([[model.warmup.case]] generate = {{ texts = 1, tokens = {first} }}).",
                lengths.join(", ")
            ));
        }
    }
    steps
}

fn finding_as_json(finding: &Finding) -> Value {
    let about = finding.cause.about();
    let evidence: Vec<Value> = finding.evidence.iter().map(evidence_as_json).collect();
    json!({
        "id": about.id,
        "title": about.title,
        "evidence": evidence,
        "cost_ms": finding.cost_ms.map(round),
        "confidence": round(finding.confidence),
        "change": about.change,
        "first_request_after_ms": finding.after_ms.map(round),
    })
}

fn evidence_as_json(evidence: &Evidence) -> Value {
    let mut json =
        json!({ "source": evidence.source, "line": evidence.line, "text": evidence.text });
    if let Some(pod) = &evidence.pod {
        json["pod"] = json!(pod);
    }
    json
}

pub fn as_text(report: &Report) -> String {
    if report.findings.is_empty() {
        return "nothing found: no known cause of a slow first request or a failed start\n".into();
    }
    let mut text = String::new();
    for (number, finding) in (1..).zip(&report.findings) {
        text += &finding_as_text(number, finding);
    }
    let first = report.first_request;
    if let Some(now) = first.now_ms {
        text += &format!("first request: {} now", human::millis(now));
        if let Some(after) = first.after_ms {
            text += &format!(", about {} with these changes", human::millis(after));
        }
        text += "\n";
    }
    if !report.start.is_empty() {
        let stages: Vec<String> = report
            .start
            .iter()
            .map(|stage| format!("{} {}", stage.name, human::millis(stage.ms)))
            .collect();
        text += &format!("start: {}\n", stages.join(", "));
    }
    for (number, step) in (1..).zip(steps(report)) {
        text += &format!("plan, step {number}: {step}\n");
    }
    text
}

fn finding_as_text(number: usize, finding: &Finding) -> String {
    let about = finding.cause.about();
    let cost = finding
        .cost_ms
        .map_or(String::new(), |ms| format!(", costs {}", human::millis(ms)));
    let mut text = format!(
        "{number}. {} [{}]{cost}, confidence {:.0} %\n",
        about.title,
        about.id,
        finding.confidence * 100.0
    );
    for evidence in finding.evidence.iter().take(SHOWN) {
        let pod = evidence.pod.as_deref();
        let pod = pod.map_or(String::new(), |pod| format!("pod {}: ", plain(pod)));
        text += &format!(
            "   {}:{}: {pod}{}\n",
            plain(&evidence.source),
            evidence.line,
            plain(&evidence.text)
        );
    }
    text += &format!("   change: {}\n", about.change);
    if let Some(after) = finding.after_ms {
        text += &format!(
            "   first request after this change alone: {}\n",
            human::millis(after)
        );
    }
    text + "\n"
}

fn round(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}
