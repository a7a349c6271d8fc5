//! `preheat check`: the effective configuration, each value with its origin.

use std::process::ExitCode;

use preheat_core::Failure;
use preheat_engine::source::SourceRef;
use preheat_runtime::tls;
use serde_json::{Value, json};

use super::{gateway, process};
use crate::cli::CheckArgs;
use crate::config::{Effective, Origin, tree};
use crate::exit::configuration;
use crate::table::{Column, Table};
use crate::terminal::columns;
use crate::{out, surroundings};

/// Parts of the names of options whose values stay secret.
const SECRETS: [&str; 4] = ["secret", "token", "password", "key"];

pub fn run(args: &CheckArgs) -> Result<ExitCode, Failure> {
    let effective = process::effective(&args.configured)?;
    match args.json {
        true => out::json(&as_json(&effective))?,
        false => out::print(&as_table(&effective).within(columns()))?,
    }
    for name in surroundings::strangers() {
        out::say(&process::no_setting(&name));
    }
    // Said after the values, so that a wrong one can be seen among them.
    let tls = match is_for_gateway(&effective) {
        true => {
            let settings = gateway::settings(&effective.config)?;
            for advice in settings.advice() {
                out::say(&advice);
            }
            settings.tls_files
        }
        false => process::settings(&effective.config)?.tls_files,
    };
    if let Some(files) = tls {
        tls::load(&files).map_err(|error| configuration(error.to_string(), error.remedy()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A replica serves one model, and has no use for what is said of a fleet.
fn is_for_gateway(effective: &Effective) -> bool {
    let of_fleet = |key: &String| key.starts_with("fleet.") || key.contains(".fleet.");
    effective.config.model.len() > 1 || effective.origins.keys().any(of_fleet)
}

fn as_table(effective: &Effective) -> Table {
    let columns = ["key", "value", "origin"].map(Column::Left);
    let mut table = Table::new(columns);
    tree::walk(&values(effective), String::new(), &mut |key, value| {
        table.row([&key, &shown(value), &origin(effective, &key)]);
    });
    table
}

fn as_json(effective: &Effective) -> Value {
    let values = values(effective);
    let mut origins = serde_json::Map::new();
    tree::walk(&values, String::new(), &mut |key, _| {
        origins.insert(key.clone(), origin(effective, &key).into());
    });
    json!({ "values": values, "origins": origins })
}

fn origin(effective: &Effective, key: &str) -> String {
    let origin = effective.origins.get(key).unwrap_or(&Origin::Default);
    origin.to_string()
}

/// The configuration as a tree, without the secrets that options of object stores, variables of wrapped
/// servers and addresses of models may hold.
fn values(effective: &Effective) -> Value {
    // This shape always serialises.
    let mut values = serde_json::to_value(&effective.config).unwrap_or_default();
    hide(&mut values["cache"]["store"]);
    for model in values["model"].as_array_mut().into_iter().flatten() {
        hide(&mut model["http"]["env"]);
        let source = model["source"].as_str().map(SourceRef::parse);
        if let Some(Ok(source)) = source {
            model["source"] = source.to_string().into();
        }
    }
    values
}

fn hide(options: &mut Value) {
    for (name, value) in options.as_object_mut().into_iter().flatten() {
        let name = name.to_ascii_lowercase();
        if SECRETS.iter().any(|part| name.contains(part)) {
            *value = "(hidden)".into();
        }
    }
}

/// Text as it is written in a file; nothing is written `""`, so that it can be seen.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) if !text.is_empty() => text.clone(),
        Value::Null => "none".into(),
        value => value.to_string(),
    }
}
