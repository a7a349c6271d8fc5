//! `preheat diagnose`: reads logs, events, descriptions, manifests, reports and live servers, and
//! says what made the first request slow or the start fail. The rules are `preheat_diagnosis`'s.

mod live;
mod measured;
pub mod show;

use std::fs::File;
use std::io::{self, Read};
use std::process::ExitCode;

use preheat_core::{Failure, FailureKind};
use preheat_diagnosis::{Diagnosis, Report, input};

use super::process;
use crate::cli::DiagnoseArgs;
use crate::exit::staged;
use crate::out;

/// Exit code when something was found; 0 when nothing was.
const FOUND: u8 = 1;

pub fn run(args: &DiagnoseArgs) -> Result<ExitCode, Failure> {
    let mut diagnosis = Diagnosis::new();
    for given in &args.inputs {
        if is_address(given) {
            process::runtime()?.block_on(live::ask(given, args.key.as_deref(), &mut diagnosis))?;
        } else {
            read(given, &mut diagnosis).map_err(|error| unreadable(given, &error))?;
        }
    }
    let report = diagnosis.report();
    match args.json {
        true => out::json(&show::as_json(&report))?,
        false => out::print(&show::as_text(&report))?,
    }
    Ok(code(&report))
}

fn code(report: &Report) -> ExitCode {
    ExitCode::from(if report.findings.is_empty() { 0 } else { FOUND })
}

fn is_address(input: &str) -> bool {
    ["http://", "https://", "unix:"]
        .iter()
        .any(|scheme| input.starts_with(scheme))
}

pub fn read(path: &str, diagnosis: &mut Diagnosis) -> io::Result<()> {
    if path == "-" {
        return input::read("standard input", io::stdin().lock(), diagnosis);
    }
    let mut file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::other("it is a folder"));
    }
    // Results of our own verbs are one JSON document; nothing else is held in memory.
    let mut head = Vec::new();
    file.by_ref()
        .take(input::WHOLE as u64)
        .read_to_end(&mut head)?;
    if head.len() < input::WHOLE && measured::take(path, &String::from_utf8_lossy(&head), diagnosis)
    {
        return Ok(());
    }
    input::read(path, head.chain(file), diagnosis)
}

fn unreadable(path: &str, error: &io::Error) -> Failure {
    staged(
        "diagnosis",
        FailureKind::Configuration,
        format!("{path} cannot be read: {error}"),
        "give files of logs, events, descriptions, manifests or reports, `-` for standard input, or the address of a server",
    )
}
