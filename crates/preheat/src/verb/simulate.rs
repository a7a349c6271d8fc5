//! `preheat simulate`: a fleet in simulated time.

mod figures;
pub mod from;
mod page;
pub mod scenario;
mod text;
mod trace;

use std::path::Path;
use std::process::ExitCode;

use preheat_api::simulation::{ScenarioFile, SimulationReport};
use preheat_core::Failure;
use preheat_runtime::file::read_text;
use preheat_sim::{Gate, plan, run as play};

use super::init;
use crate::cli::SimulateArgs;
use crate::exit::{configuration, unwritten};
use crate::out;
use crate::terminal::columns;

/// What is simulated when no file is given.
const SHIPPED: &str = include_str!("../../../../examples/simulate/7b.toml");

/// In megabytes. Scenario files and reports that are larger are something else.
const LIMIT_MB: u64 = 256;

pub fn run(args: &SimulateArgs) -> Result<ExitCode, Failure> {
    let mut file = match &args.scenario {
        Some(path) => scenario::parse(&read(path)?, &path.display().to_string())?,
        None => scenario::parse(SHIPPED, "the shipped scenario")?,
    };
    if let Some(from) = &args.from {
        if args.scenario.is_none() {
            // What it says of its own replica is not true of another one.
            file.name = "one replica more".to_owned();
            file.about.clear();
        }
        measured(&mut file, from)?;
    }
    file.seed = args.seed.unwrap_or(file.seed);
    let folder = args.scenario.as_deref().and_then(Path::parent);
    let report = simulate(&file, folder, args.plan)?;
    match args.json {
        true => out::json(&serde_json::json!(report))?,
        false => out::print(&text::of(&report, columns()))?,
    }
    if let Some(path) = &args.report {
        write(path, &page::of(&report))?;
        out::say(&format!("report: {}", path.display()));
    }
    if let Some(path) = &args.trace {
        let scenario = scenario::resolve(&file, folder)?;
        let strategies = scenario::strategies(&file)?;
        write(path, &trace::of(&file, &scenario, &strategies)?)?;
        out::say(&format!("trace: {}", path.display()));
    }
    Ok(ExitCode::SUCCESS)
}

/// The scenario with a replica that was measured, and says so.
fn measured(file: &mut ScenarioFile, from: &str) -> Result<(), Failure> {
    let report = match init::is_address(from) {
        true => init::report(from, None)?,
        false => from::report(&read(Path::new(from))?, from)?,
    };
    file.replica = from::replica(&report, from)?;
    file.name = format!("{}: {}", file.name, report.model);
    let gap = if file.about.is_empty() { "" } else { " " };
    file.about += &format!("{gap}The replica is {}, as measured: {from}.", report.model);
    Ok(())
}

fn simulate(
    file: &ScenarioFile,
    folder: Option<&Path>,
    with_plan: bool,
) -> Result<SimulationReport, Failure> {
    let scenario = scenario::resolve(file, folder)?;
    let strategies = scenario::strategies(file)?;
    let outcomes = strategies.iter().map(|s| play(&scenario, s, file.seed));
    let plan = with_plan.then(|| {
        let spares = plan::spares(&scenario, file.seed);
        let lingers = plan::lingers(&scenario, file.seed);
        figures::plan(&spares, &lingers)
    });
    Ok(SimulationReport {
        name: file.name.clone(),
        about: file.about.clone(),
        seed: file.seed,
        slo_ms: figures::ms(scenario.slo.threshold),
        load_seconds: scenario.replica.start_time(Gate::Loaded).as_secs_f64(),
        start_seconds: scenario.replica.start_time(Gate::Warmed).as_secs_f64(),
        runs: outcomes.map(|outcome| figures::run(&outcome)).collect(),
        plan,
    })
}

pub fn read(path: &Path) -> Result<String, Failure> {
    read_text(path, LIMIT_MB).map_err(|error| {
        let cause = format!("{} cannot be read: {error}", path.display());
        configuration(cause, "check the path")
    })
}

fn write(path: &Path, page: &str) -> Result<(), Failure> {
    std::fs::write(path, page).map_err(|error| unwritten("simulation", path, &error))
}

#[cfg(test)]
mod tests;
