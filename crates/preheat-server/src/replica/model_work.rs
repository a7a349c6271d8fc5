//! What the lifecycle does with a model of ours: fetch, load, warm it, gather the evidence.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use preheat_api::config::LoadMode;
use preheat_core::proof::{Outcome, Verdict};
use preheat_core::warmup::{CaseReport, Path, RoundPolicy};
use preheat_core::{Failure, FailureKind, Phase};
use preheat_runtime::Tasks;

use super::Replica;
use crate::door::Doors;
use crate::lifecycle::Command;
use crate::load::ModelTarget;
use crate::model::{self, Brought, Loaded};
use crate::plan::{self, Ready};
use crate::prove::{PATHS, Prover, Trouble};
use crate::rehearse;
use crate::warm;

pub(super) struct ModelWork {
    pub(super) replica: Arc<Replica>,
    doors: Doors,
    pub(super) tasks: Tasks,
    found: Arc<Mutex<Found>>,
}

/// Texts of our own for the concurrency check.
const DISTINCT_TEXTS: usize = 4;

/// A crowd in front of the doors is given this long to pass.
const AFTER_DISTURBANCE: Duration = Duration::from_millis(100);

/// What one stage leaves for the next.
#[derive(Default)]
struct Found {
    fetched: Option<Brought>,
    /// Run before ready.
    cases: Vec<Ready>,
    /// Run right after, where the model is loaded in a balanced way.
    later: Vec<Ready>,
}

impl ModelWork {
    pub(super) fn new(replica: Arc<Replica>, doors: Doors, tasks: Tasks) -> Self {
        ModelWork {
            replica,
            doors,
            tasks,
            found: Arc::default(),
        }
    }

    pub(super) async fn fetch(&self) -> Result<(), Failure> {
        let settings = &self.replica.settings;
        let fetched = model::fetch(&settings.model, &settings.fetch, &self.replica.board).await?;
        self.found().fetched = Some(fetched);
        Ok(())
    }

    pub(super) async fn load(&self) -> Result<(), Failure> {
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
        let (cases, notes) = plan::ready(&replica.settings.model, &loaded).map_err(|cause| {
            let remedy = "correct the warm-up plan";
            Failure::new(FailureKind::Warmup, &Phase::Loading, cause, remedy)
        })?;
        let max_body = replica.settings.max_body;
        if let Some(case) = cases.iter().find(|c| c.sample.row_bytes() > room(max_body)) {
            return Err(too_large(case, max_body));
        }
        let (cases, later) = self.split(cases);
        let mut notes = notes;
        if !later.is_empty() {
            notes.push(format!("{} cases follow after ready", later.len()));
        }
        replica.board.set(|facts| {
            facts.warmup.notes = notes;
            facts.planned_runs = cases.len() * (loaded.instances.count() + PATHS.len());
        });
        replica.service.install(Some(loaded));
        let mut found = self.found();
        (found.cases, found.later) = (cases, later);
        Ok(())
    }

    pub(super) async fn warm(&self) -> Result<(), Failure> {
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

    /// From the proof to the first user.
    pub(super) fn rehearse(&self) {
        let Some(smallest) = self.through_the_door().into_iter().next() else {
            return;
        };
        let steady = self.replica.board.read(|facts| {
            let same = |c: &&CaseReport| c.name == smallest.case.name && c.path == Path::Http;
            facts.warmup.cases.iter().find(same).map(CaseReport::steady)
        });
        if let Some(takes) = steady {
            let service = &self.replica.service;
            rehearse::until_first_user(&self.doors, smallest.sample, takes, service);
        }
    }

    /// The cases that were warmed before ready.
    pub(super) fn cases(&self) -> Vec<Ready> {
        self.found().cases.clone()
    }

    /// From now on the plan has this case too.
    pub(super) fn adopt_case(&self, case: Ready) {
        self.found().cases.push(case);
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        lock(&self.found)
    }

    pub(super) fn policy(&self, loaded: &Loaded) -> RoundPolicy {
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

    /// What is found wrong here is found late, and closes the gate all the same.
    pub(super) fn warm_the_rest(&self) {
        let mut later = std::mem::take(&mut self.found().later);
        let Ok(loaded) = self.loaded() else { return };
        if later.is_empty() {
            return;
        }
        let (replica, found) = (Arc::clone(&self.replica), Arc::clone(&self.found));
        let policy = self.policy(&loaded);
        self.tasks.spawn("warm the rest", async move {
            match warm::run(&mut later, &loaded, policy, &replica.board).await {
                Ok(()) => {
                    tracing::info!(event = "warmed_rest", "the rest of the plan is warm");
                    replica
                        .board
                        .read(|facts| replica.metrics.warmup(&facts.warmup));
                    lock(&found).cases.append(&mut later);
                }
                Err(failure) => {
                    // Full only if others ask for a re-warm all the time; that finds it too.
                    let _ = replica.commands.try_send(Command::Fail(failure));
                }
            }
        });
    }

    /// Cases that had not settled on an instance get a fresh chance.
    async fn warm_unsettled(&self, loaded: &Loaded) -> Result<(), Failure> {
        let board = &self.replica.board;
        let unsettled = |report: &CaseReport| {
            let instance = report.instance.filter(|_| !report.settled)?;
            Some((report.name.clone(), instance))
        };
        let again: Vec<_> =
            board.read(|facts| facts.warmup.cases.iter().filter_map(unsettled).collect());
        let cases = self.found().cases.clone();
        for (name, instance) in again {
            for ready in cases.iter().filter(|ready| ready.case.name == name) {
                warm::case(
                    &mut ready.clone(),
                    instance,
                    loaded,
                    self.policy(loaded),
                    board,
                )
                .await?;
            }
        }
        Ok(())
    }

    /// The cases as a client may send them.
    fn through_the_door(&self) -> Vec<Ready> {
        let settings = &self.replica.settings;
        let largest = settings.limits.client_batch;
        let through = |case: &Ready| {
            let bytes = case.sample.row_bytes().max(1);
            case.cut(largest.min(room(settings.max_body) / bytes).max(1))
        };
        self.found().cases.iter().map(through).collect()
    }

    /// What a load is made of while users are served.
    pub(super) fn to_load(&self) -> Option<ModelTarget> {
        let service = &self.replica.service;
        let loaded = service.loaded().filter(|_| service.gate.is_open())?;
        // The smallest: what most users send, and what the proof's steady time is of.
        let mut cases = self.through_the_door();
        cases.truncate(1);
        let doors = self.doors.clone();
        Some(ModelTarget {
            doors,
            cases,
            loaded,
        })
    }

    /// One attempt; what disturbed it says nothing about the replica.
    pub(super) async fn attempt(&self) -> Result<Verdict, Failure> {
        let loaded = &self.loaded()?;
        self.warm_unsettled(loaded).await?;
        let settings = &self.replica.settings;
        let cases = self.through_the_door();
        let rows = settings.limits.client_batch.min(DISTINCT_TEXTS);
        let prover = Prover {
            doors: &self.doors,
            cases: &cases,
            loaded,
            policy: self.policy(loaded),
            criteria: &settings.criteria,
            load: settings.load,
            distinct: plan::distinct(loaded, rows),
            board: &self.replica.board,
        };
        match prover.evidence(|| self.replica.memory()).await {
            Ok(evidence) => {
                let now = self.replica.board.clock().now();
                Ok(settings.criteria.judge(&evidence, now))
            }
            Err(Trouble::Wrong(failure)) => Err(failure),
            Err(Trouble::Disturbed(failure)) => {
                tracing::warn!(event = "proof_disturbed", %failure, "measuring again");
                tokio::time::sleep(AFTER_DISTURBANCE).await;
                let outcome = Outcome::Again(Box::new(Outcome::Failed(failure)));
                let checks = Vec::new();
                Ok(Verdict { checks, outcome })
            }
        }
    }
}

/// What a body leaves for tensors, beside their description.
fn room(max_body: usize) -> usize {
    max_body.saturating_sub(4096)
}

/// A user could not send what the plan says, so nothing could be proven.
fn too_large(case: &Ready, max_body: usize) -> Failure {
    let (name, bytes) = (&case.case.name, case.sample.row_bytes());
    Failure::new(
        FailureKind::Configuration,
        &Phase::Loading,
        format!("case {name}: one row takes {bytes} bytes, server.max_body is {max_body}"),
        "raise server.max_body",
    )
}

fn lock(found: &Mutex<Found>) -> MutexGuard<'_, Found> {
    found.lock().unwrap_or_else(PoisonError::into_inner)
}
