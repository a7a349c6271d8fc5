//! Replicas that differ in a few variables, on the same requests: fresh ones take turns, so that a
//! slow minute of the machine meets all of them.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::client::{self, Client};
use super::load::{Served, serve};
use super::server::Setup;
use super::shapes::shapes;
use super::stats::{median, percentile};
use super::{Table, ms};

/// One way to serve the model.
pub(super) struct Variant {
    pub(super) name: &'static str,
    pub(super) variables: Vec<(&'static str, String)>,
}

/// What a table of variants is about.
pub(super) struct Subject {
    pub(super) name: &'static str,
    /// One sentence.
    pub(super) about: &'static str,
    /// What the others' throughput is compared with.
    pub(super) base: usize,
}

const CLIENTS: [usize; 2] = [8, 32];
/// Requests of each shape from one client: those that do not count, and those that do.
const STEADY: (usize, usize) = (3, 20);

/// One turn of one replica.
struct Turn {
    /// Of each shape.
    steady: Vec<Vec<f64>>,
    /// At each number of clients.
    mix: Vec<Served>,
    /// As the report says it.
    accuracy: Option<String>,
}

pub(super) fn compare(
    setup: &Setup,
    subject: &Subject,
    variants: &[Variant],
    turns: usize,
) -> Result<Table> {
    let mut measured: Vec<Vec<Turn>> = variants.iter().map(|_| Vec::new()).collect();
    for _ in 0..turns {
        for (variant, measured) in variants.iter().zip(&mut measured) {
            measured.push(turn(setup, variant).with_context(|| variant.name)?);
        }
    }
    let base = &measured[subject.base];
    let rows = variants.iter().zip(&measured);
    let rows = rows.map(|(variant, turns)| row(variant.name, turns, base));
    let samples = variants.iter().zip(&measured).map(|(variant, turns)| {
        let turns = turns.iter().map(Turn::samples).collect::<Vec<_>>();
        (variant.name.to_owned(), Value::from(turns))
    });
    Ok(Table {
        name: subject.name,
        about: format!(
            "{} {turns} fresh replicas of each, taking turns; medians over the turns. Latencies: \
             medians of {} requests over one kept connection. The mix: the five shapes in turn \
             from clients without pause; in brackets how many times that is of {}.",
            subject.about, STEADY.1, variants[subject.base].name
        ),
        columns: &[
            "",
            "mix/s at 8 clients",
            "p99 ms",
            "mix/s at 32 clients",
            "p99 ms",
            "one short ms",
            "one medium ms",
            "16 short ms",
            "220 words ms",
            "32 mixed ms",
            "accuracy, as the report says it",
        ],
        rows: rows.collect(),
        samples: samples.collect::<serde_json::Map<_, _>>().into(),
    })
}

fn turn(setup: &Setup, variant: &Variant) -> Result<Turn> {
    let server = setup.ready_with(&variant.variables)?;
    let requests: Vec<_> = shapes().into_iter().map(|shape| shape.request).collect();
    let mut client = Client::connect(server.http)?;
    let mut steady = Vec::new();
    for request in &requests {
        let mut times = Vec::new();
        for _ in 0..STEADY.0 + STEADY.1 {
            times.push(client.time(request)?);
        }
        steady.push(times.split_off(STEADY.0));
    }
    let mix = CLIENTS.map(|clients| serve(server.http, &requests, clients));
    client.time(&client::get("/ready"))?;
    let report: Value = serde_json::from_slice(client.body())?;
    let accuracy = report["engine"]["accuracy"].as_str().map(str::to_owned);
    Ok(Turn {
        steady,
        mix: mix.into_iter().collect::<Result<_>>()?,
        accuracy,
    })
}

fn row(name: &str, turns: &[Turn], base: &[Turn]) -> Vec<String> {
    let over = |turns: &[Turn], figure: &dyn Fn(&Turn) -> f64| {
        median(&turns.iter().map(figure).collect::<Vec<_>>())
    };
    let mut row = vec![name.to_owned()];
    for at in 0..CLIENTS.len() {
        let rate = |turns| over(turns, &|turn| turn.mix[at].rate());
        row.push(format!(
            "{:.1} ({:.2})",
            rate(turns),
            rate(turns) / rate(base)
        ));
        row.push(ms(over(turns, &|turn| {
            percentile(&turn.mix[at].times, 0.99)
        })));
    }
    row.extend((0..shapes().len()).map(|at| ms(over(turns, &|turn| median(&turn.steady[at])))));
    let said = turns.first().and_then(|turn| turn.accuracy.clone());
    row.push(said.unwrap_or_default());
    row
}

impl Turn {
    fn samples(&self) -> Value {
        json!({
            "steady_ms": self.steady,
            "mix": self.mix.iter().map(Served::samples).collect::<Vec<_>>(),
            "accuracy": self.accuracy,
        })
    }
}
