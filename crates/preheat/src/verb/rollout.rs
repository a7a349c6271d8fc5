//! `preheat rollout`, `promote`, `rollback`, `abort`: one revision gives way to the next.

use std::fs;
use std::io::{Stderr, stderr};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use preheat_api::Config;
use preheat_api::service::{RolloutReport, RolloutRequest, ServiceReport};
use preheat_core::Failure;
use tokio::time::sleep;

use super::orders::Orders;
use super::process;
use crate::cli::{OrderArgs, RolloutArgs};
use crate::config::{self, Flags};
use crate::exit::{NOT_READY, from_config, from_settings};
use crate::terminal::{self, Block, Line, Look, Mark};
use crate::{fleet, surroundings};

/// Between two looks.
const PERIOD: Duration = Duration::from_millis(200);

/// Extensions of what is a configuration and not a model.
const CONFIGURATION: [&str; 4] = ["toml", "yaml", "yml", "json"];

pub fn run(args: &RolloutArgs) -> Result<ExitCode, Failure> {
    let wish = match &args.to {
        Some(to) => Some(wish(to, args.allow_other_shape)?),
        None => None,
    };
    process::runtime()?.block_on(async {
        let orders = Orders::of(&args.at, "rollout").await?;
        let report = match &wish {
            Some(wish) => {
                // This shape always serialises.
                let body = serde_json::to_vec(wish).unwrap_or_default();
                orders.give("rollout", body).await?
            }
            None => orders.look().await?,
        };
        if report.rollout.is_none() {
            let remedy = "begin one with --to, a model or a configuration file";
            return Err(orders.failed("this service has had no rollout", remedy));
        }
        let report = match args.detach {
            true => report,
            false => follow(&orders, report).await?,
        };
        orders.show(&report)?;
        let stage = report.rollout.map(|rollout| rollout.stage);
        let failed = matches!(stage.as_deref(), Some("refused" | "rolled_back"));
        Ok(ExitCode::from(if failed { NOT_READY } else { 0 }))
    })
}

/// `promote`, `rollback` and `abort`: the rollout as it is after that.
pub fn order(args: &OrderArgs, verb: &'static str) -> Result<ExitCode, Failure> {
    process::runtime()?.block_on(async {
        let orders = Orders::of(args, verb).await?;
        let report = orders.give(verb, b"{}".to_vec()).await?;
        orders.show(&report)?;
        Ok(ExitCode::SUCCESS)
    })
}

/// A file with a configuration, or a model as `model.source` names it.
fn wish(to: &str, allow_other_shape: bool) -> Result<RolloutRequest, Failure> {
    let path = Path::new(to);
    let extension = path.extension().and_then(|extension| extension.to_str());
    let is_file = extension.is_some_and(|e| CONFIGURATION.contains(&e)) && path.is_file();
    let (source, config) = match is_file {
        true => (None, Some(Box::new(configuration(path)?))),
        false => (Some(absolute(to)), None),
    };
    Ok(RolloutRequest {
        source,
        config,
        allow_other_shape,
    })
}

/// Checked here, where its author can read what is wrong with it.
fn configuration(path: &Path) -> Result<Config, Failure> {
    let read = config::resolve(Some(path), None, &Flags::default(), |_| None);
    let mut config = read.map_err(|error| from_config(&error))?.config;
    for model in &mut config.model {
        model.source = absolute(&model.source);
    }
    let checked = preheat_server::Settings::resolve(&config, &surroundings::read());
    checked.map_err(|error| from_settings(&error))?;
    Ok(config)
}

/// The gateway may have another working directory.
fn absolute(source: &str) -> String {
    match fs::canonicalize(source) {
        Ok(path) => path.display().to_string(),
        Err(_) => source.to_owned(),
    }
}

/// Until the new revision has been watched, or the old one serves again.
async fn follow(orders: &Orders, mut report: ServiceReport) -> Result<ServiceReport, Failure> {
    let mut view = View::new();
    loop {
        if let Some(rollout) = &report.rollout {
            view.show(rollout);
            let settled = ["keeping", "promoted", "rolled_back", "refused"];
            if settled.contains(&rollout.stage.as_str()) {
                view.leave(rollout);
                return Ok(report);
            }
        }
        sleep(PERIOD).await;
        report = orders.look().await?;
    }
}

/// A block that is redrawn, or a line for each stage.
enum View {
    Block(Block<Stderr>),
    Lines(String),
}

impl View {
    fn new() -> Self {
        match terminal::is_live(&stderr()) {
            true => View::Block(Block::new(stderr(), Look::here())),
            false => View::Lines(String::new()),
        }
    }

    fn show(&mut self, rollout: &RolloutReport) {
        match self {
            View::Block(block) => {
                let line = line(rollout, block.look());
                block.draw(&[line]);
            }
            View::Lines(said) => {
                let now = fleet::rollout(rollout);
                if now != *said {
                    crate::out::say(&now);
                    *said = now;
                }
            }
        }
    }

    fn leave(&mut self, rollout: &RolloutReport) {
        if let View::Block(block) = self {
            let line = line(rollout, block.look());
            block.leave(&[line]);
        }
    }
}

fn line(rollout: &RolloutReport, look: Look) -> Line {
    let mark = match rollout.stage.as_str() {
        "keeping" | "promoted" => Mark::Done,
        "returning" | "discarding" | "rolled_back" | "refused" => Mark::Failed,
        _ => Mark::Now,
    };
    let text = fleet::rollout(rollout);
    let bar = match (rollout.stage.as_str(), rollout.limit_ms) {
        ("proving", _) => look.bar(rollout.proven as u64, rollout.size as u64),
        (_, Some(limit)) => look.bar(rollout.stage_ms as u64, limit as u64),
        _ => String::new(),
    };
    Line {
        mark: Some(mark),
        text: format!("{bar} {text}"),
    }
}
