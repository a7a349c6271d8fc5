//! `preheat status`: the readiness report of a running replica, once or again and again.

use std::io::{Stdout, stdout};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use preheat_api::service::{Decision, ServiceReport};
use preheat_core::{Failure, FailureKind};
use preheat_runtime::Urgency;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::process;
use crate::cli::StatusArgs;
use crate::client::{Client, ClientError, Readiness};
use crate::exit::{NOT_READY, staged};
use crate::news::News;
use crate::terminal::{self, Block, Line, Look};
use crate::{fleet, out, report, table};

/// Between two looks.
const PERIOD: Duration = Duration::from_millis(500);

/// Who watches must not take an old picture for what is: whoever answers later than that is silent.
const SILENT: Duration = Duration::from_secs(5);

pub fn run(args: &StatusArgs) -> Result<ExitCode, Failure> {
    process::runtime()?.block_on(async {
        let client = Client::of(&args.target).map_err(|error| unreachable(&error))?;
        if args.why {
            why(&client, args.target.json).await
        } else if args.watch {
            watch(&client.within(SILENT), args.target.json).await
        } else {
            once(&client, args.target.json).await
        }
    })
}

async fn once(client: &Client, json: bool) -> Result<ExitCode, Failure> {
    let seen = client.readiness().await;
    let seen = seen.map_err(|error| unreachable(&error))?;
    match json {
        true => out::json(&as_json(&seen))?,
        false => out::print(&as_text(&seen, terminal::columns()))?,
    }
    Ok(code(seen.ready))
}

/// What a gateway decided of late.
async fn why(client: &Client, json: bool) -> Result<ExitCode, Failure> {
    let answer = client.get("/v1/decisions").await;
    let answer = answer.map_err(|error| unreachable(&error))?;
    let decisions: Result<Vec<Decision>, _> = serde_json::from_slice(&answer.body);
    let decisions = decisions.map_err(|_| {
        let cause = format!(
            "{} tells of no decisions (status {})",
            client.server(),
            answer.status
        );
        let remedy = "give the admin listener of a gateway, usually http://127.0.0.1:8002";
        staged("status", FailureKind::Internal, cause, remedy)
    })?;
    match json {
        // It has just been read from JSON.
        true => out::json(&serde_json::to_value(&decisions).unwrap_or(Value::Null))?,
        false => out::print(&fleet::decisions(&decisions, terminal::columns()))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Until it is interrupted, or nobody reads it any more; the exit code is that of the last look.
async fn watch(client: &Client, json: bool) -> Result<ExitCode, Failure> {
    let shutdown = process::interrupted("status")?;
    let (mut view, mut last) = (View::new(json), None);
    tokio::select! {
        looked = look_on(client, &mut view, &mut last) => looked?,
        // At once, even if the server does not answer.
        () = shutdown.reached(Urgency::Drain) => {}
    }
    if let Some(seen) = &last {
        view.leave(seen);
    }
    let is_ready = matches!(last, Some(Ok(Readiness { ready: true, .. })));
    Ok(code(is_ready))
}

async fn look_on(
    client: &Client,
    view: &mut View,
    last: &mut Option<Result<Readiness, ClientError>>,
) -> Result<(), Failure> {
    while !out::is_gone() {
        let seen = client.readiness().await;
        view.show(&seen)?;
        *last = Some(seen);
        sleep(PERIOD).await;
    }
    Ok(())
}

/// How what is seen is shown: as a block, or what is new of it as a line.
enum View {
    Block(Block<Stdout>),
    Lines(News),
    Json(Value),
}

impl View {
    fn new(json: bool) -> Self {
        match json {
            true => View::Json(Value::Null),
            false if terminal::is_live(&stdout()) => {
                View::Block(Block::new(stdout(), Look::here()))
            }
            false => View::Lines(News::default()),
        }
    }

    fn show(&mut self, seen: &Result<Readiness, ClientError>) -> Result<(), Failure> {
        match self {
            View::Block(block) => block.draw(&lines(seen)),
            View::Lines(news) => {
                if let Some(line) = news.of(seen, Instant::now()) {
                    let now = humantime::format_rfc3339_millis(SystemTime::now());
                    out::print(&format!("{now} {line}\n"))?;
                }
            }
            View::Json(last) => {
                let now = told(seen);
                if now != *last {
                    out::print(&format!("{now}\n"))?;
                    *last = now;
                }
            }
        }
        Ok(())
    }

    fn leave(&mut self, seen: &Result<Readiness, ClientError>) {
        if let View::Block(block) = self {
            block.leave(&lines(seen));
        }
    }
}

fn lines(seen: &Result<Readiness, ClientError>) -> Vec<Line> {
    let width = terminal::columns();
    let text = match seen {
        Ok(seen) => as_text(seen, width),
        Err(error) => error.to_string(),
    };
    // A block's lines are cut at the width.
    let text = table::folded(&text, width);
    let line = |text: &str| Line {
        mark: None,
        text: text.to_owned(),
    };
    text.lines().map(line).collect()
}

fn as_text(seen: &Readiness, width: Option<usize>) -> String {
    match &seen.report {
        Some(_) if seen.json.get("services").is_some() => services(&seen.json, width),
        Some(seen) => report::tables(seen, width) + &report::ending(seen, None),
        None => format!("{} (status {})\n", word(seen.ready), seen.status),
    }
}

/// A gateway's: its services instead of one model.
fn services(json: &Value, width: Option<usize>) -> String {
    let services = json.get("services").cloned().unwrap_or_default();
    let services: Vec<ServiceReport> = serde_json::from_value(services).unwrap_or_default();
    let texts = services.iter().map(|one| fleet::service(one, width));
    texts.collect()
}

/// What was seen, for programs.
pub(super) fn told(seen: &Result<Readiness, ClientError>) -> Value {
    match seen {
        Ok(seen) => as_json(seen),
        Err(error) => json!({ "status": "unreachable", "detail": error.to_string() }),
    }
}

/// The report as it came; for another server what its status code says.
fn as_json(seen: &Readiness) -> Value {
    match &seen.report {
        Some(_) => seen.json.clone(),
        None => json!({
            "status": if seen.ready { "ready" } else { "not_ready" },
            "detail": format!("{} (status {})", word(seen.ready), seen.status),
        }),
    }
}

fn word(ready: bool) -> &'static str {
    if ready { "ready" } else { "not ready" }
}

fn code(ready: bool) -> ExitCode {
    ExitCode::from(if ready { 0 } else { NOT_READY })
}

fn unreachable(error: &ClientError) -> Failure {
    staged(
        "status",
        FailureKind::Internal,
        error.to_string(),
        error.remedy(),
    )
}
