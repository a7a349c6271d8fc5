//! A start whose model and artefacts are on the disk alone, as after a reboot: whoever says words that
//! warm-up did not meet is not to wait for it.

use std::fs::{self, File};
use std::io::IoSliceMut;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use fastrand::Rng;
use rustix::fs::{Advice, fadvise};
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use serde_json::{Value, json};

use super::client::{self, Client};
use super::server::Setup;
use super::startup::until_ok;
use super::stats::{median, worst};
use super::{Table, ms};
use crate::shell;

const TEXTS: usize = 20;
const WORDS: usize = 8;
/// Letters of a word at least: shorter ones may be in the plan.
const LONG: usize = 5;

pub(super) fn run(setup: &Setup, starts: usize) -> Result<Table> {
    let cache = tempfile::tempdir_in(shell::root().join("target"))?;
    until_ok(&setup.start_in(cache.path())?, "/ready")?;
    let words = words(setup.model())?;
    let mut dice = Rng::with_seed(1);
    let (mut memory, mut disk) = (Starts::default(), Starts::default());
    for _ in 0..starts {
        memory.measure(setup, cache.path(), &words, &mut dice)?;
        for folder in [setup.model(), cache.path()] {
            evict(folder)?;
        }
        disk.measure(setup, cache.path(), &words, &mut dice)?;
    }
    Ok(Table {
        name: "From disk",
        about: format!(
            "{starts} starts of each kind in turn, artefacts built: with model and artefacts in the page \
             cache, and with all of their files put out of it, which is checked. On one new connection \
             {TEXTS} requests of {WORDS} words each, drawn from the vocabulary. Medians over the starts."
        ),
        columns: &[
            "",
            "ready ms",
            "first ms",
            "median of the others ms",
            "worst ms",
        ],
        rows: vec![memory.row("in memory"), disk.row("on disk")],
        samples: json!({"memory": memory.samples(), "disk": disk.samples()}),
    })
}

/// Start by start, in milliseconds.
#[derive(Default)]
struct Starts {
    ready: Vec<f64>,
    requests: Vec<Vec<f64>>,
}

impl Starts {
    fn measure(
        &mut self,
        setup: &Setup,
        cache: &Path,
        words: &[String],
        dice: &mut Rng,
    ) -> Result<()> {
        let server = setup.start_in(cache)?;
        self.ready.push(until_ok(&server, "/ready")?);
        let mut client = Client::connect(server.http)?;
        let mut text = || {
            let words = (0..WORDS).filter_map(|_| dice.choice(words));
            words.map(String::as_str).collect::<Vec<_>>().join(" ")
        };
        let asked =
            (0..TEXTS).map(|_| client.time(&client::post("/embed", &json!([text()]).to_string())));
        self.requests.push(asked.collect::<Result<_>>()?);
        Ok(())
    }

    fn row(&self, name: &str) -> Vec<String> {
        let each = |figure: fn(&[f64]) -> f64| {
            let all: Vec<f64> = self.requests.iter().map(|times| figure(times)).collect();
            ms(median(&all))
        };
        vec![
            name.to_owned(),
            ms(median(&self.ready)),
            each(|times| times[0]),
            each(|times| median(&times[1..])),
            each(worst),
        ]
    }

    fn samples(&self) -> Value {
        json!({"ready_ms": self.ready, "requests_ms": self.requests})
    }
}

/// The vocabulary's whole words.
fn words(model: &Path) -> Result<Vec<String>> {
    let path = model.join("tokenizer.json");
    let json: Value = serde_json::from_slice(&fs::read(&path)?)?;
    let vocab = json["model"]["vocab"].as_object();
    let all = vocab
        .with_context(|| format!("no vocabulary in {}", path.display()))?
        .keys();
    let is_word =
        |token: &&String| token.len() >= LONG && token.bytes().all(|b| b.is_ascii_lowercase());
    Ok(all.filter(is_word).cloned().collect())
}

/// Puts all files of a folder out of the page cache.
fn evict(folder: &Path) -> Result<()> {
    for path in files(folder)? {
        let file = File::open(&path)?;
        file.sync_all()?;
        fadvise(&file, 0, None, Advice::DontNeed)?;
        let mut byte = [0];
        let into = &mut [IoSliceMut::new(&mut byte)];
        match preadv2(&file, into, 0, ReadWriteFlags::NOWAIT) {
            Err(Errno::AGAIN) | Ok(0) => {}
            Ok(_) => bail!(
                "{} stays in memory: somebody uses it, or it is on no disk",
                path.display()
            ),
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        }
    }
    Ok(())
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true => all.extend(files(&path)?),
            false => all.push(path),
        }
    }
    Ok(all)
}
