//! `preheat init`: a configuration, an image and Kubernetes files whose figures come from a measured
//! start. Each figure stands beside a comment that says where it is from.

pub mod figures;
mod notes;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use preheat_api::ReadinessReport;
use preheat_core::Failure;
use preheat_runtime::file::read_text;

use self::figures::{Figures, Names};
use super::process;
use super::simulate::from;
use crate::cli::{InitArgs, Target};
use crate::client::Client;
use crate::exit::{configuration, unwritten};
use crate::out;

/// A report is a few kilobytes for each model and case.
const REPORT_LIMIT_MB: u64 = 16;

/// What is written: the path, and the template behind it.
const FILES: &[(&str, &str)] = &[
    ("preheat.toml", include_str!("init/files/preheat.toml")),
    ("Dockerfile", include_str!("init/files/Dockerfile")),
    (
        "Dockerfile.dockerignore",
        include_str!("init/files/Dockerfile.dockerignore"),
    ),
    ("compose.yaml", include_str!("init/files/compose.yaml")),
    (
        "kubernetes/kustomization.yaml",
        include_str!("init/files/kustomization.yaml"),
    ),
    ("kubernetes/deployment.yaml", DEPLOYMENT),
    ("kubernetes/service.yaml", SERVICE),
    ("kubernetes/disruption.yaml", DISRUPTION),
    ("kubernetes/autoscaler.yaml", AUTOSCALER),
    ("kubernetes/keda.yaml", include_str!("init/files/keda.yaml")),
    (
        "kubernetes/kserve.yaml",
        include_str!("init/files/kserve.yaml"),
    ),
    (
        "chart/Chart.yaml",
        include_str!("init/files/chart/Chart.yaml"),
    ),
    (
        "chart/values.yaml",
        include_str!("init/files/chart/values.yaml"),
    ),
];

/// The same templates once more, with the chart's values instead of figures.
const CHART: &[(&str, &str)] = &[
    ("chart/templates/deployment.yaml", DEPLOYMENT),
    ("chart/templates/service.yaml", SERVICE),
    ("chart/templates/disruption.yaml", DISRUPTION),
    ("chart/templates/autoscaler.yaml", AUTOSCALER),
];

const DEPLOYMENT: &str = include_str!("init/files/deployment.yaml");
const SERVICE: &str = include_str!("init/files/service.yaml");
const DISRUPTION: &str = include_str!("init/files/disruption.yaml");
const AUTOSCALER: &str = include_str!("init/files/autoscaler.yaml");

pub fn run(args: &InitArgs) -> Result<ExitCode, Failure> {
    let names = Names::checked(&args.name, &args.image, &args.model)?;
    let reports = args
        .from
        .iter()
        .map(|from| report(from, args.key.as_deref()));
    let reports = reports.collect::<Result<Vec<_>, _>>()?;
    let figures = Figures::of(&reports);
    let files = files(&names, &figures);
    if let Some((path, _)) = files
        .iter()
        .find(|(path, _)| !args.force && args.out.join(path).exists())
    {
        return Err(configuration(
            format!("{} exists already", args.out.join(path).display()),
            "choose another folder with --out, or overwrite with --force",
        ));
    }
    for (path, text) in &files {
        write(&args.out.join(path), text)?;
        out::print(&format!("{}\n", args.out.join(path).display()))?;
    }
    out::say(&figures.summary());
    notes::of(&reports).into_iter().for_each(out::say);
    Ok(ExitCode::SUCCESS)
}

/// Every file with its text.
fn files(names: &Names, figures: &Figures) -> Vec<(&'static str, String)> {
    let plain = FILES
        .iter()
        .map(|(path, text)| (*path, figures.fill(text, names)));
    let chart = CHART
        .iter()
        .map(|(path, text)| (*path, figures.fill_chart(text, names)));
    plain.chain(chart).collect()
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(path, text))
        .map_err(|error| unwritten("init", path, &error))
}

/// Of a server, and not of a file.
pub fn is_address(from: &str) -> bool {
    let schemes = ["http://", "https://", "unix:"];
    schemes.iter().any(|scheme| from.starts_with(scheme))
}

/// A readiness report from a file, or from a running replica.
pub fn report(from: &str, key: Option<&str>) -> Result<ReadinessReport, Failure> {
    if !is_address(from) {
        let text =
            read_text(Path::new(from), REPORT_LIMIT_MB).map_err(|error| unusable(from, &error))?;
        return from::report(&text, from);
    }
    let target = Target {
        url: from.to_owned(),
        key: key.map(str::to_owned),
        json: true,
    };
    process::runtime()?.block_on(async {
        let client = Client::of(&target).map_err(|error| unusable(from, &error))?;
        let seen = client
            .readiness()
            .await
            .map_err(|error| unusable(from, &error))?;
        seen.report
            .ok_or_else(|| unusable(from, &"it answers no readiness report"))
    })
}

fn unusable(from: &str, problem: &dyn std::fmt::Display) -> Failure {
    configuration(
        format!("{from}: {problem}"),
        "give a readiness report of a replica that is ready (`preheat status --json`, `preheat warm --json`) or its address",
    )
}
