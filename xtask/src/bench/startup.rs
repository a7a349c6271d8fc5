//! From exec to the first sign of life, to ready, and to the first answer.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::client::{self, Client};
use super::server::{Server, Setup};
use super::shapes::shapes;
use super::stats::{median, worst};
use super::{Table, ms};

const PATIENCE: Duration = Duration::from_secs(300);

/// Milliseconds from exec, start by start.
#[derive(Default)]
struct Times {
    alive: Vec<f64>,
    ready: Vec<f64>,
    answered: Vec<f64>,
}

/// How a client learns that a replica is ready.
#[derive(Clone, Copy)]
enum Way {
    /// It asks once a millisecond, each time on a fresh connection.
    Asking,
    /// It waits for the event.
    Told,
}

pub(super) fn run(setup: &Setup, starts: usize) -> Result<Table> {
    let (mut asking, mut told, mut ever) = (Times::default(), Times::default(), Times::default());
    // In turn, so that a noisy minute meets all of them.
    for _ in 0..starts {
        asking.measure(&setup.start()?, Way::Asking)?;
        told.measure(&setup.start()?, Way::Told)?;
        let empty = tempfile::tempdir()?;
        ever.measure(&setup.start_in(empty.path())?, Way::Told)?;
    }
    let rows = [
        ("alive", &asking.alive),
        ("ready, asked once a millisecond", &asking.ready),
        ("first answer, the same", &asking.answered),
        ("ready, told by the event", &told.ready),
        ("first answer, the same", &told.answered),
        ("ready, first start ever", &ever.ready),
    ];
    let row = |(name, times): (&str, &Vec<f64>)| {
        vec![name.to_owned(), ms(median(times)), ms(worst(times))]
    };
    Ok(Table {
        name: "Start-up",
        about: format!(
            "{starts} starts of each kind with the model in the page cache; times count from exec. \
             The first start ever has an empty cache directory: it packs the weights and compiles \
             the tokenizer."
        ),
        columns: &["", "median ms", "worst ms"],
        rows: rows.into_iter().map(row).collect(),
        samples: json!({"asking": asking.samples(), "told": told.samples(), "ever": ever.samples()}),
    })
}

impl Times {
    fn measure(&mut self, server: &Server, way: Way) -> Result<()> {
        self.alive.push(until_ok(server, "/health")?);
        self.ready.push(match way {
            Way::Asking => until_ok(server, "/ready")?,
            Way::Told => until_told(server)?,
        });
        let shapes = shapes();
        let short = shapes.first().context("no shape")?;
        Client::connect(server.http)?.time(&short.request)?;
        self.answered.push(since_exec(server));
        Ok(())
    }

    fn samples(&self) -> Value {
        json!({"alive_ms": self.alive, "ready_ms": self.ready, "answered_ms": self.answered})
    }
}

pub(super) fn until_ok(server: &Server, path: &str) -> Result<f64> {
    while server.ask(path) != Some(200) {
        if server.started.elapsed() > PATIENCE {
            bail!("{path} never answered 200");
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(since_exec(server))
}

/// Follows the replica's events until it is ready.
fn until_told(server: &Server) -> Result<f64> {
    let mut stream = TcpStream::connect(server.admin)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&client::get("/v1/events"))?;
    let mut line = String::new();
    let mut reader = BufReader::new(stream);
    while reader.read_line(&mut line)? > 0 {
        if line.contains(r#""phase":"ready""#) {
            return Ok(since_exec(server));
        }
        line.clear();
    }
    bail!("the events ended before the replica was ready")
}

fn since_exec(server: &Server) -> f64 {
    server.started.elapsed().as_secs_f64() * 1e3
}
