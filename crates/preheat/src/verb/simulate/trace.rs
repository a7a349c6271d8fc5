//! A stretch of a simulation, request by request: what the dashboard's *Watch* plays.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use preheat_api::simulation::{ScenarioFile, TraceAnswer, TraceHead, TraceLine};
use preheat_core::{Failure, PhaseGroup};
use preheat_sim::{End, PhaseChange, Recording, Scenario, Strategy, record};

use super::figures;
use super::scenario;

/// The longest stretch that a scenario asks for by leaving it out.
const DEFAULT: Duration = Duration::from_secs(60);

/// Both ends of the comparison: the first strategy and the last one, on the same arrivals.
pub fn of(
    file: &ScenarioFile,
    scenario: &Scenario,
    strategies: &[Strategy],
) -> Result<String, Failure> {
    let stretch = stretch(file, scenario)?;
    let sides: Vec<&Strategy> = match strategies {
        [] => Vec::new(),
        [one] => vec![one],
        [first, .., last] => vec![first, last],
    };
    let recordings: Vec<Recording> = sides
        .iter()
        .map(|strategy| record(scenario, strategy, file.seed, &stretch).1)
        .collect();
    let head = TraceHead {
        trace: 1,
        title: file.name.clone(),
        about: file.about.clone(),
        simulated: true,
        slo_ms: figures::ms(scenario.slo.threshold),
        from_ms: figures::ms(stretch.start),
        until_ms: figures::ms(stretch.end),
        sides: sides.iter().map(|strategy| title(strategy)).collect(),
    };
    let mut text = format!("{}\n", serde_json::json!(head));
    let mut lines: Vec<TraceLine> = Vec::new();
    if let Some(recording) = recordings.first() {
        lines.extend(arrivals(recording));
    }
    for (side, recording) in recordings.iter().enumerate() {
        lines.extend(phases(side, recording, &stretch));
        lines.push(answers(side, recording));
    }
    for line in lines {
        text += &format!("{}\n", serde_json::json!(line));
    }
    Ok(text)
}

fn stretch(file: &ScenarioFile, scenario: &Scenario) -> Result<Range<Duration>, Failure> {
    let whole = scenario.traffic.lasts();
    let from = file.trace.from.0.min(whole);
    let lasts = file.trace.lasts.map_or(DEFAULT, |span| span.0);
    let until = from.saturating_add(lasts).min(whole);
    if until <= from {
        let cause = "trace.from and trace.for name a stretch without traffic".to_owned();
        return Err(scenario::wrong(cause));
    }
    Ok(from..until)
}

/// A reader who sees two pictures wants to know which is which.
fn title(strategy: &Strategy) -> String {
    match strategy.name().as_str() {
        "unprotected" => "without protection".into(),
        "preheat" => "with preheat".into(),
        name => name.into(),
    }
}

fn arrivals(recording: &Recording) -> Option<TraceLine> {
    let times: Vec<u64> = recording.requests.iter().map(|r| ms(r.arrived)).collect();
    let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
    Some(TraceLine::Arrivals {
        at_ms: *times.first()?,
        gaps: gaps.collect(),
    })
}

fn answers(side: usize, recording: &Recording) -> TraceLine {
    let answer = |request: &preheat_sim::RecordedRequest| match request.end {
        None => TraceAnswer::Open(None),
        Some((End::Answered, took)) => TraceAnswer::Took(ms(took)),
        Some((End::Refused, took)) => TraceAnswer::Ended(ms(took), "refused"),
        Some((End::Failed, took)) => TraceAnswer::Ended(ms(took), "failed"),
    };
    TraceLine::Answers {
        side,
        ms: recording.requests.iter().map(answer).collect(),
    }
}

/// Lives of the replicas that are there in the stretch, those that come up in it first: the eye
/// looks for them.
fn phases(side: usize, recording: &Recording, stretch: &Range<Duration>) -> Vec<TraceLine> {
    let mut lives: BTreeMap<usize, Vec<PhaseChange>> = BTreeMap::new();
    for change in &recording.phases {
        lives.entry(change.replica).or_default().push(*change);
    }
    lives.retain(|_, life| {
        let gone = life.last().filter(|change| change.phase.is_none());
        gone.is_none_or(|change| change.at >= stretch.start)
    });
    let shown = |(replica, life): (usize, Vec<PhaseChange>)| {
        let warmed = warmed_by_users(replica, recording);
        (replica, within(changes(&life, warmed), stretch))
    };
    let mut shown: Vec<_> = lives.into_iter().map(shown).collect();
    shown.sort_by_key(|(replica, life)| {
        let is_old = life.first().is_some_and(|(_, phase)| *phase == "ready");
        (is_old, *replica)
    });
    let mut lines = Vec::new();
    for (replica, life) in shown {
        lines.extend(life.into_iter().map(|(at, phase)| TraceLine::Phase {
            side,
            at_ms: ms(at),
            replica: format!("r{replica}"),
            phase,
        }));
    }
    lines
}

const WARM: Option<PhaseGroup> = Some(PhaseGroup::Warm);

/// Who calls itself ready and then meets cold shapes is warmed by its users until the last of them.
fn warmed_by_users(replica: usize, recording: &Recording) -> Option<Duration> {
    let mine = recording.cold.iter().filter(|(id, _)| *id == replica);
    mine.map(|(_, until)| *until).max()
}

fn changes(life: &[PhaseChange], warmed: Option<Duration>) -> Vec<(Duration, &'static str)> {
    let mut out = Vec::new();
    for change in life {
        match (change.phase, warmed) {
            (WARM, Some(until)) if until > change.at => {
                out.push((change.at, "warming"));
                out.push((until, "ready"));
            }
            (phase, _) => out.push((change.at, phase.map_or("stopped", word))),
        }
    }
    // Shapes met late may be run after the replica was taken out.
    out.sort_by_key(|(at, _)| *at);
    out
}

/// How it stands when the stretch begins, and what changes after that: stages of one group are one.
fn within(
    changes: Vec<(Duration, &'static str)>,
    stretch: &Range<Duration>,
) -> Vec<(Duration, &'static str)> {
    let before = changes.partition_point(|(at, _)| *at <= stretch.start);
    let mut shown = changes[before.saturating_sub(1)..].to_vec();
    if let Some(first) = shown.first_mut() {
        first.0 = first.0.max(stretch.start);
    }
    shown.dedup_by_key(|(_, phase)| *phase);
    shown
}

fn word(group: PhaseGroup) -> &'static str {
    match group {
        PhaseGroup::Cold => "fetching",
        PhaseGroup::Loading => "loading",
        PhaseGroup::Warming => "warming",
        PhaseGroup::Warm => "ready",
        PhaseGroup::Draining => "draining",
        PhaseGroup::Failed => "failed",
    }
}

fn ms(time: Duration) -> u64 {
    (time.as_secs_f64() * 1e3).round() as u64
}
