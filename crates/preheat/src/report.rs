//! The readiness report for people.

use std::time::Duration;

use preheat_api::ReadinessReport;
use preheat_api::report::{CaseReport, EngineReport, ModelReport};
use preheat_server::human;

use crate::exit::explain;
use crate::table::{Column, Table, plain, plain_lines};

/// As programs read it.
pub fn json(report: &ReadinessReport) -> serde_json::Value {
    // These shapes always serialise.
    serde_json::to_value(report).unwrap_or_default()
}

/// Each model with what was run and what was checked. `width`: of the terminal, where there is one.
pub fn tables(report: &ReadinessReport, width: Option<usize>) -> String {
    report.models.iter().map(|own| model(own, width)).collect()
}

/// The last line: how the start went, how far it is, or why it failed and what to do.
pub fn ending(report: &ReadinessReport, after: Option<Duration>) -> String {
    let failed = report.models.iter().find_map(|model| model.error.as_ref());
    let text = match (failed, report.eta_ms) {
        (Some(error), _) => explain(error),
        (None, Some(eta)) => {
            let eta = human::time(Duration::from_millis(eta));
            format!("{}, ready in about {eta}", plain(&report.detail))
        }
        (None, None) => plain(&preheat_server::summary(report, after)),
    };
    text + "\n"
}

fn model(model: &ModelReport, width: Option<usize>) -> String {
    let mut text = plain_lines(&title(model)) + "\n";
    for table in [cases(&model.cases), checks(model)] {
        if !table.is_empty() {
            text += &format!("\n{}", table.within(width));
        }
    }
    if !model.notes.is_empty() {
        text += "\n";
    }
    for note in &model.notes {
        text += &format!("note: {}\n", plain(note));
    }
    text + "\n"
}

fn title(model: &ModelReport) -> String {
    let mut title = model.name.clone();
    if let Some(engine) = &model.engine {
        title += &format!(": {}", on(engine));
    }
    if model.instances > 1 {
        title += &format!(", {} instances", model.instances);
    }
    for (what, value) in [("from", &model.source), ("revision", &model.revision)] {
        if let Some(value) = value {
            title += &format!("\n{what} {value}");
        }
    }
    title
}

fn on(engine: &EngineReport) -> String {
    let kind = match engine.simulated {
        true => "sim, which declares its times instead of computing".into(),
        false => match &engine.accuracy {
            Some(accuracy) => format!("{} {} ({accuracy})", engine.name, engine.dtype),
            None => format!("{} {}", engine.name, engine.dtype),
        },
    };
    match (engine.dim, engine.max_tokens) {
        (0, 0) => kind,
        (dim, 0) => format!("{kind}; {dim} numbers for each row"),
        (dim, tokens) => format!("{kind}; {dim} dimensions, {tokens} tokens at most"),
    }
}

/// Every run, those of one case together.
fn cases(cases: &[CaseReport]) -> Table {
    let mut table = Table::new([
        Column::Left("case"),
        Column::Left("shape"),
        Column::Left("path"),
        Column::Right("first"),
        Column::Right("rounds"),
        Column::Right("steady"),
        Column::Right("ratio"),
        Column::Left("output"),
    ]);
    let several = cases.iter().any(|case| case.instance > Some(0));
    let place = |name: &str| cases.iter().position(|case| case.name == name);
    let mut sorted: Vec<_> = cases.iter().collect();
    // Doors are measured in any order, and read best in one.
    sorted.sort_by_key(|case| (place(&case.name), &case.path));
    for case in sorted {
        table.row([
            &case.name,
            &case.shape,
            &path(case, several),
            &human::millis(case.first_ms),
            &case.rounds.to_string(),
            &human::millis(case.steady_ms),
            &format!("{:.2}x", case.ratio),
            output(case),
        ]);
    }
    table
}

/// Which instance it was matters only where there are several.
fn path(case: &CaseReport, several: bool) -> String {
    match case.instance.filter(|_| several) {
        Some(instance) => format!("{} {}", case.path, instance + 1),
        None => case.path.clone(),
    }
}

fn output(case: &CaseReport) -> &'static str {
    match (case.output.ok, case.settled) {
        (false, _) => "wrong",
        (true, false) => "right, unsettled",
        (true, true) => "right",
    }
}

fn checks(model: &ModelReport) -> Table {
    let mut table = Table::new([
        Column::Left("check"),
        Column::Left("result"),
        Column::Left("what"),
        Column::Left("value"),
        Column::Left("limit"),
    ]);
    for check in &model.checks {
        let result = if check.ok { "ok" } else { "missed" };
        table.row([&check.id, result, &check.what, &check.value, &check.limit]);
    }
    table
}

#[cfg(test)]
mod tests;
