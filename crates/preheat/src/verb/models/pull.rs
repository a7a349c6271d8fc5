//! `preheat models pull`: a model brought into the cache, every byte of it checked, and its artefacts
//! made.

use std::io::{Stderr, stderr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use preheat_core::{Failure, FailureKind};
use preheat_engine::prepare::{ModelSpec, Part, PartState, prepare};
use preheat_engine::source::{self, FetchOptions, Fetched, Progress};
use preheat_runtime::Urgency;
use preheat_server::{Settings, human};

use super::failed;
use crate::cli::Configured;
use crate::exit::staged;
use crate::out::say;
use crate::progress::transfer;
use crate::table::plain;
use crate::terminal::{Block, Line, Look, Mark};
use crate::verb::process;

const STAGE: &str = "models pull";

/// Between two drawings.
const FRAME: Duration = Duration::from_millis(100);

pub fn run(args: &Configured) -> Result<ExitCode, Failure> {
    let (Pulled { settings, fetched }, library) = fetch_to_run(args)?;
    let spec = preheat_server::model_spec(&settings.model, &fetched, library);
    if let Some(spec) = &spec {
        make_artefacts(spec);
    }
    // Other files may lie beside one that was named by its path.
    let place = match &spec {
        Some(ModelSpec::Onnx(spec)) if !fetched.dir.starts_with(&settings.fetch.cache) => {
            &spec.file
        }
        _ => &fetched.dir,
    };
    crate::out::print(&format!("{}\n", place.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// What the first start would make otherwise. A model that this engine cannot load is pulled all the
/// same: it may be meant for another one.
fn make_artefacts(spec: &ModelSpec) {
    let began = Instant::now();
    let parts = match prepare(spec) {
        Ok(parts) => parts,
        Err(error) => return say(&format!("no artefacts: {}", plain(&error.to_string()))),
    };
    say_what_is_not(&parts);
    let is = |state| parts.iter().any(|part| part.state == state);
    if is(PartState::Made) {
        let took = human::time(began.elapsed());
        say(&format!("artefacts for this CPU made in {took}"));
    } else if is(PartState::There) {
        say("artefacts for this CPU were there");
    }
}

/// A line for each thing that every start will have to do without.
pub fn say_what_is_not(parts: &[Part]) {
    for part in parts {
        if let PartState::Not { reason } = &part.state {
            say(&format!("no {}: {}", part.what, plain(reason)));
        }
    }
}

/// A model on this machine, whole, and the settings that asked for it.
pub struct Pulled {
    pub settings: Settings,
    pub fetched: Fetched,
}

pub fn fetch(args: &Configured) -> Result<Pulled, Failure> {
    let (pulled, ()) = fetch_and(args, async |_, _, _| ())?;
    Ok(pulled)
}

/// With the library that it runs on, where that is another one than this program and can be had.
pub fn fetch_to_run(args: &Configured) -> Result<(Pulled, Option<PathBuf>), Failure> {
    let library = async |settings: &Settings, fetched: &Fetched, progress: &Pull| {
        let (model, options) = (&settings.model, &settings.fetch);
        preheat_server::onnx_library(model, fetched, options, progress).await
    };
    let (pulled, library) = fetch_and(args, library)?;
    let library = library.unwrap_or_else(|error| {
        let (cause, remedy) = (plain(&error.chain()), plain(&error.remedy()));
        say(&format!(
            "no optimised graph, as ONNX Runtime is not at hand: {cause}; what to do: {remedy}"
        ));
        None
    });
    Ok((pulled, library))
}

/// `more` is brought in the same run, and shown in the same place.
fn fetch_and<T>(
    args: &Configured,
    more: impl AsyncFnOnce(&Settings, &Fetched, &Pull) -> T,
) -> Result<(Pulled, T), Failure> {
    let effective = process::effective(args)?;
    let is_shown = process::is_shown(&effective);
    let mut config = effective.config;
    let settings = process::settings(&config)?;
    if !effective.origins.contains_key("log.level") {
        config.log.level = "warn".into();
    }
    let began = Instant::now();
    let progress = Pull::new(is_shown);
    let bring = async || {
        let fetched = source::fetch(&settings.model.source, &settings.fetch, &progress)
            .await
            .map_err(|error| failed(STAGE, &error))?;
        let took = began.elapsed();
        let more = more(&settings, &fetched, &progress).await;
        Ok((fetched, took, more))
    };
    let brought = process::run(&config, async |_, shutdown| {
        tokio::select! {
            brought = bring() => brought,
            () = shutdown.reached(Urgency::Drain) => Err(interrupted()),
        }
    });
    progress.finish(brought.is_ok());
    let (fetched, took, more) = brought?;
    check(&fetched, &settings.fetch)?;
    say_how(&fetched, took);
    Ok((Pulled { settings, fetched }, more))
}

fn say_how(fetched: &Fetched, took: Duration) {
    let (source, revision) = (plain(&fetched.source), &fetched.revision);
    let how = match fetched.cached {
        true => "was there, and is whole".into(),
        false => format!(
            "{} in {}",
            human::bytes(fetched.bytes_fetched),
            human::time(took)
        ),
    };
    say(&format!("{source}: {how}; revision {revision}"));
}

/// What came over the network was checked on its way; what was in the cache is read again.
fn check(fetched: &Fetched, options: &FetchOptions) -> Result<(), Failure> {
    if !fetched.cached || !fetched.dir.starts_with(&options.cache) {
        return Ok(());
    }
    source::verify(&fetched.dir).map_err(|error| {
        let key = fetched.dir.file_name().unwrap_or_default();
        let remedy = format!(
            "remove it with `preheat models rm {}` and pull it again",
            key.to_string_lossy()
        );
        staged(STAGE, FailureKind::NotFetched, error.chain(), remedy)
    })
}

fn interrupted() -> Failure {
    staged(
        STAGE,
        FailureKind::NotFetched,
        "it was interrupted",
        "pull it again: what has arrived is kept and the transfer goes on from there",
    )
}

/// Shows a fetch: bars on a terminal, else a line for each file.
struct Pull(Mutex<State>);

struct State {
    block: Option<Block<Stderr>>,
    /// What was done before the current file.
    above: Vec<Line>,
    /// Which of these lines is the source that is being tried.
    source: Option<usize>,
    file: Option<File>,
    drawn: Option<Instant>,
}

struct File {
    name: String,
    done: u64,
    total: Option<u64>,
}

impl Pull {
    fn new(is_shown: bool) -> Self {
        Pull(Mutex::new(State {
            block: is_shown.then(|| Block::new(stderr(), Look::here())),
            above: Vec::new(),
            source: None,
            file: None,
            drawn: None,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finish(&self, is_done: bool) {
        let mut state = self.state();
        state.source_over(if is_done { Mark::Done } else { Mark::Failed });
        if is_done {
            state.file_done();
        }
        let lines = state.lines();
        if let Some(block) = &mut state.block {
            block.leave(&lines);
        }
    }
}

impl State {
    /// A line that stays.
    fn line(&mut self, mark: Mark, text: String) {
        match self.block {
            Some(_) => {
                let mark = Some(mark);
                self.above.push(Line { mark, text });
            }
            None => say(&text),
        }
    }

    fn source_over(&mut self, mark: Mark) {
        if let Some(line) = self.source.take().and_then(|at| self.above.get_mut(at)) {
            line.mark = Some(mark);
        }
    }

    fn file_done(&mut self) {
        if let (Some(file), Some(_)) = (self.file.take(), &self.block) {
            let text = format!("{}  {}", plain(&file.name), human::bytes(file.done));
            self.line(Mark::Done, text);
        }
    }

    fn lines(&self) -> Vec<Line> {
        let mut lines = self.above.clone();
        if let (Some(file), Some(block)) = (&self.file, &self.block) {
            let is_whole = file.total.is_some_and(|total| file.done >= total);
            let text = match is_whole {
                true => format!("{}  {}", plain(&file.name), human::bytes(file.done)),
                false => transfer(&plain(&file.name), file.done, file.total, block.look()),
            };
            let mark = Some(if is_whole { Mark::Done } else { Mark::Now });
            lines.push(Line { mark, text });
        }
        lines
    }

    fn draw(&mut self) {
        if self.drawn.is_some_and(|at| at.elapsed() < FRAME) {
            return;
        }
        let lines = self.lines();
        if let Some(block) = &mut self.block {
            block.draw(&lines);
            self.drawn = Some(Instant::now());
        }
    }
}

impl Progress for Pull {
    fn source(&self, source: &str) {
        let mut state = self.state();
        state.source_over(Mark::Failed);
        state.file_done();
        state.source = Some(state.above.len());
        state.line(Mark::Now, format!("fetching {}", plain(source)));
        state.draw();
    }

    fn file(&self, name: &str, total: Option<u64>) {
        let mut state = self.state();
        state.file_done();
        if state.block.is_none() {
            let size = total.map_or(String::new(), |total| format!(", {}", human::bytes(total)));
            say(&format!("fetching {}{size}", plain(name)));
        }
        state.file = Some(File {
            name: name.to_owned(),
            done: 0,
            total,
        });
        state.draw();
    }

    fn bytes(&self, done: u64) {
        let mut state = self.state();
        if let Some(file) = &mut state.file {
            file.done = done;
        }
        state.draw();
    }

    fn waiting(&self, what: &str) {
        let mut state = self.state();
        state.line(Mark::Now, format!("waiting for {}", plain(what)));
        state.draw();
    }
}
