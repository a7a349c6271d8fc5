//! `preheat wait`: a gate for scripts.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use preheat_api::quantity::Span;
use preheat_api::report::ErrorReport;
use preheat_core::{Failure, FailureKind};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::{process, status};
use crate::cli::{Awaited, WaitArgs};
use crate::client::{Client, ClientError, Readiness};
use crate::exit::{self, WAIT_TIMED_OUT, staged};
use crate::news::News;
use crate::out::{self, say};

/// From one question to the next: doubled each time.
const PERIOD: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));

/// How a wait ends before its time.
enum End {
    Reached,
    /// It will not become ready by itself.
    InVain(ErrorReport),
}

pub fn run(args: &WaitArgs) -> Result<ExitCode, Failure> {
    process::runtime()?.block_on(async {
        let client = Client::of(&args.target).map_err(|error| {
            let kind = FailureKind::Internal;
            staged("wait", kind, error.to_string(), error.remedy())
        })?;
        let mut last = Last::default();
        let end = timeout(args.timeout, wait(&client, args.what, &mut last)).await;
        if args.target.json {
            out::json(&last.json)?;
        }
        match end {
            Ok(End::Reached) => Ok(ExitCode::SUCCESS),
            Ok(End::InVain(error)) => {
                say(&format!("preheat: {}", exit::explain(&error)));
                Ok(ExitCode::from(error.exit_code))
            }
            Err(_) => {
                let (what, limit) = (args.what.name(), Span(args.timeout));
                let error = ErrorReport {
                    stage: "wait".into(),
                    cause: format!("not {what} within {limit}: {}", last.line),
                    remedy: "look at the server's log, or give it more time with --timeout".into(),
                    exit_code: WAIT_TIMED_OUT,
                    retry: false,
                };
                say(&format!("preheat: {}", exit::explain(&error)));
                Ok(ExitCode::from(WAIT_TIMED_OUT))
            }
        }
    })
}

/// What was seen last: as it was said, and as `status --json` has it.
struct Last {
    line: String,
    json: Value,
}

impl Default for Last {
    fn default() -> Self {
        let line = "nothing was heard of it";
        Last {
            line: line.to_owned(),
            json: json!({ "status": "unreachable", "detail": line }),
        }
    }
}

async fn wait(client: &Client, what: Awaited, last: &mut Last) -> End {
    let (mut news, mut period) = (News::default(), PERIOD.0);
    loop {
        let seen = match what {
            Awaited::Ready => client.readiness().await,
            Awaited::Alive => alive(client).await,
        };
        if let Some(line) = news.of(&seen, Instant::now()) {
            let line = in_words_of(what, line, seen.is_ok());
            say(&format!("waiting for {}: {line}", client.server()));
            last.line = line;
        }
        last.json = match (what, &seen) {
            (Awaited::Alive, Ok(seen)) if seen.ready => json!({ "status": "alive" }),
            _ => status::told(&seen),
        };
        match end(seen) {
            Some(end) => return end,
            None => sleep(period).await,
        }
        period = (period * 2).min(PERIOD.1);
    }
}

/// Who merely answers is alive; nothing is known of more.
fn in_words_of(what: Awaited, line: String, answered: bool) -> String {
    match what {
        Awaited::Alive if answered => line.replacen("ready", "alive", 1),
        _ => line,
    }
}

async fn alive(client: &Client) -> Result<Readiness, ClientError> {
    let answer = client.get("/livez").await?;
    Ok(Readiness {
        ready: answer.status == 200,
        status: answer.status,
        report: None,
        json: Value::Null,
    })
}

fn end(seen: Result<Readiness, ClientError>) -> Option<End> {
    let seen = seen.ok()?;
    if seen.ready {
        return Some(End::Reached);
    }
    let failed = seen
        .report?
        .models
        .into_iter()
        .find_map(|model| model.error);
    failed.filter(|error| !error.retry).map(End::InVain)
}
