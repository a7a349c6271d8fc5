//! From a scenario file to what the simulation runs, within bounds that keep it a matter of seconds.

use std::path::Path;
use std::time::Duration;

use preheat_api::simulation::{
    Compare, GateKind, HoldKind, ProbationKind, PromotionKind, Replica, ScenarioFile, SpareCount,
    StageSpec, StrategyKind, TrafficPart,
};
use preheat_core::pool::PoolSize;
use preheat_core::{Failure, PhaseGroup, Slo};
use preheat_sim::{
    Arrivals, ColdRuns, Failures, FleetModel, Gate, Holding, Part, PreheatOptions, Probation,
    Promotion, ReplicaModel, Scenario, Service, Shape, StageTime, Strategy, Traffic,
};

use super::read;
use crate::config::words::for_users;
use crate::exit::configuration;

const MOST_REQUESTS: f64 = 50e6;
const MOST_REPLICAS: usize = 10_000;
const MOST_CONCURRENCY: usize = 1_024;
const MOST_SHAPES: usize = 64;
const LONGEST: Duration = Duration::from_secs(7 * 86_400);
const MOST_PARTS: usize = 1_000;
const MOST_STRATEGIES: usize = 32;
/// Of all replicas that there will have been: each is remembered.
const MOST_INSTANCES: f64 = 5e6;
/// Seconds.
const BETWEEN_LOOKS: f64 = 0.5;

pub fn parse(text: &str, origin: &str) -> Result<ScenarioFile, Failure> {
    let tree: toml::Table = toml::from_str(text).map_err(|error| {
        let cause = format!("{origin} is not valid TOML: {}", error.to_string().trim());
        wrong(cause)
    })?;
    serde_path_to_error::deserialize(tree).map_err(|error| {
        let place = error.path().to_string();
        let problem = error.into_inner().to_string();
        // The lines after the first say the place once more.
        let problem = for_users(problem.lines().next().unwrap_or_default());
        wrong(format!("{origin}: {place}: {problem}"))
    })
}

pub fn resolve(file: &ScenarioFile, folder: Option<&Path>) -> Result<Scenario, Failure> {
    let traffic = traffic(&file.traffic, folder)?;
    let scenario = Scenario {
        name: file.name.clone(),
        traffic,
        replica: replica(&file.replica)?,
        fleet: fleet(file)?,
        failures: Failures {
            starts: share("failures.starts", file.failures.starts)?,
            crashes_per_hour: at_least_zero(
                "failures.crashes_per_hour",
                file.failures.crashes_per_hour,
            )?,
        },
        slo: Slo::p95(positive("slo.p95", file.slo.p95.0)?),
        patience: positive("patience", file.patience.0)?,
    };
    let instances = most_instances(&scenario);
    if instances > MOST_INSTANCES {
        return Err(wrong(format!(
            "up to {instances:.0} instances come and go, more than {MOST_INSTANCES:.0}: lower fleet.max, \
             replica.concurrency or failures.crashes_per_hour"
        )));
    }
    Ok(scenario)
}

/// Whoever crashes is replaced, at the next look at the fleet at the earliest.
fn most_instances(scenario: &Scenario) -> f64 {
    let life = 3600.0 / scenario.failures.crashes_per_hour + BETWEEN_LOOKS;
    let lives = 1.0 + scenario.traffic.lasts().as_secs_f64() / life;
    scenario.fleet.max as f64 * lives * scenario.replica.concurrency as f64
}

fn replica(file: &Replica) -> Result<ReplicaModel, Failure> {
    let median = positive("replica.service.median", file.service.median.0)?;
    let service = match file.service.p95 {
        Some(p95) if p95.0 < median => {
            return Err(wrong("replica.service.p95 is below the median".into()));
        }
        Some(p95) => Service {
            median,
            p95: bounded("replica.service.p95", p95.0)?,
        },
        None => Service::of(median),
    };
    let stages = file.stage.iter().enumerate().map(stage);
    Ok(ReplicaModel {
        stages: stages.collect::<Result<_, _>>()?,
        warm: match file.warm {
            Some(warm) => Some(bounded("replica.warm", warm.0)?),
            None => None,
        },
        concurrency: within("replica.concurrency", file.concurrency, 1, MOST_CONCURRENCY)?,
        service,
        cold: ColdRuns {
            shapes: within("replica.cold.shapes", file.cold.shapes, 1, MOST_SHAPES)?,
            first_run: bounded("replica.cold.first_run", file.cold.first_run.0)?,
            covered: share("replica.cold.covered", file.cold.covered)?,
        },
        memory: file.memory.0,
    })
}

/// What comes before the weights is fetching; from the weights on it is loading.
fn stage((at, stage): (usize, &StageSpec)) -> Result<StageTime, Failure> {
    let fetching = ["image", "pull", "fetch", "download", "schedule"];
    let name = stage.name.to_lowercase();
    let group = if fetching.iter().any(|word| name.contains(word)) {
        PhaseGroup::Cold
    } else {
        PhaseGroup::Loading
    };
    Ok(StageTime {
        name: stage.name.clone(),
        takes: bounded(&format!("replica.stage.{at}.takes"), stage.takes.0)?,
        group,
    })
}

fn fleet(file: &ScenarioFile) -> Result<FleetModel, Failure> {
    let fleet = &file.fleet;
    let max = within("fleet.max", fleet.max, 1, MOST_REPLICAS)?;
    Ok(FleetModel {
        min: within("fleet.min", fleet.min, 0, max)?,
        max,
        begin: within("fleet.begin", fleet.begin, 0, max)?,
        spares: match fleet.spares {
            SpareCount::Auto(_) => PoolSize::Auto,
            SpareCount::Fixed(count) => PoolSize::Fixed(count),
        },
        burst: match fleet.burst {
            Some(burst) => Some(at_least_zero("fleet.burst", burst)?),
            None => None,
        },
        spare_memory: fleet.spare_memory.map(|size| size.0),
        linger: fleet.scale_to_zero.then_some(fleet.linger.0),
        starting_at_once: within(
            "fleet.starting_at_once",
            fleet.starting_at_once,
            1,
            max.max(4),
        )?,
        promotion: bounded("fleet.promotion", fleet.promotion.0)?,
        utilisation: share("fleet.utilisation", fleet.utilisation)?,
    })
}

fn traffic(parts: &[TrafficPart], folder: Option<&Path>) -> Result<Traffic, Failure> {
    if parts.is_empty() {
        let remedy = "add a [[traffic]] part with rate and for";
        return Err(configuration("no traffic to simulate", remedy));
    }
    within(
        "the number of [[traffic]] parts",
        parts.len(),
        1,
        MOST_PARTS,
    )?;
    let parts = parts.iter().enumerate().map(|(at, p)| part(at, p, folder));
    let parts = parts.collect::<Result<Vec<_>, _>>()?;
    let traffic = Traffic { parts };
    if traffic.lasts() > LONGEST {
        return Err(wrong("the traffic lasts longer than 7 days".into()));
    }
    let most: f64 = traffic.parts.iter().map(most_requests).sum();
    if most > MOST_REQUESTS {
        let cause =
            format!("the traffic has up to {most:.0} requests, more than {MOST_REQUESTS:.0}");
        return Err(wrong(cause));
    }
    Ok(traffic)
}

fn most_requests(part: &Part) -> f64 {
    let seconds = part.lasts.as_secs_f64();
    match &part.shape {
        Shape::Steady(rate) => rate * seconds,
        Shape::Ramp { from, to } => from.max(*to) * seconds,
        Shape::Bursts { base, peak, .. } => base.max(*peak) * seconds,
        Shape::Recorded(times) => times.len() as f64,
    }
}

fn part(at: usize, part: &TrafficPart, folder: Option<&Path>) -> Result<Part, Failure> {
    let place = |key: &str| format!("traffic.{at}.{key}");
    let rate = |key: &str, rate: f64| at_least_zero(&place(key), rate);
    let span = |key: &str, span: Option<preheat_api::quantity::Span>| {
        let span = span.ok_or_else(|| wrong(format!("{} is missing", place(key))))?;
        positive(&place(key), span.0)
    };
    let shape = match part {
        TrafficPart {
            rate: Some(r),
            from: None,
            to: None,
            base: None,
            peak: None,
            file: None,
            ..
        } => Shape::Steady(rate("rate", *r)?),
        TrafficPart {
            rate: None,
            from: Some(from),
            to: Some(to),
            base: None,
            peak: None,
            file: None,
            ..
        } => Shape::Ramp {
            from: rate("from", *from)?,
            to: rate("to", *to)?,
        },
        TrafficPart {
            rate: None,
            from: None,
            to: None,
            base: Some(base),
            peak: Some(peak),
            file: None,
            ..
        } => Shape::Bursts {
            base: rate("base", *base)?,
            peak: rate("peak", *peak)?,
            every: span("every", part.every)?,
            length: span("length", part.length)?,
        },
        TrafficPart {
            rate: None,
            from: None,
            to: None,
            base: None,
            peak: None,
            file: Some(file),
            ..
        } => Shape::Recorded(recorded(file, folder)?),
        _ => {
            let cause = format!(
                "traffic.{at} needs exactly one of rate, from with to, base with peak, and file"
            );
            return Err(wrong(cause));
        }
    };
    let bursts = matches!(shape, Shape::Bursts { .. });
    if !bursts && (part.every.is_some() || part.length.is_some()) {
        return Err(wrong(format!(
            "traffic.{at}: every and length are parts of bursts, which have base and peak"
        )));
    }
    if part.length.map(|length| length.0) > part.every.map(|every| every.0) {
        return Err(wrong(format!("{} is longer than every", place("length"))));
    }
    let lasts = match (&shape, part.lasts) {
        // A recording lasts as long as it does, and a moment for its last request.
        (Shape::Recorded(times), None) => {
            times.last().copied().unwrap_or_default() + Duration::from_millis(1)
        }
        (_, lasts) => span("for", lasts)?,
    };
    Ok(Part {
        name: match part.name.as_str() {
            "" => format!("part {}", at + 1),
            name => name.to_owned(),
        },
        lasts,
        shape,
        arrivals: if part.even {
            Arrivals::Even
        } else {
            Arrivals::Poisson
        },
    })
}

/// Seconds from the beginning, one a line, in order.
fn recorded(file: &str, folder: Option<&Path>) -> Result<Vec<Duration>, Failure> {
    let path = folder.unwrap_or(Path::new("")).join(file);
    let text = read(&path)?;
    let mut times = Vec::new();
    let lines = text.lines().map(str::trim).enumerate();
    for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        let place = || format!("{}:{}", path.display(), number + 1);
        let seconds = line.parse::<f64>().ok();
        let time = seconds.and_then(|s| Duration::try_from_secs_f64(s).ok());
        let time = time.filter(|time| *time <= LONGEST);
        let time = time.ok_or_else(|| {
            wrong(format!(
                "{}: {line:?} is not a number of seconds within 7 days",
                place()
            ))
        })?;
        if times.last().is_some_and(|last| time < *last) {
            return Err(wrong(format!("{}: earlier than the line before", place())));
        }
        times.push(time);
    }
    Ok(times)
}

pub fn strategies(file: &ScenarioFile) -> Result<Vec<Strategy>, Failure> {
    if file.compare.is_empty() {
        return Ok(vec![
            Strategy::Preheat(PreheatOptions::UNPROTECTED),
            Strategy::Preheat(PreheatOptions::default()),
        ]);
    }
    within(
        "the number of [[compare]] entries",
        file.compare.len(),
        1,
        MOST_STRATEGIES,
    )?;
    let compared = file.compare.iter().enumerate();
    compared
        .map(|(at, compare)| strategy(at, compare, file.fleet.max))
        .collect()
}

fn strategy(at: usize, compare: &Compare, most: usize) -> Result<Strategy, Failure> {
    let gate = match compare.gate {
        Some(GateKind::Loaded) => Gate::Loaded,
        Some(GateKind::Warmed) | None => Gate::Warmed,
    };
    let switched = compare.spares.is_some()
        || compare.promotion.is_some()
        || compare.probation.is_some()
        || compare.hold.is_some();
    let only_preheat = |strategy| {
        if switched {
            let cause = format!(
                "compare.{at}: spares, promotion, probation and hold are parts of preheat alone"
            );
            return Err(wrong(cause));
        }
        Ok(strategy)
    };
    if compare.replicas.is_some() && compare.strategy != StrategyKind::Fixed {
        return Err(wrong(format!(
            "compare.{at}: replicas is a part of fixed alone"
        )));
    }
    match compare.strategy {
        StrategyKind::Preheat => Ok(Strategy::Preheat(options(compare, gate))),
        StrategyKind::Unprotected => only_preheat(Strategy::Preheat(PreheatOptions {
            gate: compare.gate.map_or(Gate::Loaded, |_| gate),
            ..PreheatOptions::UNPROTECTED
        })),
        StrategyKind::Knative => only_preheat(Strategy::Knative(gate)),
        StrategyKind::Hpa => only_preheat(Strategy::Hpa(gate)),
        StrategyKind::RayServe => only_preheat(Strategy::RayServe(gate)),
        StrategyKind::Fixed => {
            let place = format!("compare.{at}.replicas");
            let replicas = compare.replicas.unwrap_or(1);
            only_preheat(Strategy::Fixed(within(&place, replicas, 1, most)?, gate))
        }
    }
}

fn options(compare: &Compare, gate: Gate) -> PreheatOptions {
    PreheatOptions {
        gate,
        promotion: match compare.promotion {
            Some(PromotionKind::Tick) => Promotion::Tick,
            Some(PromotionKind::Event) | None => Promotion::Event,
        },
        probation: match compare.probation {
            Some(ProbationKind::Always) => Probation::Always,
            Some(ProbationKind::Off) => Probation::Off,
            Some(ProbationKind::ByProof) | None => Probation::ByProof,
        },
        hold: match compare.hold {
            Some(HoldKind::Endless) => Holding::Endless,
            Some(HoldKind::Predicted) | None => Holding::Predicted,
        },
        spares: compare.spares.map(PoolSize::Fixed),
    }
}

pub fn wrong(cause: String) -> Failure {
    let remedy = "correct the scenario; docs/reference/scenario.schema.json lists every key";
    configuration(cause, remedy)
}

fn within(what: &str, value: usize, least: usize, most: usize) -> Result<usize, Failure> {
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    Err(wrong(format!(
        "{what} is {value}; it must be from {least} to {most}"
    )))
}

fn share(what: &str, value: f64) -> Result<f64, Failure> {
    if (0.0..=1.0).contains(&value) {
        return Ok(value);
    }
    Err(wrong(format!("{what} is {value}; it must be from 0 to 1")))
}

fn at_least_zero(what: &str, value: f64) -> Result<f64, Failure> {
    if value.is_finite() && (0.0..=1e7).contains(&value) {
        return Ok(value);
    }
    Err(wrong(format!(
        "{what} is {value}; it must be from 0 to 10000000"
    )))
}

fn bounded(what: &str, value: Duration) -> Result<Duration, Failure> {
    if value <= LONGEST {
        return Ok(value);
    }
    Err(wrong(format!("{what} is longer than 7 days")))
}

fn positive(what: &str, value: Duration) -> Result<Duration, Failure> {
    if value > Duration::ZERO {
        return bounded(what, value);
    }
    Err(wrong(format!("{what} must be more than zero")))
}

#[cfg(test)]
mod tests;
