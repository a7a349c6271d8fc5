//! What was measured, for people, programs, Prometheus and test reports.

use std::fmt::Write as _;

use preheat_server::human;
use serde_json::{Value, json};

use super::measure::{CaseMeasured, Measured, Outcome};
use crate::table::{Column, Table, plain};

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Warm => "warm",
        Outcome::Failed => "failed",
        Outcome::Unsettled => "unsettled",
        Outcome::SlowWhenFresh => "slow when fresh",
        Outcome::Cold => "cold",
    }
}

/// `width`: of the terminal, where there is one.
pub fn as_text(measured: &Measured, width: Option<usize>) -> String {
    let (left, right) = (Column::Left, Column::Right);
    let mut table = Table::new([
        left("case"),
        right("first"),
        right("steady"),
        right("ratio"),
        right("95 %"),
        right("fresh"),
        left("now"),
    ]);
    for case in &measured.cases {
        let time = |ms: Option<f64>| ms.map_or("-".into(), human::millis);
        let interval = case
            .ratio_interval
            .map_or("-".into(), |(low, high)| format!("{low:.2} to {high:.2}"));
        let ratio = case
            .ratio
            .map_or("-".into(), |ratio| format!("{ratio:.2}x"));
        table.row(
            [
                &case.name,
                &time(case.first_ms),
                &time(case.steady_ms),
                &ratio,
                &interval,
                &time(case.fresh_ms),
                word(case.outcome),
            ]
            .map(|cell| cell as &str),
        );
    }
    let table = table.within(width);
    let mut text = format!("{}\n\n{table}\n", plain(&measured.server));
    for case in measured.cases.iter().filter(|case| case.problem.is_some()) {
        let problem = case.problem.as_deref().unwrap_or_default();
        text += &format!("{}: {}\n", plain(&case.name), plain(problem));
    }
    text += &format!("{}\n", conclusion(measured));
    text += &format!(
        "requests: {} in {}\n",
        measured.requests,
        human::time(measured.took)
    );
    text
}

/// One sentence: what a first user would have met, and what the next one meets.
fn conclusion(measured: &Measured) -> String {
    let cold: Vec<&CaseMeasured> = measured
        .cases
        .iter()
        .filter(|case| case.was_cold())
        .collect();
    let worst = cold
        .iter()
        .filter_map(|case| case.ratio)
        .fold(0.0, f64::max);
    let before = match cold.len() {
        0 => "it was warm: no first request was slow".to_owned(),
        count => format!(
            "it was cold: the first request of {count} of {} cases took up to {worst:.1}x steady",
            measured.cases.len()
        ),
    };
    let now = match is_warm(measured) {
        true => "it is warm now",
        false => "it is not warm now",
    };
    match measured
        .cases
        .iter()
        .any(|case| case.outcome == Outcome::Failed)
        || measured.cases.is_empty()
    {
        true => "not measured in full: it is not warm now".into(),
        false => format!("{before}; {now}"),
    }
}

fn is_warm(measured: &Measured) -> bool {
    !measured.timed_out
        && measured
            .cases
            .iter()
            .all(|case| case.outcome == Outcome::Warm)
}

pub fn as_json(measured: &Measured) -> Value {
    json!({
        "server": measured.server,
        "cases": measured.cases.iter().map(case_as_json).collect::<Vec<_>>(),
        "was_cold": measured.cases.iter().any(CaseMeasured::was_cold),
        "warm": is_warm(measured),
        "timed_out": measured.timed_out,
        "requests": measured.requests,
        "took_ms": round(measured.took.as_secs_f64() * 1e3),
    })
}

fn case_as_json(case: &CaseMeasured) -> Value {
    json!({
        "name": case.name,
        "preset": case.preset,
        "path": case.path,
        "first_ms": case.first_ms.map(round),
        "steady_ms": case.steady_ms.map(round),
        "slowest_ms": case.slowest_ms.map(round),
        "ratio": case.ratio.map(round),
        "ratio_low": case.ratio_interval.map(|(low, _)| round(low)),
        "ratio_high": case.ratio_interval.map(|(_, high)| round(high)),
        "fresh_ms": case.fresh_ms.map(round),
        "was_cold": case.was_cold(),
        "outcome": word(case.outcome),
        "problem": case.problem,
        "requests": case.requests,
    })
}

/// A page for a push gateway or a text-file collector, with the names that replicas use.
pub fn as_prometheus(measured: &Measured) -> String {
    type Value = fn(&CaseMeasured) -> Option<f64>;
    let metrics: [(&str, &str, Value); 4] = [
        (
            "preheat_warmup_first_seconds",
            "First request of each case",
            |case| case.first_ms.map(|ms| ms / 1e3),
        ),
        (
            "preheat_warmup_steady_seconds",
            "Steady median of each case",
            |case| case.steady_ms.map(|ms| ms / 1e3),
        ),
        (
            "preheat_warmup_first_to_steady_ratio",
            "First over steady",
            |case| case.ratio,
        ),
        (
            "preheat_probe_warm",
            "Whether the case is warm now",
            |case| Some(f64::from(u8::from(case.outcome == Outcome::Warm))),
        ),
    ];
    let mut page = String::new();
    for (name, help, value) in metrics {
        // Writing to a string cannot fail.
        let _ = writeln!(page, "# HELP {name} {help}.\n# TYPE {name} gauge");
        for case in &measured.cases {
            if let Some(value) = value(case) {
                let label = case
                    .name
                    .replace('\\', "\\\\")
                    .replace('"', "\\\"")
                    .replace('\n', "\\n");
                let _ = writeln!(page, "{name}{{case=\"{label}\"}} {value}");
            }
        }
    }
    page
}

pub fn as_junit(measured: &Measured) -> String {
    let failures = measured
        .cases
        .iter()
        .filter(|case| case.outcome != Outcome::Warm)
        .count();
    let mut page = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    page += &format!(
        "<testsuite name=\"preheat probe\" tests=\"{}\" failures=\"{failures}\" time=\"{:.3}\">\n",
        measured.cases.len(),
        measured.took.as_secs_f64()
    );
    for case in &measured.cases {
        let time = case.first_ms.unwrap_or(0.0) / 1e3;
        page += &format!(
            "  <testcase classname=\"{}\" name=\"{}\" time=\"{time:.6}\">",
            escape(&measured.server),
            escape(&case.name)
        );
        if case.outcome != Outcome::Warm {
            let problem = case.problem.as_deref().unwrap_or(word(case.outcome));
            page += &format!(
                "<failure type=\"{}\" message=\"{}\"/>",
                word(case.outcome),
                escape(problem)
            );
        }
        page += "</testcase>\n";
    }
    page + "</testsuite>\n"
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '&' => escaped += "&amp;",
            '"' => escaped += "&quot;",
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

fn round(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}
