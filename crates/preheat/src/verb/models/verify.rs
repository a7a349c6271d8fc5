//! `preheat models verify`: every byte read again. A start compares less, so that it is fast.

use std::path::Path;
use std::process::ExitCode;

use preheat_core::{Failure, FailureKind};
use preheat_engine::source;
use preheat_engine::store;
use preheat_server::human;

use super::{artefacts, failed};
use crate::exit::staged;
use crate::table::{Column, Table};
use crate::terminal::columns;

const STAGE: &str = "models verify";

pub fn run(cache: &Path) -> Result<ExitCode, Failure> {
    let mut table = Table::new([
        Column::Left("what"),
        Column::Right("size"),
        Column::Left("state"),
    ]);
    let mut damaged = Vec::new();
    for model in source::list(cache).map_err(|error| failed(STAGE, &error))? {
        let state = match source::verify(&model.dir) {
            Ok(()) => "whole".to_owned(),
            Err(error) => {
                damaged.push(format!("preheat models rm {}", model.key));
                error.chain()
            }
        };
        table.row([&model.key, &human::bytes(model.bytes), &state]);
    }
    for artefact in artefacts::list(cache)? {
        let state = match store::verify(&artefact) {
            Ok(true) => "whole".to_owned(),
            Ok(false) => {
                damaged.push(format!("rm -f {}", artefact.path.display()));
                "damaged".to_owned()
            }
            Err(error) => format!("cannot be read: {error}"),
        };
        let name = artefact
            .path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        table.row([&name, &human::bytes(artefact.bytes), &state]);
    }
    match table.is_empty() {
        true => super::say_none(cache),
        false => crate::out::print(&table.within(columns()))?,
    }
    match damaged.is_empty() {
        true => Ok(ExitCode::SUCCESS),
        false => Err(staged(
            STAGE,
            FailureKind::NotFetched,
            format!("{} damaged", damaged.len()),
            format!(
                "stop who serves it, then `{}`; the next start makes it again",
                damaged.join("; ")
            ),
        )),
    }
}
