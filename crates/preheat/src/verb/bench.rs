//! `preheat bench`: what a client of one running server meets. First requests one by one, then the
//! steady state, then several clients at once. Every part is bounded in count and time.

mod figures;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use preheat_core::{Failure, FailureKind};
use preheat_runtime::Tasks;
use serde_json::json;

use self::figures::{Figures, Part};
use super::process;
use crate::cli::{BenchArgs, Target};
use crate::client::{Client, ClientError};
use crate::exit::{configuration, staged};
use crate::out;
use crate::out::say;
use crate::terminal::columns;

/// Requests on another connection before anything is measured: the client's own code is cold too.
const REHEARSALS: usize = 5;

/// Requests that are measured without a pause at most, whatever the time allows.
const MOST: usize = 100_000;

const WORDS: [&str; 8] = [
    "warm", "model", "request", "answer", "river", "stone", "seven", "light",
];

/// Of one request, over all of its texts: more is no request, and much more no memory holds.
const MOST_WORDS: usize = 1_000_000;

pub fn run(args: &BenchArgs) -> Result<ExitCode, Failure> {
    if args.texts.saturating_mul(args.words) > MOST_WORDS {
        let cause = format!("{} texts of {} words are too much", args.texts, args.words);
        let remedy = format!("ask for at most {MOST_WORDS} words in one request");
        return Err(configuration(cause, remedy));
    }
    process::runtime()?.block_on(async {
        let figures = measure(args).await.map_err(|error| {
            let kind = FailureKind::Internal;
            staged("bench", kind, error.to_string(), error.remedy())
        })?;
        match args.target.json {
            true => out::json(&figures.as_json())?,
            false => out::print(&figures.as_text(columns()))?,
        }
        match figures.failure() {
            Some(cause) => Err(nothing_measured(cause)),
            None => Ok(ExitCode::SUCCESS),
        }
    })
}

fn nothing_measured(cause: String) -> Failure {
    staged(
        "bench",
        FailureKind::Internal,
        cause,
        "the server must be ready (`preheat wait`) and answer POST /embed with a JSON list of texts",
    )
}

async fn measure(args: &BenchArgs) -> Result<Figures, ClientError> {
    rehearse(&args.target).await?;
    let body = body(args);
    let client = Client::of(&args.target)?;
    say(&format!("{}: first requests, one by one", client.server()));
    let first = one_by_one(&client, &body, args.first, args.time).await;
    say("steady, one by one");
    let steady = one_by_one(&client, &body, args.requests, args.time).await;
    say(&format!("load, {} clients at once", args.clients));
    let load = together(args, &body).await?;
    Ok(Figures {
        server: client.server(),
        texts: args.texts,
        words: args.words,
        clients: args.clients,
        first,
        steady,
        load,
    })
}

/// The same code paths of this process as later, none of the server's that are measured.
async fn rehearse(target: &Target) -> Result<(), ClientError> {
    let client = Client::of(target)?;
    for _ in 0..REHEARSALS {
        client.get("/health").await?;
    }
    Ok(())
}

fn body(args: &BenchArgs) -> Vec<u8> {
    let text = |n: usize| {
        let words = (0..args.words).map(|word| WORDS[(n + word) % WORDS.len()]);
        words.collect::<Vec<_>>().join(" ")
    };
    let texts: Vec<String> = (0..args.texts).map(text).collect();
    json!(texts).to_string().into_bytes()
}

/// Up to `count` requests, each after the answer to the one before.
async fn one_by_one(client: &Client, body: &[u8], count: usize, time: Duration) -> Part {
    let began = Instant::now();
    let mut part = Part::default();
    while part.asked() < count && began.elapsed() < time {
        part.note(ask(client, body).await);
    }
    part.whole = began.elapsed();
    part
}

/// Each client on a connection of its own.
async fn together(args: &BenchArgs, body: &[u8]) -> Result<Part, ClientError> {
    let (tasks, began) = (Tasks::new(), Instant::now());
    let share = MOST / args.clients;
    let mut clients = Vec::with_capacity(args.clients);
    for _ in 0..args.clients {
        let (client, body, time) = (Client::of(&args.target)?, body.to_vec(), args.time);
        clients.push(tasks.spawn("bench client", async move {
            one_by_one(&client, &body, share, time).await
        }));
    }
    let mut all = Part::default();
    for client in clients {
        if let Ok(part) = client.await {
            all.join(part);
        }
    }
    all.whole = began.elapsed();
    Ok(all)
}

/// What one request took, or what came instead of an answer.
async fn ask(client: &Client, body: &[u8]) -> Result<Duration, String> {
    let began = Instant::now();
    match client.post("/embed", body.to_vec()).await {
        Ok(answer) if answer.status == 200 => Ok(began.elapsed()),
        Ok(answer) => Err(format!("status {}", answer.status)),
        Err(error) => Err(error.to_string()),
    }
}
