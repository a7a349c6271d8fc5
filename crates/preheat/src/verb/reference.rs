//! Pages that come out of the code itself: manual pages for packagers, chapters for the book.

mod causes;
mod cli;
mod exits;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory;
use preheat_core::Failure;

use crate::cli::Cli;
use crate::exit::unwritten;
use crate::out;

/// `preheat man DIR`: one page for each verb.
pub fn man(folder: &Path) -> Result<ExitCode, Failure> {
    let written =
        fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(Cli::command(), folder));
    written.map_err(|error| unwritten("reference", folder, &error))?;
    out::say(&format!(
        "manual pages: {}; show one with `man -l`",
        folder.display()
    ));
    Ok(ExitCode::SUCCESS)
}

/// `preheat reference DIR`: chapters of the book, written by `cargo xtask codegen`.
pub fn chapters(folder: &Path) -> Result<ExitCode, Failure> {
    let chapters = [
        ("cli.md", cli::page()),
        ("exit-codes.md", exits::page()),
        ("troubleshooting.md", causes::page()),
    ];
    for (name, text) in chapters {
        let written = fs::create_dir_all(folder).and_then(|()| fs::write(folder.join(name), text));
        written.map_err(|error| unwritten("reference", folder, &error))?;
    }
    Ok(ExitCode::SUCCESS)
}
