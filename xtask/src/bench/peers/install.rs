//! What peers need beside their files: Python packages, and the model as a graph.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::spec::{FOLDER, Spec};
use crate::shell;

/// Where everything lies that a peer is started with.
pub(super) struct Places {
    pub(super) binaries: PathBuf,
    environments: PathBuf,
    pub(super) model: PathBuf,
    pub(super) onnx: PathBuf,
    pub(super) log: PathBuf,
}

/// The environment that can write the graph.
const EXPORTER: &str = "torch";

/// Installs what is not there yet: gigabytes, and minutes, the first time.
pub(super) fn all(specs: &[Spec]) -> Result<Places> {
    let target = shell::root().join("target");
    let places = Places {
        binaries: target.join("release"),
        environments: target.join("peers"),
        model: target.join("models/all-MiniLM-L6-v2"),
        onnx: target.join("peers/model.onnx"),
        log: target.join("bench-peer.log"),
    };
    let mut wanted: BTreeSet<&str> = specs
        .iter()
        .filter_map(|s| s.environment.as_deref())
        .collect();
    let graph = specs.iter().any(|spec| spec.env.contains_key("ONNX"));
    if graph {
        wanted.insert(EXPORTER);
    }
    for name in wanted {
        environment(&places, name).with_context(|| format!("packages of {name}"))?;
    }
    if graph && !places.onnx.exists() {
        export(&places).context("the model as a graph")?;
    }
    Ok(places)
}

impl Places {
    /// The folder with the programs of one list of packages.
    pub(super) fn programs(&self, environment: &str) -> PathBuf {
        self.environments.join(environment).join("bin")
    }
}

fn environment(places: &Places, name: &str) -> Result<()> {
    let wanted = shell::root().join(FOLDER).join(format!("{name}.txt"));
    let folder = places.environments.join(name);
    let stamp = folder.join("installed.txt");
    if same(&wanted, &stamp) {
        return Ok(());
    }
    eprintln!("installing the packages of {name}");
    let mut create = shell::command("python3", &["-m", "venv", "--clear"]);
    create.arg(&folder);
    shell::run(create)?;
    let mut install = shell::command(folder.join("bin/pip"), &["install", "--quiet", "-r"]);
    install.arg(&wanted);
    shell::run(install)?;
    fs::copy(wanted, stamp)?;
    Ok(())
}

fn export(places: &Places) -> Result<()> {
    let script = format!("{FOLDER}/apps/export.py");
    let mut export = shell::command(places.programs(EXPORTER).join("python"), &[&script]);
    // Written beside and moved, so that half a graph is never taken for one.
    let half = places.onnx.with_extension("part");
    export.arg(&places.model).arg(&half);
    shell::run(export)?;
    fs::rename(half, &places.onnx)?;
    Ok(())
}

fn same(wanted: &Path, stamp: &Path) -> bool {
    let read = |path: &Path| fs::read(path).ok();
    read(wanted).is_some() && read(wanted) == read(stamp)
}
