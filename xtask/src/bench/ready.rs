//! Readiness probes while every core computes: a probe that starves gets a healthy replica killed.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use anyhow::Result;
use serde_json::json;

use super::client::{self, Client};
use super::server::{Server, Setup};
use super::shapes::shapes;
use super::stats::{median, percentile, worst};
use super::{Table, ms};

const CLIENTS: usize = 16;
const PROBES: usize = 1000;

pub(super) fn run(setup: &Setup) -> Result<Table> {
    let server = setup.ready()?;
    let idle = probe(server.admin)?;
    let (busy, served) = saturated(&server, server.admin)?;
    let (front, _) = saturated(&server, server.http)?;
    let row = |name: &str, times: &[f64]| {
        vec![
            name.to_owned(),
            ms(median(times)),
            ms(percentile(times, 0.99)),
            ms(worst(times)),
        ]
    };
    Ok(Table {
        name: "Readiness under saturation",
        about: format!(
            "{PROBES} times GET /readyz, each on a new connection: on the admin port idle, then on \
             both ports while {CLIENTS} clients send batches of 32 without pause ({served} served \
             meanwhile)."
        ),
        columns: &["", "median ms", "p99 ms", "worst ms"],
        rows: vec![
            row("admin port, idle", &idle),
            row("admin port, saturated", &busy),
            row("front door, saturated", &front),
        ],
        samples: json!({"idle_ms": idle, "saturated_ms": busy, "front_door_ms": front}),
    })
}

/// Probes while the other clients keep every instance busy.
fn saturated(server: &Server, probed: SocketAddr) -> Result<(Vec<f64>, usize)> {
    let shapes = shapes();
    let batch = shapes.last().expect("there are shapes");
    let stop = AtomicBool::new(false);
    let served = AtomicUsize::new(0);
    let times = thread::scope(|scope| {
        let load = || -> Result<()> {
            let mut client = Client::connect(server.http)?;
            while !stop.load(Ordering::Relaxed) {
                client.time(&batch.request)?;
                served.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        };
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(load)).collect();
        // Saturation has set in once somebody was served.
        while served.load(Ordering::Relaxed) == 0 && !clients.iter().any(|c| c.is_finished()) {
            thread::yield_now();
        }
        let times = probe(probed);
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().expect("a client does not panic")?;
        }
        times
    });
    Ok((times?, served.into_inner()))
}

/// As a kubelet does it: a connection for each probe, and its set-up counts.
fn probe(address: SocketAddr) -> Result<Vec<f64>> {
    let request = client::get("/readyz");
    let one = |_| {
        let start = std::time::Instant::now();
        Client::connect(address)?.time(&request)?;
        Ok(start.elapsed().as_secs_f64() * 1e3)
    };
    (0..PROBES).map(one).collect()
}
