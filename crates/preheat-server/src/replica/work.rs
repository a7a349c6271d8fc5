//! The real work behind a lifecycle: what a model of ours and somebody else's server have in common.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use preheat_core::proof::Verdict;
use preheat_core::{Failure, Lifecycle, Pass, Phase, Span, Warmth};
use preheat_runtime::{Drain, Tasks, Urgency};
use tokio::sync::mpsc;

use super::model_work::ModelWork;
use super::{LIFECYCLE, Replica, upkeep};
use crate::board::Doing;
use crate::clock::millis;
use crate::door::Doors;
use crate::human;
use crate::lifecycle::Work;
use crate::load;
use crate::report::summary;
use crate::settings::EngineSettings;
use crate::wrapped::keep;
use crate::wrapped::work::ServerWork;

pub(super) struct ReplicaWork {
    replica: Arc<Replica>,
    drain: Arc<Drain>,
    tasks: Tasks,
    subject: Subject,
    /// Attempts at the present proof.
    attempts: AtomicUsize,
}

/// What is warmed and proven.
enum Subject {
    Model(Arc<ModelWork>),
    Server(Arc<ServerWork>),
}

impl ReplicaWork {
    pub(super) fn new(
        replica: Arc<Replica>,
        doors: Doors,
        drain: Arc<Drain>,
        tasks: Tasks,
    ) -> Self {
        let own = Arc::clone(&replica);
        let subject = match &replica.wrapped {
            Some(wrapped) => {
                Subject::Server(Arc::new(ServerWork::new(Arc::clone(wrapped), own, doors)))
            }
            None => Subject::Model(Arc::new(ModelWork::new(own, doors, tasks.clone()))),
        };
        ReplicaWork {
            replica,
            drain,
            tasks,
            subject,
            attempts: AtomicUsize::new(0),
        }
    }

    /// Begins what goes on beside the lifecycle: loads that are ordered, and the upkeep of warmth.
    pub(super) fn begin(&self, orders: mpsc::Receiver<load::Order>) {
        match &self.subject {
            Subject::Model(model) => {
                let target = Arc::clone(model);
                let serving = load::serve(orders, self.tasks.clone(), move || target.to_load());
                self.tasks.spawn("synthetic load", serving);
                upkeep::begin(model);
            }
            Subject::Server(server) => {
                let target = Arc::clone(server);
                let serving = load::serve(orders, self.tasks.clone(), move || target.to_load());
                self.tasks.spawn("synthetic load", serving);
                keep::begin(server, &self.replica);
            }
        }
    }
}

impl Work for ReplicaWork {
    async fn wanted(&self) {
        self.replica.service.wanted().await;
    }

    async fn fetch(&self) -> Result<(), Failure> {
        match &self.subject {
            Subject::Model(model) => model.fetch().await,
            Subject::Server(server) => {
                server.fetch();
                Ok(())
            }
        }
    }

    async fn load(&self) -> Result<(), Failure> {
        self.attempts.store(0, Ordering::Relaxed);
        match &self.subject {
            Subject::Model(model) => model.load().await,
            Subject::Server(server) => server.load().await,
        }
    }

    async fn warm(&self) -> Result<(), Failure> {
        match &self.subject {
            Subject::Model(model) => model.warm().await,
            Subject::Server(server) => server.warm().await,
        }
    }

    fn obstacle(&self) -> Option<String> {
        match &self.subject {
            Subject::Model(_) => None,
            Subject::Server(server) => server.obstacle(),
        }
    }

    async fn prove(&self) -> Result<Verdict, Failure> {
        // What is proven is how it will serve.
        preheat_runtime::priority::catch_up();
        let board = &self.replica.board;
        let number = self.attempts.fetch_add(1, Ordering::Relaxed) + 1;
        board.set(|facts| facts.doing = Some(Doing::Attempt { number }));
        let began = board.clock().now();
        let verdict = match &self.subject {
            Subject::Model(model) => model.attempt().await?,
            Subject::Server(server) => server.attempt().await?,
        };
        let now = board.clock().now();
        let took = now - began;
        board.span(Span {
            stage: "prove".into(),
            start: began,
            took,
            bytes: None,
            cpu: None,
        });
        if verdict.checks.is_empty() {
            return Ok(verdict);
        }
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
        let proven = match &self.subject {
            Subject::Model(model) if pass.warmth() != Warmth::Skipped => Some(model),
            _ => None,
        };
        self.replica.service.gate.open(pass);
        if let Some(model) = proven {
            model.rehearse();
        }
        self.replica
            .board
            .read(|facts| self.replica.metrics.warmup(&facts.warmup));
        if let Some(model) = proven {
            model.warm_the_rest();
        }
        if self.replica.board.read(|facts| facts.phase == Phase::Ready) {
            self.replica.board.proven_again();
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
        if let Subject::Server(server) = &self.subject {
            // Nobody is answered any more, so it has nothing left to do.
            tokio::select! {
                () = server.end() => {}
                () = self.replica.shutdown.reached(Urgency::Stop) => server.kill().await,
            }
        }
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
            if let Subject::Server(server) = &self.subject {
                let wrapped = Arc::clone(server.wrapped());
                self.tasks
                    .spawn("end server", async move { wrapped.end().await });
            }
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
            let model_of_ours = &replica.settings.model;
            let source = match (&replica.wrapped, &model_of_ours.engine) {
                (Some(wrapped), _) => wrapped.to_string(),
                (None, EngineSettings::Sim(_)) => "sim".into(),
                (None, _) => model_of_ours.source.to_string(),
            };
            tracing::info!(
                target: LIFECYCLE, event = "phase", model, phase, ms, source, "fetching {source}"
            );
        }
        _ => tracing::info!(target: LIFECYCLE, event = "phase", model, phase, ms, "{phase}"),
    }
}
