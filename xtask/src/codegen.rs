//! Generated files: committed, so that reading and building need no generator, and compared with
//! what the generators make now, so that they cannot be edited by hand or fall behind.

mod book;
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
    pub(crate) path: String,
    pub(crate) content: Vec<u8>,
}

type Generator = fn(root: &Path) -> Result<Vec<Output>>;

const GENERATORS: &[Generator] = &[
    proto::generate,
    reference::generate,
    dashboard::generate,
    book::generate,
];

/// Writes every generated file that differs. One generator after the other: the later ones build what
/// the earlier ones have written.
pub(crate) fn write() -> Result<()> {
    let root = shell::root();
    for generate in GENERATORS {
        for output in stale(&root, *generate)? {
            let path = root.join(&output.path);
            let folder = path.parent().context("a generated file lies in a folder")?;
            fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
            fs::write(&path, output.content).with_context(|| path.display().to_string())?;
            println!("wrote {}", output.path);
        }
    }
    Ok(())
}

/// An error that names every generated file of the first generator that has any that differ.
pub(crate) fn check() -> Result<()> {
    for generate in GENERATORS {
        let stale = stale(&shell::root(), *generate)?;
        if !stale.is_empty() {
            let names: Vec<_> = stale.iter().map(|output| output.path.as_str()).collect();
            bail!(
                "not as generated: {}; run `cargo xtask codegen`",
                names.join(", ")
            )
        }
    }
    Ok(())
}

fn stale(root: &Path, generate: Generator) -> Result<Vec<Output>> {
    let outputs = generate(root)?.into_iter();
    Ok(outputs.filter(|output| differs(root, output)).collect())
}

fn differs(root: &Path, output: &Output) -> bool {
    // A file that cannot be read is as good as absent: it has to be written.
    fs::read(root.join(&output.path)).map_or(true, |found| found != output.content)
}
