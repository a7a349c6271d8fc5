//! From zero to the first answer: what a held request waits beyond its replica's own start.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::client::{self, Client};
use super::fleet::Gateway;
use super::server::Setup;
use super::stats::{median, worst};
use super::{Table, ms};

pub(super) fn run(setup: &Setup, starts: usize) -> Result<Table> {
    let mut answers = Vec::new();
    let mut own = Vec::new();
    let mut beyond = Vec::new();
    for _ in 0..starts {
        let (answer, proven) = measure(setup)?;
        answers.push(answer);
        own.push(proven);
        beyond.push(answer - proven);
    }
    let row =
        |name: &str, times: &[f64]| vec![name.to_owned(), ms(median(times)), ms(worst(times))];
    Ok(Table {
        name: "From zero",
        about: format!(
            "{starts} times: a gateway with no replica of the default model gets one request, which \
             is held until a replica has been started, warmed and proven. Its own start: from its \
             exec to its proof, by its passport."
        ),
        columns: &["", "median ms", "worst ms"],
        rows: vec![
            row("first answer", &answers),
            row("the replica's own start", &own),
            row("beyond it", &beyond),
        ],
        samples: json!({"answer_ms": answers, "own_ms": own}),
    })
}

/// The time of the first answer, and that of the replica's proof.
fn measure(setup: &Setup) -> Result<(f64, f64)> {
    let folder = tempfile::Builder::new().prefix("ph").tempdir_in("/tmp")?;
    let dir = folder.path().join("run");
    let config = format!(
        "[fleet]\nscale_to_zero = true\ndir = '{}'\n[[model]]\nname = \"embedder\"\nsource = '{}'\n",
        dir.display(),
        setup.model().display()
    );
    let gateway = Gateway::start(setup.binary(), folder.path(), &config)?;
    // Whatever the gateway did to come up is over.
    thread::sleep(Duration::from_millis(200));
    let mut client = Client::connect(gateway.http)?;
    let answer = client.time(&client::post("/embed", r#"["a short text"]"#))?;
    let mut admin = Client::connect_unix(&dir.join("0/r1/admin"))?;
    admin.time(&client::get("/v1/replica"))?;
    let passport: Value = serde_json::from_slice(admin.body())?;
    let phases = passport["phases"].as_array().context("no phases")?;
    let ready = phases.iter().find(|phase| phase["phase"] == "ready");
    let ready = ready.and_then(|phase| phase["at_ms"].as_f64());
    Ok((answer, ready.context("never ready")?))
}
