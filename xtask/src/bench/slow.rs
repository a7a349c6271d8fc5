//! Half-open connections must cost those who behave nothing.

use std::io::Write;
use std::net::TcpStream;

use anyhow::{Context, Result};
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::json;

use super::client::Client;
use super::server::{Server, Setup};
use super::shapes::shapes;
use super::stats::{median, percentile};
use super::{Table, ms};

const HALF_OPEN: usize = 2000;
const REQUESTS: usize = 500;

pub(super) fn run(setup: &Setup) -> Result<Table> {
    // The replica inherits the limit, so this comes before its start.
    raise_file_limit()?;
    let server = setup.ready()?;
    let without = measure(&server)?;
    let half_open = (0..HALF_OPEN)
        .map(|_| half_open(&server))
        .collect::<Result<Vec<_>>>()
        .context("half-open connections")?;
    let with = measure(&server)?;
    drop(half_open);
    let ratio = percentile(&with, 0.95) / percentile(&without, 0.95);
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
             {HALF_OPEN} connections that stopped in the middle of their head."
        ),
        columns: &["", "median ms", "p95 ms", "p95 ratio"],
        rows: vec![
            row("without", &without, String::new()),
            row("with", &with, format!("{ratio:.2}")),
        ],
        samples: json!({"without_ms": without, "with_ms": with}),
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
