//! The dashboard in `web/`: built by npm and Vite, committed as `web/dist`, embedded by cargo.
//!
//! Building it needs npm; building the binary does not. The same sources give the same bytes, which
//! is checked by building them again elsewhere.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{codegen, setup, shell};

const WEB: &str = "web";
pub(crate) const DIST: &str = "web/dist";
const TYPES: &str = "src/api.gen.ts";

/// Files by their path in the folder.
type Files = BTreeMap<PathBuf, Vec<u8>>;

/// Builds the page, its types and the table that embeds it.
pub(crate) fn build() -> Result<()> {
    setup::npm_packages(WEB)?;
    types(TYPES)?;
    vite("dist")?;
    codegen::write()
}

/// An error when what is committed is not what its sources give; then the page's own unit tests.
pub(crate) fn check() -> Result<()> {
    let scratch = tempfile::tempdir_in(shell::root().join("target"))?;
    let types_again = scratch.path().join("api.gen.ts");
    types(&types_again.to_string_lossy())?;
    let web = shell::root().join(WEB);
    if fs::read(&types_again)? != fs::read(web.join(TYPES))? {
        bail!("{WEB}/{TYPES} is not as generated: run `cargo xtask dashboard`");
    }
    npm_run(&["check"])?;
    let dist = scratch.path().join("dist");
    vite(&dist.to_string_lossy())?;
    let (ours, again) = (files(&shell::root().join(DIST))?, files(&dist)?);
    if ours != again {
        let differs = |(path, content): (&PathBuf, &Vec<u8>)| again.get(path) != Some(content);
        let names: Vec<_> = ours
            .iter()
            .filter(|pair| differs((pair.0, pair.1)))
            .collect();
        let names: Vec<_> = names
            .iter()
            .map(|(path, _)| path.display().to_string())
            .collect();
        bail!(
            "{DIST} is not what its sources give ({}): run `cargo xtask dashboard`",
            names.join(", ")
        );
    }
    npm_run(&["unit"])
}

/// The page in a real browser, on the real binary.
pub(crate) fn browser() -> Result<()> {
    npm_run(&["browser"])
}

fn types(to: &str) -> Result<()> {
    npm_run(&["types", "--", "--output", to])
}

fn vite(to: &str) -> Result<()> {
    npm_run(&["build", "--", "--outDir", to])
}

fn npm_run(args: &[&str]) -> Result<()> {
    let mut npm = Command::new("npm");
    npm.args(["run", "--silent"])
        .args(args)
        .current_dir(shell::root().join(WEB));
    shell::run(npm)
}

fn files(folder: &Path) -> Result<Files> {
    let mut found = Files::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).with_context(|| next.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let content = fs::read(&path)?;
                found.insert(path.strip_prefix(folder)?.to_path_buf(), content);
            }
        }
    }
    Ok(found)
}
