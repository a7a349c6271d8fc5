//! Clients that ask without pause.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};

use super::client::Client;
use super::stats::percentile;

pub(super) const LONG: Duration = Duration::from_secs(4);

/// What a number of clients got.
pub(super) struct Served {
    pub(super) times: Vec<f64>,
    took: Duration,
}

impl Served {
    /// Requests a second. Those that were on their way when time was up count, and so does the
    /// time until they were answered.
    pub(super) fn rate(&self) -> f64 {
        self.times.len() as f64 / self.took.as_secs_f64()
    }

    /// Tens of thousands of times say no more than these do.
    pub(super) fn samples(&self) -> Value {
        let at = |share| percentile(&self.times, share);
        json!({
            "per_second": self.rate(),
            "requests": self.times.len(),
            "p50_ms": at(0.5),
            "p95_ms": at(0.95),
            "p99_ms": at(0.99),
        })
    }
}

/// The requests in turn, from so many clients at once.
pub(super) fn serve(address: SocketAddr, requests: &[Vec<u8>], clients: usize) -> Result<Served> {
    let began = Instant::now();
    // Each begins with another request, so that they do not move in step.
    let client = |number: usize| -> Result<Vec<f64>> {
        let mut client = Client::connect(address)?;
        let mut times = Vec::new();
        for request in requests.iter().cycle().skip(number) {
            if began.elapsed() > LONG {
                break;
            }
            times.push(client.time(request)?);
        }
        Ok(times)
    };
    let times = thread::scope(|scope| {
        let running: Vec<_> = (0..clients)
            .map(|number| scope.spawn(move || client(number)))
            .collect();
        let mut times = Vec::new();
        for one in running {
            times.extend(one.join().expect("a client does not panic")?);
        }
        anyhow::Ok(times)
    })?;
    Ok(Served {
        times,
        took: began.elapsed(),
    })
}
