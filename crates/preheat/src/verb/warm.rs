//! `preheat warm`: the start of a replica, proven and reported, without anyone being served.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use preheat_api::ReadinessReport;
use preheat_api::config::LoadMode;
use preheat_core::{Failure, FailureKind, Moment, OnFailure, Phase};
use preheat_runtime::{DrainLimits, Shutdown, Tasks, Urgency};
use preheat_server::{Facts, Replica, Settings};

use super::process;
use crate::cli::WarmArgs;
use crate::exit::{self, staged};
use crate::progress::{self, Progress, is_settled};
use crate::terminal::columns;
use crate::{out, report};

/// What came of a start.
struct Outcome {
    phase: Phase,
    after: Duration,
    report: ReadinessReport,
}

pub fn run(args: &WarmArgs, started: Instant) -> Result<ExitCode, Failure> {
    let effective = process::effective(&args.configured)?;
    let is_shown = process::is_shown(&effective);
    let mut config = effective.config;
    let doors = PrivateDoors::create()?;
    let settings = doors.only(process::settings(&config)?);
    if is_shown {
        config.log.level = progress::log_level();
    }
    let outcome = process::run(&config, async |tasks, shutdown| {
        start(settings, started, tasks, shutdown, is_shown).await
    })?;
    drop(doors);
    show(&outcome, args.json)?;
    match outcome.phase {
        Phase::Ready => Ok(ExitCode::SUCCESS),
        Phase::Failed(failure) => Ok(exit::report(&failure)),
        _ => Err(interrupted()),
    }
}

/// Lives a replica's life as far as ready or failed, and lets it leave at once.
async fn start(
    settings: Settings,
    started: Instant,
    tasks: Tasks,
    shutdown: Shutdown,
    is_shown: bool,
) -> Result<Outcome, Failure> {
    let started = preheat_server::start(settings, started, tasks, shutdown.clone())?;
    let replica = started.replica();
    let (_, outcome) = tokio::join!(started.live(), async {
        let outcome = outcome(&replica, is_shown).await;
        shutdown.request(Urgency::Drain);
        outcome
    });
    Ok(outcome)
}

async fn outcome(replica: &std::sync::Arc<Replica>, is_shown: bool) -> Outcome {
    if is_shown {
        Progress::of(replica.clone()).start().await;
    }
    let mut facts = replica.watch();
    // The replica is held here, so that its facts cannot end before it.
    let _ = facts.wait_for(|facts| is_settled(&facts.phase)).await;
    let (phase, after) = {
        let facts = facts.borrow();
        (facts.phase.clone(), entered_last(&facts).since_start())
    };
    Outcome {
        phase,
        after,
        report: replica.report(true),
    }
}

fn entered_last(facts: &Facts) -> Moment {
    facts.history.last().map_or(Moment::START, |(_, at)| *at)
}

fn show(outcome: &Outcome, json: bool) -> Result<(), Failure> {
    if json {
        return out::json(&report::json(&outcome.report));
    }
    let mut text = report::tables(&outcome.report, columns());
    if outcome.phase == Phase::Ready {
        text += &report::ending(&outcome.report, Some(outcome.after));
    }
    out::print(&text)
}

fn interrupted() -> Failure {
    staged(
        "warm",
        FailureKind::Internal,
        "it was interrupted before the model was ready",
        "start it again",
    )
}

/// Sockets in a directory that only this user may enter: the proof goes through real doors, and
/// nobody else finds them.
struct PrivateDoors(PathBuf);

impl PrivateDoors {
    fn create() -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("preheat-warm-{}", std::process::id()));
        // Left behind by an earlier process of the same number.
        let _ = fs::remove_dir_all(&path);
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => Ok(PrivateDoors(path)),
            Err(error) => Err(staged(
                "warm",
                FailureKind::Internal,
                format!("cannot create {}: {error}", path.display()),
                "set TMPDIR to a directory that may be written",
            )),
        }
    }

    /// The settings of a start that is looked at: these doors, the whole plan, one try, no wait.
    fn only(&self, settings: Settings) -> Settings {
        let mut settings = Settings {
            http: self.door("http"),
            grpc: self.door("grpc"),
            admin: self.door("admin"),
            drain: DrainLimits {
                settle: Duration::ZERO,
                timeout: Duration::from_secs(1),
            },
            ..settings
        };
        settings.model.load = LoadMode::Eager;
        settings.lifecycle.skip_warmup = false;
        settings.lifecycle.on_failure = OnFailure::Hold;
        settings
    }

    fn door(&self, name: &str) -> String {
        let path: &Path = &self.0.join(name);
        format!("unix:{}", path.display())
    }
}

impl Drop for PrivateDoors {
    fn drop(&mut self) {
        // An empty directory under the temporary one harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}
