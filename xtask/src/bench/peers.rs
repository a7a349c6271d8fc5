//! preheat beside the servers that people use today: same machine, same model, same requests, one
//! run.
//!
//! A peer is a file in `bench/peers`; every further server is a further file. Peers take turns, a
//! fresh start of each in each round, so that a slow minute of the machine meets all of them.

mod install;
mod spec;
mod start;

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::client::Client;
use super::load::{self, Served};
use super::shapes::shapes;
use super::stats::{median, percentile};
use super::{Table, memory, ms};
use spec::Spec;
use start::{Peer, cosine};

/// How many clients ask at a time.
const CLIENTS: [usize; 3] = [1, 8, 32];

/// Requests that a peer answers of each shape before those that count.
const WARM: usize = 3;
/// Requests of a shape at most, and for how long at most.
const REQUESTS: usize = 30;
const PATIENCE: Duration = Duration::from_secs(3);

/// How near a peer's vector must be to ours for its figures to count: all compute the same model.
const SAME: f64 = 0.999;

/// One fresh start of one peer.
struct Round {
    /// From exec to the last byte of the first answer.
    answered: f64,
    /// That first request alone.
    first: f64,
    /// Steady latencies, shape by shape.
    steady: Vec<Vec<f64>>,
    short: Vec<Served>,
    mix: Vec<Served>,
    memory: f64,
}

pub(super) fn run(rounds: usize, only: &[String]) -> Result<Table> {
    let specs = spec::all()?;
    let wanted = |spec: &Spec| only.is_empty() || only.iter().any(|name| spec.stem.contains(name));
    let specs: Vec<_> = specs.into_iter().filter(wanted).collect();
    ensure!(
        !specs.is_empty(),
        "no peer of that name in {}",
        spec::FOLDER
    );
    let places = install::all(&specs)?;
    let mut measured: Vec<Vec<Round>> = specs.iter().map(|_| Vec::new()).collect();
    let mut expected = None;
    for round in 0..rounds {
        for (spec, measured) in specs.iter().zip(&mut measured) {
            eprintln!("round {} of {rounds}: {}", round + 1, spec.name);
            let of = || format!("{} (see {})", spec.name, places.log.display());
            // What it reads at its start is in the page cache for the one that counts.
            drop(Peer::start(spec, &places).with_context(of)?);
            let peer = Peer::start(spec, &places).with_context(of)?;
            measured.push(measure(peer, spec, &mut expected).with_context(of)?);
        }
    }
    let rows = specs
        .iter()
        .zip(&measured)
        .map(|(s, m)| row(s, m))
        .collect();
    let samples = specs.iter().zip(&measured).map(|(spec, rounds)| {
        let rounds = rounds.iter().map(Round::samples).collect::<Vec<_>>();
        (spec.name.clone(), Value::from(rounds))
    });
    Ok(Table {
        name: "Peers",
        about: about(rounds),
        columns: COLUMNS,
        rows,
        samples: samples.collect::<serde_json::Map<_, _>>().into(),
    })
}

const COLUMNS: &[&str] = &[
    "server",
    "exec → first answer ms",
    "first ÷ steady",
    "one short ms",
    "one medium ms",
    "16 short ms",
    "220 words ms",
    "32 mixed ms",
    "short/s at 1, 8, 32 (p99 ms)",
    "mix/s at 1, 8, 32 (p99 ms)",
    "memory (PSS) MB",
];

fn about(rounds: usize) -> String {
    format!(
        "{rounds} fresh starts of each server, taking turns, each right after another one that left its \
         files in the page cache; medians over the starts. First answer: one short text, asked as soon \
         as the server says that it is ready. Latencies: medians of \
         up to {REQUESTS} requests over one kept connection, from a client on the same machine. \
         Throughput: clients without pause for {} s each; the mix is the five shapes in turn.",
        load::LONG.as_secs()
    )
}

/// Everything that is asked of a started peer. The first peer's vector is what others must match.
fn measure(peer: Peer, spec: &Spec, expected: &mut Option<Vec<f64>>) -> Result<Round> {
    let requests: Vec<_> = shapes().iter().map(|shape| spec.request(shape)).collect();
    let mut client = Client::connect(peer.address)?;
    let first = client.time(&requests[0])?;
    let answered = peer.started.elapsed();
    let vector = spec.vector(client.body())?;
    let near = cosine(expected.get_or_insert_with(|| vector.clone()), &vector);
    ensure!(near >= SAME, "its vector is another one: cosine {near:.4}");
    let steady = requests
        .iter()
        .map(|request| latencies(&mut client, request))
        .collect::<Result<Vec<_>>>()?;
    let serve = |requests: &[Vec<u8>]| {
        let level = |clients| load::serve(peer.address, requests, clients);
        CLIENTS.into_iter().map(level).collect::<Result<_>>()
    };
    let (short, mix) = (serve(&requests[..1])?, serve(&requests)?);
    let memory = memory::tree_pss(peer.id()).context("memory of the process tree")?;
    drop(peer);
    // What the last one leaves behind must not be paid by the next.
    thread::sleep(Duration::from_millis(500));
    Ok(Round {
        answered: answered.as_secs_f64() * 1e3,
        first,
        steady,
        short,
        mix,
        memory,
    })
}

fn latencies(client: &mut Client, request: &[u8]) -> Result<Vec<f64>> {
    for _ in 0..WARM {
        client.time(request)?;
    }
    let began = std::time::Instant::now();
    let mut times = Vec::new();
    while times.len() < REQUESTS && (times.len() < 5 || began.elapsed() < PATIENCE) {
        times.push(client.time(request)?);
    }
    Ok(times)
}

fn row(spec: &Spec, rounds: &[Round]) -> Vec<String> {
    let over =
        |figure: &dyn Fn(&Round) -> f64| median(&rounds.iter().map(figure).collect::<Vec<_>>());
    let served = |of: fn(&Round) -> &Vec<Served>| {
        let level = |at: usize| {
            let rate = over(&|round| of(round)[at].rate());
            let p99 = over(&|round| percentile(&of(round)[at].times, 0.99));
            format!("{} ({})", ms(rate), ms(p99))
        };
        (0..CLIENTS.len()).map(level).collect::<Vec<_>>().join(", ")
    };
    let mut row = vec![
        spec.name.clone(),
        ms(over(&|round| round.answered)),
        format!(
            "{:.2}",
            over(&|round| round.first / median(&round.steady[0]))
        ),
    ];
    row.extend((0..shapes().len()).map(|at| ms(over(&|round| median(&round.steady[at])))));
    row.push(served(|round| &round.short));
    row.push(served(|round| &round.mix));
    row.push(format!("{:.0}", over(&|round| round.memory)));
    row
}

impl Round {
    fn samples(&self) -> Value {
        json!({
            "first_answer_ms": self.answered,
            "first_ms": self.first,
            "steady_ms": self.steady,
            "short": self.short.iter().map(Served::samples).collect::<Vec<_>>(),
            "mix": self.mix.iter().map(Served::samples).collect::<Vec<_>>(),
            "pss_mb": self.memory,
        })
    }
}
