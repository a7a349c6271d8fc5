//! Generated files: committed, so that reading and building need no generator, and compared with
//! what the generators make now, so that they cannot be edited by hand or fall behind.

mod dashboard;
mod proto;
mod reference;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::shell;

/// One generated file.
pub(crate) struct Output {
    /// Relative to the repository root.
    pub(crate) path: &'static str,
    pub(crate) content: Vec<u8>,
}

type Generator = fn(root: &Path) -> Result<Vec<Output>>;

const GENERATORS: &[Generator] = &[proto::generate, reference::generate, dashboard::generate];

/// Writes every generated file that differs.
pub(crate) fn write() -> Result<()> {
    let root = shell::root();
    for output in stale(&root)? {
        let path = root.join(output.path);
        let folder = path.parent().context("a generated file lies in a folder")?;
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        fs::write(&path, output.content).with_context(|| path.display().to_string())?;
        println!("wrote {}", output.path);
    }
    Ok(())
}

/// An error that names every generated file that differs.
pub(crate) fn check() -> Result<()> {
    let stale = stale(&shell::root())?;
    if stale.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = stale.iter().map(|output| output.path).collect();
    bail!(
        "not as generated: {}; run `cargo xtask codegen`",
        names.join(", ")
    )
}

fn stale(root: &Path) -> Result<Vec<Output>> {
    let mut stale = Vec::new();
    for generate in GENERATORS {
        stale.extend(
            generate(root)?
                .into_iter()
                .filter(|output| differs(root, output)),
        );
    }
    Ok(stale)
}

fn differs(root: &Path, output: &Output) -> bool {
    // A file that cannot be read is as good as absent: it has to be written.
    fs::read(root.join(output.path)).map_or(true, |found| found != output.content)
}
