//! Readers of users' files as the fuzzer calls them: what comes of a file is of no interest.

use std::path::Path;

use preheat_diagnosis::Diagnosis;
use preheat_sim::Strategy;

use super::{diagnose, init, probe, process, simulate};
use crate::cli::ProbeArgs;
use crate::config::Effective;

pub fn configured(effective: &Effective) {
    let _ = process::settings(&effective.config);
}

pub fn plan(args: &ProbeArgs) {
    if let Ok(plan) = probe::plan::read(args, None) {
        let templates = plan.cases.iter().map(|case| case.templates(&plan.spoken));
        let _: Vec<_> = templates.collect();
    }
}

pub fn scenario(path: &Path) {
    let Ok(text) = simulate::read(path) else {
        return;
    };
    let Ok(file) = simulate::scenario::parse(&text, "input") else {
        return;
    };
    let _ = simulate::scenario::resolve(&file, None);
    let _: Result<Vec<Strategy>, _> = simulate::scenario::strategies(&file);
}

pub fn measured(path: &Path) {
    if let Ok(text) = simulate::read(path) {
        let _ = simulate::from::replica(&text, "input");
    }
}

pub fn deployed(path: &Path) {
    if let Ok(report) = init::report(&path.to_string_lossy(), None) {
        let _ = init::figures::Figures::of(&[report]).summary();
    }
}

pub fn diagnosed(path: &Path) {
    let mut diagnosis = Diagnosis::new();
    if diagnose::read(&path.to_string_lossy(), &mut diagnosis).is_ok() {
        let _ = diagnose::show::as_text(&diagnosis.report());
    }
}
