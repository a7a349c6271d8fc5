//! A model brought here, and the library that it runs on.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use preheat_api::config::OnnxRuntime;
use preheat_core::{Failure, FailureKind, Moment, Phase, Span};
use preheat_engine::source::{self, FetchError, FetchOptions, Fetched, Progress, RuntimeBuild};

use super::spec::{onnx_file, onnx_settings};
use crate::board::{Board, Doing};
use crate::clock::millis;
use crate::human;
use crate::settings::{EngineSettings, ModelSettings};

/// What fetching left here.
#[derive(Debug, Clone)]
pub struct Brought {
    pub(super) fetched: Fetched,
    /// ONNX Runtime, where the model is to run on it.
    pub(super) library: Option<PathBuf>,
}

impl Brought {
    pub(super) fn onnx(&self) -> Option<PathBuf> {
        onnx_file(&self.fetched)
    }
}

/// Brings the model's files here, and the library that they run on.
///
/// # Errors
/// As a failure of the fetching phase.
pub async fn fetch(
    model: &ModelSettings,
    options: &FetchOptions,
    board: &Arc<Board>,
) -> Result<Brought, Failure> {
    let began = board.clock().now();
    if let EngineSettings::Sim(sim) = &model.engine {
        tokio::time::sleep(sim.declared.fetch.0).await;
        board.set(|facts| facts.source = Some("sim".into()));
        fetched_since(began, None, board);
        return Ok(Brought {
            fetched: simulated(),
            library: None,
        });
    }
    let progress = BoardProgress {
        board: Arc::clone(board),
    };
    let fetched = source::fetch(&model.source, options, &progress)
        .await
        .map_err(not_fetched)?;
    let bytes = Some(fetched.bytes_fetched).filter(|_| !fetched.cached);
    let took = fetched_since(began, bytes, board);
    log_fetched(&fetched, took);
    board.set(|facts| {
        facts.source = Some(fetched.source.clone());
        facts.revision = Some(fetched.revision.clone());
        facts.doing = None;
    });
    let mut brought = Brought {
        fetched,
        library: None,
    };
    brought.library = library(model, &brought.fetched, options, &progress).await?;
    board.set(|facts| facts.doing = None);
    Ok(brought)
}

fn fetched_since(began: Moment, bytes: Option<u64>, board: &Board) -> Duration {
    let took = board.clock().now() - began;
    board.span(Span {
        stage: "fetch".into(),
        start: began,
        took,
        bytes,
        cpu: None,
    });
    took
}

/// ONNX Runtime's library, or none where Rust is to do.
async fn library(
    model: &ModelSettings,
    fetched: &Fetched,
    options: &FetchOptions,
    progress: &BoardProgress,
) -> Result<Option<PathBuf>, Failure> {
    match onnx_library(model, fetched, options, progress).await {
        Err(error) if may_do_without(model) => {
            let cause = error.chain();
            tracing::warn!(
                event = "onnx_without_library",
                cause,
                "ONNX Runtime is not to be had, so rten computes: {cause}"
            );
            Ok(None)
        }
        found => found.map_err(not_fetched),
    }
}

fn may_do_without(model: &ModelSettings) -> bool {
    match &model.engine {
        EngineSettings::Onnx(onnx) | EngineSettings::Auto { onnx, .. } => {
            onnx.runtime == OnnxRuntime::Auto && onnx.providers.is_empty()
        }
        _ => true,
    }
}

/// ONNX Runtime's library: where the user says, else from the cache or its package. None for models
/// that do not run on it, and where the user wants Rust to compute.
///
/// # Errors
/// [`FetchError`] where it is not to be had.
pub async fn onnx_library(
    model: &ModelSettings,
    fetched: &Fetched,
    options: &FetchOptions,
    progress: &dyn Progress,
) -> Result<Option<PathBuf>, FetchError> {
    let Some(onnx) = onnx_settings(model, fetched) else {
        return Ok(None);
    };
    match (onnx.runtime, &onnx.library) {
        (OnnxRuntime::Rust, _) => Ok(None),
        (_, Some(path)) => Ok(Some(path.clone())),
        (_, None) => {
            let first = onnx.providers.first();
            let build = first.map_or(RuntimeBuild::Cpu, |provider| provider.build());
            source::onnx_runtime(build, options, progress)
                .await
                .map(Some)
        }
    }
}

fn log_fetched(fetched: &Fetched, took: Duration) {
    let (source, bytes) = (&fetched.source, fetched.bytes_fetched);
    let how = match fetched.cached {
        true => format!("found {source} on this machine"),
        false => format!(
            "fetched {} from {source} in {}",
            human::bytes(bytes),
            human::time(took)
        ),
    };
    let (revision, ms) = (&fetched.revision, millis(took));
    tracing::info!(event = "fetched", source, revision, bytes, ms, "{how}");
}

fn simulated() -> Fetched {
    Fetched {
        dir: PathBuf::new(),
        revision: "sim".into(),
        source: "sim".into(),
        files: Vec::new(),
        bytes_fetched: 0,
        cached: true,
    }
}

fn not_fetched(error: FetchError) -> Failure {
    Failure::new(
        FailureKind::NotFetched,
        &Phase::Fetching,
        error.chain(),
        error.remedy(),
    )
}

/// Shows on the board how far a download is.
struct BoardProgress {
    board: Arc<Board>,
}

impl Progress for BoardProgress {
    fn file(&self, name: &str, total: Option<u64>) {
        let doing = Doing::Fetching {
            file: name.into(),
            done: 0,
            total,
        };
        self.board.set(|facts| facts.doing = Some(doing));
    }

    fn waiting(&self, what: &str) {
        tracing::info!(event = "fetch_waits", "waiting: {what}");
        let what = format!("waiting, as {what}");
        self.board
            .set(|facts| facts.doing = Some(Doing::Waiting { what }));
    }

    fn bytes(&self, so_far: u64) {
        self.board.set(|facts| {
            if let Some(Doing::Fetching { done, .. }) = &mut facts.doing {
                *done = so_far;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    /// It takes as long as another replica's download, and nothing is fetched here meanwhile.
    #[test]
    fn the_wait_for_another_process_is_shown() {
        let board = Board::new(Clock::started_at(std::time::Instant::now()));
        let progress = BoardProgress {
            board: Arc::new(board),
        };
        progress.waiting("another process is fetching m");
        let doing = progress.board.read(|facts| facts.doing.clone());
        let Some(Doing::Waiting { what }) = doing else {
            panic!("{doing:?}")
        };
        assert!(what.contains("another process is fetching m"), "{what}");
        progress.file("config.json", None);
        let doing = progress.board.read(|facts| facts.doing.clone());
        assert!(matches!(doing, Some(Doing::Fetching { .. })), "{doing:?}");
    }
}
