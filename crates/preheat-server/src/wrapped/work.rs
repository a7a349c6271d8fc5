//! What the lifecycle does with a wrapped server: start it, warm it, gather the evidence.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use preheat_core::proof::{MemoryEvidence, Outcome, Verdict};
use preheat_core::warmup::{CaseReport, OutputFacts, Path, RoundPolicy, Rounds};
use preheat_core::{Failure, FailureKind, Phase, Span};
use preheat_engine::{EngineInfo, Signature};
use preheat_runtime::memory;
use tokio::time::sleep;

use super::ask::{Answered, Chosen, Problem};
use super::prove::{Prover, ServerTarget};
use super::{Running, Wrapped, start};
use crate::board::{Board, Doing};
use crate::door::{Doors, HttpConnection};
use crate::exchange::Exchange;
use crate::prove::Trouble;
use crate::replica::Replica;
use crate::warm;

/// Between two tries of a request that was never answered rightly.
const PAUSE: Duration = Duration::from_millis(50);

/// A crowd in front of the doors is given this long to pass.
const AFTER_DISTURBANCE: Duration = Duration::from_millis(100);

pub struct ServerWork {
    wrapped: Arc<Wrapped>,
    replica: Arc<Replica>,
    /// Our own front doors.
    doors: Doors,
    found: Mutex<Found>,
}

/// What one stage leaves for the next.
#[derive(Default)]
struct Found {
    said: String,
    chosen: Vec<Chosen>,
    /// Why a warm-up that does not end has not ended.
    obstacle: Option<String>,
}

impl ServerWork {
    pub fn new(wrapped: Arc<Wrapped>, replica: Arc<Replica>, doors: Doors) -> Self {
        ServerWork {
            wrapped,
            replica,
            doors,
            found: Mutex::default(),
        }
    }

    fn found(&self) -> std::sync::MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[must_use]
    pub fn obstacle(&self) -> Option<String> {
        self.found().obstacle.clone()
    }

    pub fn fetch(&self) {
        let source = self.wrapped.to_string();
        self.replica.board.set(|facts| facts.source = Some(source));
    }

    /// Until the server says that it is ready.
    pub async fn load(&self) -> Result<(), Failure> {
        self.wrapped.end().await;
        let board = &self.replica.board;
        let running = start::start(&self.wrapped, &self.replica).await?;
        let doors = self.straight()?;
        let said = start::ready(&self.wrapped, &running, &doors, board).await?;
        tracing::info!(
            event = "server_ready",
            said,
            "the server says that it is ready: {said}"
        );
        board.set(|facts| {
            facts.engine = Some(info());
            // Straight to the server, and through our door.
            facts.planned_runs = self.wrapped.settings.exchanges.len() * 2;
        });
        *self.found() = Found {
            said,
            ..Found::default()
        };
        Ok(())
    }

    /// Every case straight to the server, until its latency has settled.
    pub async fn warm(&self) -> Result<(), Failure> {
        let doors = self.straight()?;
        let board = &self.replica.board;
        let exchanges = &self.wrapped.settings.exchanges;
        let mut all = Vec::with_capacity(exchanges.len());
        for (number, exchange) in (1..).zip(exchanges) {
            let began = board.clock().now();
            board.set(|facts| {
                facts.doing = Some(Doing::Case {
                    number,
                    of: exchanges.len(),
                    name: exchange.name.clone(),
                    round: None,
                });
            });
            all.push(self.case(exchange, &doors).await?);
            self.wrapped.sample(&self.replica.tasks).await;
            board.span(Span {
                stage: format!("warm {}", exchange.name),
                start: began,
                took: board.clock().now() - began,
                bytes: None,
                cpu: None,
            });
        }
        self.found().chosen = all;
        Ok(())
    }

    async fn case(&self, exchange: &Exchange, doors: &Doors) -> Result<Chosen, Failure> {
        let (chosen, connection, first) = self.first(exchange, doors).await?;
        self.rounds(&chosen, connection, first, doors).await?;
        Ok(chosen)
    }

    /// Cases that had not settled get a fresh chance.
    async fn warm_unsettled(&self, all: &[Chosen], doors: &Doors) -> Result<(), Failure> {
        let unsettled = |report: &CaseReport| report.path == Path::Engine && !report.settled;
        let again: Vec<(String, Duration)> = self.replica.board.read(|facts| {
            let cases = facts.warmup.cases.iter().filter(|report| unsettled(report));
            cases
                .map(|report| (report.name.clone(), report.first()))
                .collect()
        });
        for (name, cold) in again {
            let Some(chosen) = all.iter().find(|chosen| chosen.name() == name) else {
                continue;
            };
            let first = chosen.first(doors).await;
            let (connection, mut first) = first.map_err(|problem| wrong(&name, &problem))?;
            // The cold start was what it was.
            first.took = cold;
            self.rounds(chosen, connection, first, doors).await?;
        }
        Ok(())
    }

    /// After its first answer: again and again, until its latency has settled.
    async fn rounds(
        &self,
        chosen: &Chosen,
        mut connection: HttpConnection,
        first: Answered,
        doors: &Doors,
    ) -> Result<(), Failure> {
        let board: &Board = &self.replica.board;
        let policy: RoundPolicy = self.replica.settings.rounds;
        let (name, size) = (chosen.name().to_owned(), chosen.size());
        let mut rounds = vec![first.took];
        let mut facts: OutputFacts = first.facts;
        board.round(&name, &size, Path::Engine, 1, first.took);
        let settled = loop {
            match policy.next(&rounds) {
                Rounds::Again => {}
                next => break next == Rounds::Settled,
            }
            let answered = chosen.again(&mut connection, doors).await;
            let answered = answered.map_err(|problem| wrong(&name, &problem))?;
            rounds.push(answered.took);
            facts = answered.facts;
            board.round(&name, &size, Path::Engine, rounds.len(), answered.took);
        };
        let report = CaseReport {
            name,
            shape: size,
            path: Path::Engine,
            instance: None,
            rounds,
            settled,
            output: facts,
        };
        warm::log(&report);
        board.case(report);
        Ok(())
    }

    /// The first answer that is right. Until then the server may say no, or talk nonsense: that it
    /// called itself ready is not yet believed, and nobody else asks it. The lifecycle sees to it
    /// that this ends.
    async fn first(
        &self,
        exchange: &Exchange,
        doors: &Doors,
    ) -> Result<(Chosen, HttpConnection, Answered), Failure> {
        let spoken = &self.wrapped.settings.spoken;
        let templates = exchange.templates(spoken);
        let mut not_right = 0;
        loop {
            let mut problems: Vec<Problem> = Vec::new();
            for template in &templates {
                let chosen = Chosen::new(exchange, template, &spoken.model);
                match chosen.first(doors).await {
                    Ok((connection, answered)) => {
                        self.note(exchange, not_right);
                        return Ok((chosen, connection, answered));
                    }
                    Err(problem) => problems.push(problem),
                }
            }
            let Some(problem) = problems.iter().find(|p| !p.is_malformed()) else {
                return Err(not_taken(exchange, &problems));
            };
            let obstacle = format!("case {}: {problem}", exchange.name);
            if not_right == 0 {
                tracing::warn!(event = "not_right", case = exchange.name, %problem,
                    "the server says that it is ready, and is not: {obstacle}");
            }
            not_right += problems.iter().filter(|p| !p.is_malformed()).count();
            self.found().obstacle = Some(obstacle);
            sleep(PAUSE).await;
        }
    }

    fn note(&self, exchange: &Exchange, not_right: usize) {
        let obstacle = self.found().obstacle.take();
        if let (1.., Some(last)) = (not_right, obstacle) {
            let note = format!(
                "the server said that it is ready, and gave {not_right} wrong answers before a right one; {last}"
            );
            tracing::warn!(event = "late_truth", case = exchange.name, "{note}");
            self.replica
                .board
                .set(|facts| facts.warmup.notes.push(note));
        }
    }

    /// One attempt at a proof; what disturbed it says nothing about the server.
    pub async fn attempt(&self) -> Result<Verdict, Failure> {
        let chosen = self.found().chosen.clone();
        let straight = self.straight()?;
        self.warm_unsettled(&chosen, &straight).await?;
        let said = self.found().said.clone();
        self.wrapped.sample(&self.replica.tasks).await;
        let prover = Prover {
            straight: &straight,
            front: &self.doors,
            cases: &chosen,
            policy: self.replica.settings.rounds,
            load: self.replica.settings.load,
            ready: self.wrapped.settings.ready.as_deref(),
            said: &said,
            board: &self.replica.board,
        };
        match prover.evidence(|| self.memory()).await {
            Ok(evidence) => {
                let now = self.replica.board.clock().now();
                Ok(self.replica.settings.criteria.judge(&evidence, now))
            }
            Err(Trouble::Wrong(failure)) => Err(failure),
            Err(Trouble::Disturbed(failure)) => {
                tracing::warn!(event = "proof_disturbed", %failure, "measuring again");
                sleep(AFTER_DISTURBANCE).await;
                Ok(Verdict {
                    checks: Vec::new(),
                    outcome: Outcome::Again(Box::new(Outcome::Failed(failure))),
                })
            }
        }
    }

    pub async fn end(&self) {
        self.wrapped.end().await;
    }

    pub async fn kill(&self) {
        self.wrapped.kill().await;
    }

    /// What a load is made of while users are served.
    #[must_use]
    pub fn to_load(&self) -> Option<ServerTarget> {
        let open = self.replica.service.gate.is_open();
        let case = self.found().chosen.first().filter(|_| open)?.clone();
        Some(ServerTarget {
            front: self.doors.clone(),
            case: Some(case),
        })
    }

    /// The cases that the server takes.
    #[must_use]
    pub fn chosen(&self) -> Vec<Chosen> {
        self.found().chosen.clone()
    }

    /// The server's own door, if it runs.
    #[must_use]
    pub fn door(&self) -> Option<Doors> {
        self.straight().ok()
    }

    #[must_use]
    pub fn wrapped(&self) -> &Arc<Wrapped> {
        &self.wrapped
    }

    fn memory(&self) -> MemoryEvidence {
        let own = memory::usage().map_or(0, |usage| usage.peak);
        MemoryEvidence {
            peak_bytes: own + self.wrapped.memory().1,
            limit_bytes: self.replica.memory_limit,
        }
    }

    /// The server's own door.
    fn straight(&self) -> Result<Doors, Failure> {
        let running = self.wrapped.running().ok_or_else(|| {
            let cause = "the server does not run";
            let phase = self.replica.board.read(|facts| facts.phase.clone());
            Failure::new(FailureKind::Load, &phase, cause, "start it again")
        })?;
        Ok(straight(&running, &self.replica))
    }
}

/// The door of the server itself.
pub fn straight(running: &Running, replica: &Replica) -> Doors {
    Doors {
        http: running.address.clone(),
        grpc: running.address.clone(),
        tls: None,
        secret: String::new(),
        model: replica.service.name.as_str().to_owned(),
        tasks: replica.tasks.clone(),
    }
}

/// What there is to say of an engine that is somebody else's.
fn info() -> EngineInfo {
    EngineInfo {
        name: "http".into(),
        dtype: String::new(),
        pooling: String::new(),
        accuracy: None,
        dim: 0,
        max_tokens: 0,
        vocab: 0,
        shape_state: true,
        simulated: false,
        signature: Signature::default(),
    }
}

fn wrong(case: &str, problem: &Problem) -> Failure {
    Failure::new(
        FailureKind::Warmup,
        &Phase::Warming,
        format!("case {case}: {problem}"),
        "correct what the case expects, or look at the server's log for what it met",
    )
}

fn not_taken(exchange: &Exchange, problems: &[Problem]) -> Failure {
    let name = &exchange.name;
    let said = problems.last().map(ToString::to_string).unwrap_or_default();
    Failure::new(
        FailureKind::Warmup,
        &Phase::Warming,
        format!("case {name}: the server takes no such request; {said}"),
        "say what it takes: [[model.warmup.case]] with path and body, or --warm-path and --preset",
    )
}
