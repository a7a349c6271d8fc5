//! What a gateway adds: the same replica asked directly and through it, in turns, at a fixed rate.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Map, json};

use super::client::{self, Client};
use super::server::Setup;
use super::stats::{median, percentile};
use super::{Table, ms};

/// Requests a second.
const RATES: [u32; 2] = [200, 1000];
/// Blocks of each way; the ways take turns, so that what the machine does meanwhile meets both.
const BLOCKS: usize = 10;
const REQUESTS: usize = 500;

/// An engine that takes no time: what is left is the way there.
const ENGINE: &str = r#"
[[model]]
name = "embedder"
engine = "sim"
[model.batching]
max_batch = 1
buckets = { batch = [1], tokens = [16] }
[model.sim]
weights = "1ms"
first_run = "0ms"
run = "0ms"
"#;

pub(super) fn run(setup: &Setup) -> Result<Table> {
    let folder = tempfile::Builder::new().prefix("ph").tempdir_in("/tmp")?;
    let config = folder.path().join("preheat.toml");
    let dir = folder.path().join("run");
    let fleet = format!("[fleet]\nmax = 1\ndir = '{}'\n", dir.display());
    fs::write(&config, format!("{fleet}{ENGINE}"))?;
    let server = setup.gateway(&config)?;
    let replica = dir.join("0/r1/s:8000");
    let request = client::post("/embed", r#"["a short text"]"#);
    let mut direct = Client::connect_unix(&replica).context("the replica's own socket")?;
    let mut through = Client::connect(server.http)?;
    // A newcomer's first requests, and the client's own first ones.
    for _ in 0..200 {
        direct.time(&request)?;
        through.time(&request)?;
    }
    let mut rows = Vec::new();
    let mut samples = Map::new();
    for rate in RATES {
        let (mut plain, mut proxied) = (Vec::new(), Vec::new());
        for _ in 0..BLOCKS {
            plain.extend(block(&mut direct, &request, rate)?);
            proxied.extend(block(&mut through, &request, rate)?);
        }
        let added = |share: f64| percentile(&proxied, share) - percentile(&plain, share);
        rows.push(vec![
            rate.to_string(),
            ms(median(&plain)),
            ms(median(&proxied)),
            ms(added(0.5)),
            ms(percentile(&plain, 0.99)),
            ms(percentile(&proxied, 0.99)),
            ms(added(0.99)),
        ]);
        let raw = json!({"direct_ms": plain, "through_ms": proxied});
        samples.insert(rate.to_string(), raw);
    }
    Ok(Table {
        name: "Gateway overhead",
        about: format!(
            "One replica of the sim engine that takes no time, asked over its own socket and \
             through the gateway's port, in {BLOCKS} turns of {REQUESTS} requests each, one \
             connection, at a fixed rate. Client, gateway and replica share the machine."
        ),
        columns: &[
            "requests/s",
            "direct p50 ms",
            "through p50 ms",
            "added p50 ms",
            "direct p99 ms",
            "through p99 ms",
            "added p99 ms",
        ],
        rows,
        samples: samples.into(),
    })
}

fn block(client: &mut Client, request: &[u8], rate: u32) -> Result<Vec<f64>> {
    let period = Duration::from_secs(1) / rate;
    let mut next = Instant::now();
    (0..REQUESTS)
        .map(|_| {
            thread::sleep(next.saturating_duration_since(Instant::now()));
            next = (next + period).max(Instant::now());
            client.time(request)
        })
        .collect()
}
