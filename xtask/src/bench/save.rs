//! Results in bench/results: dated, with machine and samples, never edited or overwritten.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{Table, machine};
use crate::shell;

const FOLDER: &str = "bench/results";

/// Writes the table and its samples; the path of the table, relative to the root.
pub(super) fn save(table: &Table) -> Result<String> {
    let folder = shell::root().join(FOLDER);
    fs::create_dir_all(&folder)?;
    let facts = machine::facts()?;
    let date = facts["date"].as_str().context("a date")?;
    let stem = free(&folder, &format!("{date}-{}", slug(table.name)));

    let samples = json!({"machine": facts, "samples": table.samples});
    fs::write(folder.join(format!("{stem}.json")), format!("{samples}\n"))?;
    let page = format!("{}\n{}", table.markdown(), machine_list(&facts));
    fs::write(folder.join(format!("{stem}.md")), page)?;
    Ok(format!("{FOLDER}/{stem}.md"))
}

fn machine_list(facts: &Value) -> String {
    let facts = facts.as_object().into_iter().flatten();
    facts
        .map(|(name, value)| format!("- {name}: {value}\n"))
        .collect()
}

fn slug(name: &str) -> String {
    name.to_lowercase().replace(' ', "-")
}

/// The stem itself, or with the first number that is not taken.
fn free(folder: &Path, stem: &str) -> String {
    let candidates = std::iter::once(stem.to_owned());
    let mut candidates = candidates.chain((2..).map(|number| format!("{stem}-{number}")));
    let taken = |stem: &String| folder.join(format!("{stem}.md")).exists();
    candidates
        .find(|stem| !taken(stem))
        .expect("numbers do not run out")
}
