//! The product's promise: the first request after ready costs what the thousandth costs.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::client::Client;
use super::server::Setup;
use super::shapes::{Shape, shapes};
use super::stats::{median, percentile, worst};
use super::{Table, ms};

/// The first requests, those a cold replica would have been slow for.
const FIRST: usize = 20;
const STEADY: usize = 100;

/// Requests of a server that has served for long, each asked as the first one was: on a connection of its
/// own, by a client that has just waited.
const ALIKE: usize = 10;
const WAIT: Duration = Duration::from_millis(2);

/// One fresh start: latencies in order.
struct Start {
    first: Vec<f64>,
    steady: Vec<f64>,
    alike: Vec<f64>,
}

pub(super) fn run(setup: &Setup, starts: usize) -> Result<Table> {
    let mut rows = Vec::new();
    let mut samples = serde_json::Map::new();
    for shape in shapes() {
        let starts = (0..starts)
            .map(|_| measure(setup, &shape))
            .collect::<Result<Vec<_>>>()?;
        rows.push(row(&shape, &starts));
        let raw = starts
            .iter()
            .map(|s| json!({"first_ms": s.first, "steady_ms": s.steady, "alike_ms": s.alike}));
        samples.insert(shape.name.to_owned(), raw.collect());
    }
    Ok(Table {
        name: "First request",
        about: format!(
            "{starts} fresh starts for each shape; on one new connection {FIRST} requests right \
             after ready, then {STEADY} steady ones. Ratios are medians over the starts, the \
             worst start in brackets. The first is held against the median of the steady ones, \
             which follow one another, and against that of {ALIKE} later requests that were asked \
             as it was: each on a connection of its own, {} ms after the one before. The last \
             column is what any {FIRST} steady requests in a row show: how much the machine \
             itself disturbs.",
            WAIT.as_millis()
        ),
        columns: &[
            "shape",
            "first ms",
            "steady median ms",
            "first ÷ median",
            "first ÷ one asked alike later",
            "worst of 20 ÷ p95",
            "worst of 20 later ÷ p95",
        ],
        rows,
        samples: samples.into(),
    })
}

fn measure(setup: &Setup, shape: &Shape) -> Result<Start> {
    let server = setup.ready()?;
    let mut client = Client::connect(server.http)?;
    let mut times = |count: usize| -> Result<Vec<f64>> {
        (0..count).map(|_| client.time(&shape.request)).collect()
    };
    let (first, steady) = (times(FIRST)?, times(STEADY)?);
    let alike = || {
        std::thread::sleep(WAIT);
        Client::connect(server.http)?.time(&shape.request)
    };
    Ok(Start {
        first,
        steady,
        alike: (0..ALIKE).map(|_| alike()).collect::<Result<_>>()?,
    })
}

fn row(shape: &Shape, starts: &[Start]) -> Vec<String> {
    let each = |figure: fn(&Start) -> f64| starts.iter().map(figure).collect::<Vec<_>>();
    let first_ratios = each(|start| start.first[0] / median(&start.steady));
    let alike_ratios = each(|start| start.first[0] / median(&start.alike));
    let worst_ratios = each(|start| worst(&start.first) / percentile(&start.steady, 0.95));
    let later = |start: &Start| {
        let p95 = percentile(&start.steady, 0.95);
        let twenties = start.steady.chunks(FIRST);
        twenties.map(|some| worst(some) / p95).collect::<Vec<_>>()
    };
    let later_ratios: Vec<_> = starts.iter().flat_map(later).collect();
    let ratio = |ratios: &[f64]| format!("{:.2} ({:.2})", median(ratios), worst(ratios));
    vec![
        shape.name.to_owned(),
        ms(median(&each(|start| start.first[0]))),
        ms(median(&each(|start| median(&start.steady)))),
        ratio(&first_ratios),
        ratio(&alike_ratios),
        ratio(&worst_ratios),
        ratio(&later_ratios),
    ]
}
