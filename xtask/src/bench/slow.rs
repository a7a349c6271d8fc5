//! Half-open connections must cost those who behave nothing.

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::json;

use super::client::Client;
use super::server::{Server, Setup};
use super::shapes::shapes;
use super::stats::{median, percentile, worst};
use super::{Table, ms};

const HALF_OPEN: usize = 2000;
const REQUESTS: usize = 500;
/// So often without and with in turn, that a slow minute of the machine meets both.
const TURNS: usize = 6;
/// For the replica to have closed what a turn leaves behind.
const PAUSE: Duration = Duration::from_millis(500);

pub(super) fn run(setup: &Setup) -> Result<Table> {
    // The replica inherits the limit, so this comes before its start.
    raise_file_limit()?;
    let server = setup.ready()?;
    let (mut without, mut with, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let alone = measure(&server)?;
        let half_open = (0..HALF_OPEN)
            .map(|_| half_open(&server))
            .collect::<Result<Vec<_>>>()
            .context("half-open connections")?;
        let beside = measure(&server)?;
        drop(half_open);
        thread::sleep(PAUSE);
        ratios.push(percentile(&beside, 0.95) / percentile(&alone, 0.95));
        without.extend(alone);
        with.extend(beside);
    }
    let ratio = format!("{:.2} ({:.2})", median(&ratios), worst(&ratios));
    let row = |name: &str, times: &[f64], ratio: String| {
        vec![
            name.to_owned(),
            ms(median(times)),
            ms(percentile(times, 0.95)),
            ratio,
        ]
    };
    Ok(Table {
        name: "Slow connections",
        about: format!(
            "{REQUESTS} requests of one short text on one connection, without and with \
             {HALF_OPEN} connections that stopped in the middle of their head, {TURNS} times in \
             turn. The ratio is the median over the turns, the worst turn in brackets."
        ),
        columns: &["", "median ms", "p95 ms", "p95 ratio"],
        rows: vec![
            row("without", &without, String::new()),
            row("with", &with, ratio),
        ],
        samples: json!({"without_ms": without, "with_ms": with, "ratios": ratios}),
    })
}

fn measure(server: &Server) -> Result<Vec<f64>> {
    let short = &shapes()[0];
    let mut client = Client::connect(server.http)?;
    (0..REQUESTS).map(|_| client.time(&short.request)).collect()
}

fn half_open(server: &Server) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(server.http)?;
    stream.write_all(b"POST /embed HTTP/1.1\r\nhost: bench\r\ncontent-le")?;
    Ok(stream)
}

fn raise_file_limit() -> Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).context("raising the limit of open files")
}
