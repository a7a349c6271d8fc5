//! The four stages of a start, one line each.

use std::time::Duration;

use preheat_core::{CaseReport, Moment, Path, Span};
use preheat_server::{Doing, Facts, human};

use crate::table::plain;
use crate::terminal::{Line, Look, Mark};

/// What people call a stage, and the phase that it is.
const STAGES: [(&str, &str); 4] = [
    ("fetch", "fetching"),
    ("load", "loading"),
    ("warm", "warming"),
    ("prove", "proving"),
];

pub fn lines(facts: &Facts, now: Moment, look: Look) -> Vec<Line> {
    let line = |(name, phase)| {
        let (mark, took) = state(facts, phase, now);
        let took = took.map(human::time).unwrap_or_default();
        let words = match mark {
            Mark::Todo => String::new(),
            Mark::Now => doing(facts, look),
            Mark::Done | Mark::Failed => found(facts, name),
        };
        let text = format!("{name:<6}{took:>8}  {}", plain(&words));
        Line {
            mark: Some(mark),
            text: text.trim_end().to_owned(),
        }
    };
    STAGES.map(line).to_vec()
}

/// How far the phase is in the current try, and how long it has taken.
fn state(facts: &Facts, phase: &str, now: Moment) -> (Mark, Option<Duration>) {
    let history = &facts.history;
    let begin = history.iter().rposition(|(name, _)| *name == "fetching");
    let current = &history[begin.unwrap_or(0)..];
    let Some(at) = current.iter().position(|(name, _)| *name == phase) else {
        return (Mark::Todo, None);
    };
    let (entered, next) = (current[at].1, current.get(at + 1));
    let mark = match next {
        None => Mark::Now,
        Some(("failed" | "draining", _)) => Mark::Failed,
        Some(_) => Mark::Done,
    };
    (mark, Some(next.map_or(now, |(_, at)| *at) - entered))
}

/// What is being done right now.
fn doing(facts: &Facts, look: Look) -> String {
    match &facts.doing {
        Some(Doing::Fetching { file, done, total }) => transfer(file, *done, *total, look),
        Some(Doing::Case {
            number,
            of,
            name,
            round,
        }) => {
            let bar = look.bar(*number as u64 - 1, *of as u64);
            let round = round.map_or(String::new(), |(round, took)| {
                format!("  round {round}, {}", human::time(took))
            });
            format!("{bar}  case {number} of {of}  {name}{round}")
        }
        Some(Doing::Waiting { what }) => what.clone(),
        Some(Doing::Attempt { number }) => format!("attempt {number}"),
        None => String::new(),
    }
}

/// A file on its way.
pub fn transfer(file: &str, done: u64, total: Option<u64>, look: Look) -> String {
    match total {
        Some(total) => {
            let (bar, of) = (look.bar(done, total), human::bytes(total));
            format!("{bar}  {} of {of}  {file}", human::bytes(done))
        }
        None => format!("{}  {file}", human::bytes(done)),
    }
}

/// What a stage that is over has found.
fn found(facts: &Facts, stage: &str) -> String {
    match stage {
        "fetch" => fetched(facts),
        "load" => parts(facts),
        "warm" => warmed(facts),
        _ => proven(facts),
    }
}

fn fetched(facts: &Facts) -> String {
    let spans = facts.waterfall.spans();
    match spans.iter().find(|span| span.stage == "fetch") {
        Some(Span {
            bytes: Some(bytes),
            took,
            ..
        }) => with_rate(*bytes, *took),
        Some(_) => "was on this machine".into(),
        None => String::new(),
    }
}

/// The spans that began while the model was being loaded.
fn parts(facts: &Facts) -> String {
    let entered = |phase| {
        let entry = facts.history.iter().rfind(|(name, _)| *name == phase);
        entry.map(|(_, at)| *at)
    };
    let Some(loading) = entered("loading") else {
        return String::new();
    };
    let is_part = |span: &&Span| {
        span.start >= loading && entered("warming").is_none_or(|warming| span.start < warming)
    };
    let part = |span: &Span| {
        let bytes = span.bytes.map(|b| format!(" of {}", human::bytes(b)));
        let (stage, took) = (&span.stage, human::time(span.took));
        format!("{stage}{} {took}", bytes.unwrap_or_default())
    };
    let spans = facts.waterfall.spans().iter();
    let parts: Vec<_> = spans.filter(is_part).map(part).collect();
    parts.join(", ")
}

fn warmed(facts: &Facts) -> String {
    let is_here = |case: &&CaseReport| case.path == Path::Engine;
    let cases: Vec<_> = facts.warmup.cases.iter().filter(is_here).collect();
    let runs: usize = cases.iter().map(|case| case.rounds.len()).sum();
    match cases.iter().max_by_key(|case| case.saved()) {
        Some(case) => format!(
            "{runs} runs, {} from {} to {}",
            case.name,
            human::time(case.first()),
            human::time(case.steady())
        ),
        None => String::new(),
    }
}

fn proven(facts: &Facts) -> String {
    let (checks, held) = (
        facts.checks.len(),
        facts.checks.iter().filter(|c| c.ok).count(),
    );
    match checks {
        0 => String::new(),
        _ => format!("{held} of {checks} checks hold"),
    }
}

fn with_rate(bytes: u64, took: Duration) -> String {
    let rate = bytes as f64 / took.as_secs_f64().max(1e-3);
    format!("{}, {}/s", human::bytes(bytes), human::bytes(rate as u64))
}

#[cfg(test)]
mod tests;
