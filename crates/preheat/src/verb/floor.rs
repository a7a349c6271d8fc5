//! `preheat floor`: what this machine allows, and how near a start comes to it. The machine's part is
//! kept in the cache; from then on every report of a start says its ratio.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use preheat_api::ReadinessReport;
use preheat_api::floor::{FILE, MachineFloor};
use preheat_api::report::FloorReport;
use preheat_core::{Failure, FailureKind};
use preheat_engine::floor;
use preheat_server::human;
use serde_json::json;

use super::process;
use crate::cli::FloorArgs;
use crate::exit::staged;
use crate::out;
use crate::table::{Column, Table};
use crate::terminal::columns;

const STAGE: &str = "floor";

/// Processes that are started and do nothing.
const PROCESSES: usize = 15;
/// Starts of the model; the first one may have to make what later ones find.
const STARTS: usize = 4;

pub fn run(args: &FloorArgs) -> Result<ExitCode, Failure> {
    if args.nothing {
        return Ok(ExitCode::SUCCESS);
    }
    let effective = process::effective(&args.configured)?;
    let settings = process::settings(&effective.config)?;
    let machine = machine(&settings.fetch.cache)?;
    let starts = (0..STARTS)
        .map(|_| start())
        .collect::<Result<Vec<_>, _>>()?;
    let start = middle(starts.into_iter().skip(1).collect());
    let start = start.ok_or_else(|| failed("no start was reported"))?;
    match args.json {
        true => out::json(&json!({ "machine": machine, "start": start }))?,
        false => {
            let table = table(settings.model.name.as_str(), &machine, &start);
            out::print(&table.within(columns()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Measures, and keeps it where every start looks.
fn machine(cache: &Path) -> Result<MachineFloor, Failure> {
    let io = |error: std::io::Error| {
        let cause = format!("{} cannot be used: {error}", cache.display());
        staged(
            STAGE,
            FailureKind::Internal,
            cause,
            "check cache.dir and its permissions",
        )
    };
    fs::create_dir_all(cache).map_err(io)?;
    let limits = floor::measure(cache).map_err(io)?;
    let megabytes = floor::BYTES as f64 / 1e6;
    let machine = MachineFloor {
        cpu: floor::this_cpu(),
        process_ms: millis(process_start()?),
        map_ms_per_mb: millis(limits.map) / megabytes,
        read_gb_per_second: megabytes / 1e3 / limits.read.as_secs_f64(),
    };
    let text = serde_json::to_vec_pretty(&machine).map_err(|error| failed(&error.to_string()))?;
    // Written whole or not at all: a start may be reading it.
    let new = cache.join(format!("{FILE}.{}", std::process::id()));
    fs::write(&new, text).map_err(io)?;
    fs::rename(&new, cache.join(FILE)).map_err(io)?;
    Ok(machine)
}

/// The median time of a process of this program that does nothing, from before it is started to
/// its end.
fn process_start() -> Result<Duration, Failure> {
    let mut times = Vec::with_capacity(PROCESSES);
    for _ in 0..PROCESSES {
        let began = Instant::now();
        let status = this_program()?.args(["floor", "--nothing"]).status();
        status.map_err(|error| failed(&error.to_string()))?;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    Ok(times[PROCESSES / 2])
}

/// Starts the model as `preheat warm` does, with the very arguments given here.
fn start() -> Result<FloorReport, Failure> {
    let mut given: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let Some(verb) = given.iter_mut().find(|argument| *argument == "floor") {
        *verb = "warm".into();
    }
    given.retain(|argument| argument != "--json");
    let answer = this_program()?.args(given).arg("--json").output();
    let answer = answer.map_err(|error| failed(&error.to_string()))?;
    let unready = || failed("the model did not become ready: `preheat warm` says why");
    let report: ReadinessReport = serde_json::from_slice(&answer.stdout).map_err(|_| unready())?;
    let model = report.models.into_iter().next();
    model.and_then(|model| model.floor).ok_or_else(unready)
}

fn this_program() -> Result<Command, Failure> {
    let path = std::env::current_exe().map_err(|error| failed(&error.to_string()))?;
    let mut command = Command::new(path);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    Ok(command)
}

/// By its ratio.
fn middle(mut starts: Vec<FloorReport>) -> Option<FloorReport> {
    starts.sort_by(|a, b| a.ratio.total_cmp(&b.ratio));
    let middle = starts.len() / 2;
    starts.into_iter().nth(middle)
}

fn table(model: &str, machine: &MachineFloor, start: &FloorReport) -> Table {
    let mut table = Table::new([Column::Left("limit"), Column::Right("value")]);
    let megabyte = human::millis(machine.map_ms_per_mb * 1e3);
    table.row([
        "reading memory, one thread",
        &format!("{:.1} GB/s", machine.read_gb_per_second),
    ]);
    table.row(["mapping a gigabyte", &megabyte]);
    table.row(["process start", &human::millis(start.process_ms)]);
    table.row([&format!("mapping {model}"), &human::millis(start.map_ms)]);
    table.row(["each planned case once", &human::millis(start.runs_ms)]);
    table.row(["floor", &human::millis(start.ms)]);
    table.row(["a start, to ready", &human::millis(start.ready_ms)]);
    table.row(["ratio", &format!("{:.2}", start.ratio)]);
    table
}

fn failed(cause: &str) -> Failure {
    staged(
        STAGE,
        FailureKind::Internal,
        cause,
        "run it again, or `preheat warm` to see more",
    )
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_how_near_a_start_comes() {
        let machine = MachineFloor {
            cpu: "a processor".into(),
            process_ms: 1.9,
            map_ms_per_mb: 0.002,
            read_gb_per_second: 11.42,
        };
        let start = FloorReport {
            process_ms: 1.9,
            map_ms: 0.18,
            runs_ms: 96.0,
            ms: 98.08,
            ready_ms: 140.0,
            ratio: 1.427,
        };
        insta::assert_snapshot!(table("embedder", &machine, &start));
    }
}
