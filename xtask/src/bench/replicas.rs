//! Replicas of one model on one machine: what each further one costs.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use super::client::Client;
use super::memory::{self, Memory};
use super::server::{Server, Setup};
use super::shapes::shapes;
use super::startup::until_ok;
use super::{Table, ms};

const REPLICAS: usize = 6;

/// Before each further one: a replica that is proven goes on rehearsing for less than a tenth of a
/// second, and what one costs beside others at rest is asked here.
const REST: Duration = Duration::from_millis(250);

/// One replica, before its first request.
struct Started {
    ready: f64,
    memory: Memory,
    server: Server,
}

pub(super) fn run(setup: &Setup) -> Result<Table> {
    let mut replicas = Vec::new();
    // The only one is charged with all that the later ones will share.
    let mut alone = None;
    for _ in 0..REPLICAS {
        let started = start(setup)?;
        if alone.is_none() {
            ask(&started.server)?;
            alone = Some(of(&started.server)?.pss);
        }
        replicas.push(started);
        thread::sleep(REST);
    }
    let alone = alone.context("no replica")?;
    for replica in &replicas {
        ask(&replica.server)?;
    }
    let mut sum = 0.0;
    for replica in &replicas {
        sum += of(&replica.server)?.pss;
    }
    let row = |(number, one): (usize, &Started)| {
        vec![
            (number + 1).to_string(),
            ms(one.ready),
            format!("{:.1}", one.memory.private),
        ]
    };
    Ok(Table {
        name: "Replicas",
        about: format!(
            "{REPLICAS} replicas of one model, one after another, all kept, each started when the \
             others have come to rest. Memory in MB, private before the first request of each. \
             Proportional set size, all of them having answered one request of each shape: the \
             first while it was alone {alone:.1}, the sum of all \
             {sum:.1}: {:.2} times as much.",
            sum / alone
        ),
        columns: &["replica", "exec → ready ms", "private MB"],
        rows: replicas.iter().enumerate().map(row).collect(),
        samples: json!({"alone_pss_mb": alone, "sum_pss_mb": sum}),
    })
}

fn start(setup: &Setup) -> Result<Started> {
    let server = setup.start()?;
    let ready = until_ok(&server, "/ready")?;
    let memory = of(&server)?;
    Ok(Started {
        ready,
        memory,
        server,
    })
}

fn of(server: &Server) -> Result<Memory> {
    memory::of(server.id())?.context("the replica ended")
}

/// One request of each shape.
fn ask(server: &Server) -> Result<()> {
    let mut client = Client::connect(server.http)?;
    for shape in shapes() {
        client.time(&shape.request)?;
    }
    Ok(())
}
