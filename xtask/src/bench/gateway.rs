//! What a gateway adds: the same replica asked directly, through it, and through other proxies, in
//! turns.

mod proxies;

use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::client::{self, Client};
use super::fleet::Gateway;
use super::stats::{median, percentile};
use super::{Table, ms};

/// Requests a second.
const RATES: [u32; 2] = [200, 1000];
/// Blocks of each way; the ways take turns, so that what the machine does meanwhile meets both.
const BLOCKS: usize = 10;
const REQUESTS: usize = 500;

/// What a gateway may add at the last of the rates, in milliseconds at p50 and p99, and what share of
/// another proxy's throughput it has to reach.
const ADDED_MS: (f64, f64) = (0.2, 1.0);
const SHARE: f64 = 0.8;

/// Clients without a pause, how long, and how often in turn.
const CLIENTS: usize = 16;
const WITHOUT_PAUSE: Duration = Duration::from_secs(3);
const TURNS: usize = 5;

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

/// `missed` takes what must not have happened.
pub(super) fn run(binary: &Path, missed: &mut Vec<String>) -> Result<Table> {
    let folder = tempfile::Builder::new().prefix("ph").tempdir_in("/tmp")?;
    let dir = folder.path().join("run");
    let fleet = format!(
        "[fleet]\nmax = 1\nconcurrency = 64\ndir = '{}'\n",
        dir.display()
    );
    let gateway = Gateway::start(binary, folder.path(), &format!("{fleet}{ENGINE}"))?;
    let replica = dir.join("0/r1/s:8000");
    let (mut rows, mut samples) = latencies(gateway.http, &replica, missed)?;
    let (proxies, lacks) = proxies::all(folder.path(), &replica)?;
    let mut doors = vec![("the gateway", gateway.http)];
    doors.extend(proxies.iter().map(|proxy| (proxy.name, proxy.address)));
    let rates = throughputs(&doors)?;
    let ours = median(&rates[0]);
    for ((name, _), rates) in doors.iter().zip(&rates) {
        let share = ours / median(rates);
        if share < SHARE {
            missed.push(format!("{share:.2} of the throughput of {name}"));
        }
        rows.push(vec![
            format!("{name}, {CLIENTS} clients without pause: requests/s"),
            format!("{:.0}", median(rates)),
            format!("gateway ÷ this: {share:.2}"),
            String::new(),
        ]);
        samples.insert((*name).to_owned(), json!(rates));
    }
    let lacks = match lacks.is_empty() {
        true => String::new(),
        false => format!(" Not here: {} (install it by that name).", lacks.join(", ")),
    };
    Ok(Table {
        name: "Gateway overhead",
        about: format!(
            "One replica of the sim engine that takes no time, asked for an embedding over its own \
             socket and through the gateway's port, in {BLOCKS} turns of {REQUESTS} requests each, \
             one connection, at a fixed rate. Then a short answer without the engine (GET /v2) \
             through each door in {TURNS} turns of {} s. Client, gateway and replica share the \
             machine.{lacks}",
            WITHOUT_PAUSE.as_secs()
        ),
        columns: &["", "direct", "through", "added"],
        rows,
        samples: samples.into(),
    })
}

type Rows = Vec<Vec<String>>;

fn latencies(
    door: SocketAddr,
    replica: &Path,
    missed: &mut Vec<String>,
) -> Result<(Rows, Map<String, Value>)> {
    let request = client::post("/embed", r#"["a short text"]"#);
    let mut direct = Client::connect_unix(replica).context("the replica's own socket")?;
    let mut through = Client::connect(door)?;
    // A newcomer's first requests, and the client's own first ones.
    for _ in 0..200 {
        direct.time(&request)?;
        through.time(&request)?;
    }
    let (mut rows, mut samples) = (Vec::new(), Map::new());
    for rate in RATES {
        let (mut plain, mut proxied) = (Vec::new(), Vec::new());
        for _ in 0..BLOCKS {
            plain.extend(block(&mut direct, &request, rate)?);
            proxied.extend(block(&mut through, &request, rate)?);
        }
        for (name, share, most) in [("p50", 0.5, ADDED_MS.0), ("p99", 0.99, ADDED_MS.1)] {
            let (plain, proxied) = (percentile(&plain, share), percentile(&proxied, share));
            let added = proxied - plain;
            if Some(&rate) == RATES.last() && added > most {
                missed.push(format!("adds {added:.2} ms at {name}, {rate} a second"));
            }
            rows.push(vec![
                format!("{rate} requests/s, {name} ms"),
                ms(plain),
                ms(proxied),
                ms(added),
            ]);
        }
        let raw = json!({"direct_ms": plain, "through_ms": proxied});
        samples.insert(rate.to_string(), raw);
    }
    Ok((rows, samples))
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

/// Requests a second of each door, in each turn.
fn throughputs(doors: &[(&'static str, SocketAddr)]) -> Result<Vec<Vec<f64>>> {
    let mut rates = vec![Vec::new(); doors.len()];
    for _ in 0..TURNS {
        for ((name, door), rates) in doors.iter().zip(&mut rates) {
            rates.push(without_pause(*door).with_context(|| (*name).to_owned())?);
        }
    }
    Ok(rates)
}

fn without_pause(door: SocketAddr) -> Result<f64> {
    let request = client::get("/v2");
    let began = Instant::now();
    let asking = || -> Result<usize> {
        let mut client = Client::connect(door)?;
        let mut count = 0;
        while began.elapsed() < WITHOUT_PAUSE {
            client.time(&request)?;
            count += 1;
        }
        Ok(count)
    };
    let counts = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(asking)).collect();
        let joined = clients.into_iter();
        joined
            .map(|client| client.join().expect("a client does not panic"))
            .collect::<Result<Vec<_>>>()
    })?;
    let count: usize = counts.iter().sum();
    Ok(count as f64 / began.elapsed().as_secs_f64())
}
