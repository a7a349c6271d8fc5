//! The real work behind a lifecycle.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use preheat_api::config::LoadMode;
use preheat_core::proof::Verdict;
use preheat_core::warmup::RoundPolicy;
use preheat_core::{Failure, FailureKind, Lifecycle, Pass, Phase, Span, Warmth};
use preheat_engine::source::Fetched;
use preheat_runtime::{Drain, Tasks};

use super::{LIFECYCLE, Replica};
use crate::board::Doing;
use crate::clock::millis;
use crate::door::Doors;
use crate::human;
use crate::lifecycle::Work;
use crate::model::{self, Loaded};
use crate::plan::{self, Ready};
use crate::prove::{PATHS, Prover};
use crate::report::summary;
use crate::warm;

pub(super) struct ReplicaWork {
    replica: Arc<Replica>,
    doors: Doors,
    drain: Arc<Drain>,
    tasks: Tasks,
    found: Mutex<Found>,
}

/// What one stage leaves for the next.
#[derive(Default)]
struct Found {
    fetched: Option<Fetched>,
    /// Run before ready.
    cases: Vec<Ready>,
    /// Run right after, where the model is loaded in a balanced way.
    later: Vec<Ready>,
    attempts: usize,
}

impl ReplicaWork {
    pub(super) fn new(
        replica: Arc<Replica>,
        doors: Doors,
        drain: Arc<Drain>,
        tasks: Tasks,
    ) -> Self {
        ReplicaWork {
            replica,
            doors,
            drain,
            tasks,
            found: Mutex::default(),
        }
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn policy(&self, loaded: &Loaded) -> RoundPolicy {
        self.replica
            .settings
            .rounds
            .for_engine(loaded.info.shape_state)
    }

    fn loaded(&self) -> Result<Loaded, Failure> {
        self.replica.service.loaded().ok_or_else(|| {
            let remedy = "report it with the log";
            Failure::new(
                FailureKind::Internal,
                &Phase::Warming,
                "no model is loaded",
                remedy,
            )
        })
    }

    /// Balanced: the smallest and the largest case bound the rest, which follow after ready.
    fn split(&self, mut cases: Vec<Ready>) -> (Vec<Ready>, Vec<Ready>) {
        if self.replica.settings.model.load != LoadMode::Balanced || cases.len() < 3 {
            return (cases, Vec::new());
        }
        let last = cases.split_off(cases.len() - 1);
        let later = cases.split_off(1);
        cases.extend(last);
        (cases, later)
    }

    fn warm_the_rest(&self) {
        let mut later = std::mem::take(&mut self.found().later);
        let Ok(loaded) = self.loaded() else { return };
        if later.is_empty() {
            return;
        }
        let (policy, board) = (self.policy(&loaded), Arc::clone(&self.replica.board));
        self.tasks.spawn("warm the rest", async move {
            match warm::run(&mut later, &loaded, policy, &board).await {
                Ok(()) => tracing::info!(event = "warmed_rest", "the rest of the plan is warm"),
                Err(failure) => {
                    tracing::error!(event = "warm_rest_failed", %failure, "a rare shape stays cold")
                }
            }
        });
    }
}

impl Work for ReplicaWork {
    async fn wanted(&self) {
        self.replica.service.wanted().await;
    }

    async fn fetch(&self) -> Result<(), Failure> {
        let settings = &self.replica.settings;
        let fetched = model::fetch(&settings.model, &settings.fetch, &self.replica.board).await?;
        self.found().fetched = Some(fetched);
        Ok(())
    }

    async fn load(&self) -> Result<(), Failure> {
        let replica = Arc::clone(&self.replica);
        let fetched = self.found().fetched.clone();
        let tasks = self.tasks.clone();
        let job = self.tasks.spawn_blocking("load model", move || {
            let missing = || {
                let remedy = "report it with the log";
                Failure::new(
                    FailureKind::Internal,
                    &Phase::Loading,
                    "nothing was fetched",
                    remedy,
                )
            };
            let model = &replica.settings.model;
            let fetched = fetched.ok_or_else(missing)?;
            let parts = model::load(model, &fetched, &replica.board)?;
            Ok((parts, replica))
        });
        let panicked = |_| {
            let cause = "loading ended in a panic";
            let remedy = "fetch the model again; if that does not help, report it";
            Failure::new(FailureKind::Load, &Phase::Loading, cause, remedy)
        };
        let (parts, replica) = job.await.map_err(panicked)??;
        let clock = replica.board.clock();
        let loaded = parts.start(&replica.settings.model, &replica.metrics, clock, &tasks)?;
        let client_batch = replica.settings.limits.client_batch;
        let (cases, notes) =
            plan::ready(&replica.settings.model, &loaded, client_batch).map_err(|cause| {
                let remedy = "correct the warm-up plan";
                Failure::new(FailureKind::Warmup, &Phase::Loading, cause, remedy)
            })?;
        let (cases, later) = self.split(cases);
        replica.board.set(|facts| {
            facts.warmup.notes = notes;
            facts.planned_runs = cases.len() * (loaded.instances.count() + PATHS.len());
        });
        replica.service.install(Some(loaded));
        let mut found = self.found();
        (found.cases, found.later, found.attempts) = (cases, later, 0);
        Ok(())
    }

    async fn warm(&self) -> Result<(), Failure> {
        let loaded = self.loaded()?;
        let mut cases = self.found().cases.clone();
        warm::run(
            &mut cases,
            &loaded,
            self.policy(&loaded),
            &self.replica.board,
        )
        .await?;
        self.found().cases = cases;
        Ok(())
    }

    async fn prove(&self, last_call: bool) -> Result<Verdict, Failure> {
        let board = &self.replica.board;
        let loaded = self.loaded()?;
        let cases = self.found().cases.clone();
        let number = {
            let mut found = self.found();
            found.attempts += 1;
            found.attempts
        };
        board.set(|facts| facts.doing = Some(Doing::Attempt { number }));
        let began = board.clock().now();
        let prover = Prover {
            doors: &self.doors,
            cases: &cases,
            loaded: &loaded,
            policy: self.policy(&loaded),
            load: self.replica.settings.load,
            board,
        };
        let evidence = prover.evidence(|| self.replica.memory()).await?;
        let now = board.clock().now();
        let verdict = self
            .replica
            .settings
            .criteria
            .judge(&evidence, last_call, now);
        let took = now - began;
        board.span(Span {
            stage: "prove".into(),
            start: began,
            took,
            bytes: None,
            cpu: None,
        });
        board.judged(&verdict.checks);
        let held = verdict.checks.iter().filter(|check| check.ok).count();
        tracing::info!(
            event = "attempt",
            attempt = number,
            ms = millis(took),
            "proof, attempt {number}: {held} of {} checks hold after {}",
            verdict.checks.len(),
            human::time(took)
        );
        for missed in verdict.checks.iter().filter(|check| !check.ok) {
            self.replica.metrics.proof_failure(missed.id.name());
            tracing::info!(
                event = "check_missed",
                check = missed.id.name(),
                what = missed.what,
                value = missed.value,
                limit = missed.limit,
                attempt = number,
                "not proven: {}: {}, limit {}",
                missed.what,
                missed.value,
                missed.limit
            );
        }
        Ok(verdict)
    }

    fn open(&self, pass: Pass) {
        let shared = Arc::new(pass.clone());
        self.replica.board.set(|facts| {
            facts.pass = Some(shared);
            facts.saved.get_or_insert(facts.warmup.saved());
        });
        let skipped = pass.warmth() == Warmth::Skipped;
        self.replica.service.gate.open(pass);
        self.replica
            .board
            .read(|facts| self.replica.metrics.warmup(&facts.warmup));
        if !skipped {
            self.warm_the_rest();
        }
    }

    fn close(&self) {
        self.replica.service.gate.close();
        self.replica.board.set(|facts| facts.pass = None);
    }

    async fn drain(&self) -> usize {
        let report = self
            .drain
            .run(self.replica.settings.drain, &self.replica.shutdown)
            .await;
        self.replica.metrics.drain_cut(report.cut);
        self.replica.service.gate.close();
        if report.cut > 0 {
            tracing::error!(
                event = "drain_cut",
                requests = report.cut,
                "requests were cut"
            );
        }
        report.cut
    }

    fn entered(&self, life: &Lifecycle) {
        let (board, metrics) = (&self.replica.board, &self.replica.metrics);
        board.enter(life.phase(), life.probes(), life.history());
        metrics.phase(life.phase());
        if matches!(life.phase(), Phase::Failed(_)) {
            // Another try must find the memory that this one took.
            self.replica.service.install(None);
        }
        board.read(|facts| {
            for span in facts.waterfall.spans() {
                metrics.stage(&span.stage, span.took);
            }
        });
        log(life, &self.replica);
    }
}

/// One line for each phase; what a phase found out is logged where it is found.
fn log(life: &Lifecycle, replica: &Replica) {
    let after = replica.now().since_start();
    let (model, phase) = (replica.service.name.as_str(), life.phase().name());
    let ms = millis(after);
    match life.phase() {
        Phase::Failed(failure) => tracing::error!(
            target: LIFECYCLE,
            event = "failed",
            model,
            phase,
            ms,
            stage = failure.stage,
            cause = failure.cause,
            remedy = failure.remedy,
            exit_code = failure.kind.exit_code(),
            "{failure}"
        ),
        Phase::Ready => {
            replica.metrics.time_to_ready(after);
            let report = replica.report(false);
            let proof = report.models.first().map(|m| m.proof.clone());
            tracing::info!(
                target: LIFECYCLE,
                event = "ready",
                model,
                phase,
                ms,
                warmup_seconds = report.warmup_seconds,
                first_request_ms = proof.as_ref().and_then(|p| p.first_request_ms),
                steady_ms = proof.as_ref().and_then(|p| p.steady_ms),
                saved_ms = proof.as_ref().map(|p| p.saved_ms),
                "{}",
                summary(&report, Some(after))
            );
        }
        Phase::Fetching => {
            let source = replica.settings.model.source.to_string();
            tracing::info!(
                target: LIFECYCLE, event = "phase", model, phase, ms, source, "fetching {source}"
            );
        }
        _ => tracing::info!(target: LIFECYCLE, event = "phase", model, phase, ms, "{phase}"),
    }
}
