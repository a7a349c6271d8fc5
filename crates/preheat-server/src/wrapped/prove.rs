//! Gathers the evidence that a wrapped server is warm: its plan through our front door, on fresh
//! connections, one request at a time and overlapping.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use preheat_core::proof::{
    ConcurrencyEvidence, Evidence, FirstRequests, LoadEvidence, MemoryEvidence, WeightsEvidence,
};
use preheat_core::warmup::{CaseReport, Path, RoundPolicy, Rounds};
use preheat_core::{Failure, FailureKind, Phase};
use serde_json::Value;

use super::ask::{self, Chosen, Problem};
use crate::board::Board;
use crate::door::{Doors, HttpConnection};
use crate::exchange::compare::{comparable, difference, varying};
use crate::load::{self, Target};
use crate::prove::{self, Trouble};
use crate::settings::LoadTest;

/// Fresh connections at least whose first request is compared with steady ones.
const FRESH: usize = 3;

/// Further requests on each of them, for the steady figure.
const STEADY: usize = 2;

/// Cases in the concurrency check; each is asked for twice alone.
const OVERLAPPING: usize = 4;

/// Requests of it that are on their way at once.
const AT_ONCE: usize = 8;

/// How far numbers of the same answer may be off: servers batch, and batches round differently.
const TOLERANCE: f32 = 1e-3;

/// What a proof is gathered with.
pub struct Prover<'a> {
    /// The server's own door.
    pub straight: &'a Doors,
    /// Ours.
    pub front: &'a Doors,
    pub cases: &'a [Chosen],
    pub policy: RoundPolicy,
    pub load: Option<LoadTest>,
    pub ready: Option<&'a str>,
    pub said: &'a str,
    pub board: &'a Arc<Board>,
}

/// A wrapped server under load: one case again and again, through our door.
pub struct ServerTarget {
    pub front: Doors,
    pub case: Option<Chosen>,
}

impl Target for ServerTarget {
    type Connection = HttpConnection;

    async fn connect(&self) -> Result<HttpConnection, String> {
        let opened = HttpConnection::open(&self.front).await;
        opened.map_err(|error| error.chain())
    }

    async fn ask(&self, connection: &mut HttpConnection, _number: usize) -> Result<(), String> {
        let case = self.case.as_ref().ok_or("there is no case")?;
        let answered = case.again(connection, &self.front).await;
        answered.map(|_| ()).map_err(|problem| problem.to_string())
    }
}

impl Prover<'_> {
    /// Measures everything once.
    ///
    /// # Errors
    /// A door that refuses or answers wrongly: never excused.
    pub async fn evidence(&self, memory: impl Fn() -> MemoryEvidence) -> Result<Evidence, Trouble> {
        if let Some(path) = self.ready {
            let ready = ask::ready(self.straight, path).await;
            ready.map_err(|problem| Trouble::Disturbed(unready(&problem)))?;
        }
        let mut first_requests = Vec::new();
        for (at, case) in self.cases.iter().enumerate() {
            // The smallest case comes first, and is where a first request shows the most.
            let further = if at == 0 { STEADY } else { 0 };
            let measured = self.case(case, further).await?;
            first_requests.extend((at == 0).then_some(measured));
        }
        let concurrency = Some(self.overlap().await?);
        let load = match self.load {
            Some(test) => Some(self.load(test).await),
            None => None,
        };
        let cases = self.board.read(|facts| facts.warmup.cases.clone());
        Ok(Evidence {
            weights: WeightsEvidence::default(),
            server: Some(self.said.to_owned()),
            missing: self.missing(&cases),
            cases,
            first_requests,
            concurrency,
            memory: memory(),
            load,
        })
    }

    /// One case through our door, each round on a fresh connection, with `further` requests on it
    /// after the first.
    async fn case(&self, case: &Chosen, further: usize) -> Result<FirstRequests, Trouble> {
        let policy = RoundPolicy {
            min: if further > 0 { FRESH } else { 1 },
            ..self.policy
        };
        let (name, size) = (case.name().to_owned(), case.size());
        let (mut first, mut steady): (Vec<Duration>, Vec<Duration>) = Default::default();
        let (settled, output) = loop {
            let refused = |problem: Problem| of_problem(&name, &problem);
            let (mut connection, answered) = case.first(self.front).await.map_err(refused)?;
            first.push(answered.took);
            for _ in 0..further {
                let again = case.again(&mut connection, self.front).await;
                steady.push(again.map_err(refused)?.took);
            }
            self.board
                .round(&name, &size, Path::Http, first.len(), answered.took);
            match policy.next(&first) {
                Rounds::Again => {}
                next => break (next == Rounds::Settled, answered.facts),
            }
        };
        self.board.case(CaseReport {
            name,
            shape: size,
            path: Path::Http,
            instance: None,
            rounds: first.clone(),
            settled,
            output,
        });
        Ok(FirstRequests {
            path: Path::Http,
            first,
            steady,
        })
    }

    /// Requests one at a time, twice each; then all of them at once, several times. What differs
    /// between two answers that were given alone (times, ids, dice) is not compared.
    async fn overlap(&self) -> Result<ConcurrencyEvidence, Trouble> {
        let cases: Vec<&Chosen> = self.cases.iter().take(OVERLAPPING).collect();
        let mut alone: Vec<(Value, Vec<String>)> = Vec::new();
        for case in &cases {
            let (one, other) = (self.answer(case).await?, self.answer(case).await?);
            let except = varying(&one, &other, TOLERANCE);
            alone.push((one, except));
        }
        let asks = || cases.iter().zip(&alone).cycle().take(AT_ONCE);
        let together = join_all(asks().map(|(case, _)| case.first(self.front))).await;
        let mut evidence = ConcurrencyEvidence {
            requests: together.len(),
            tolerance: TOLERANCE,
            ..ConcurrencyEvidence::default()
        };
        for ((_, (expected, except)), answer) in asks().zip(together) {
            match answer {
                Ok((_, answered)) => {
                    let off = difference(expected, &comparable(&answered.body), except);
                    if prove::exceeds(off, evidence.max_difference) {
                        evidence.max_difference = off;
                    }
                }
                Err(_) => evidence.failed += 1,
            }
        }
        Ok(evidence)
    }

    async fn answer(&self, case: &Chosen) -> Result<Value, Trouble> {
        let answer = case.first(self.front).await;
        let (_, answered) = answer.map_err(|problem| of_problem(case.name(), &problem))?;
        Ok(comparable(&answered.body))
    }

    /// So many requests of the first case, so many at a time.
    async fn load(&self, test: LoadTest) -> LoadEvidence {
        let target = ServerTarget {
            front: self.front.clone(),
            case: self.cases.first().cloned(),
        };
        load::run(&target, test.into()).await.evidence()
    }

    /// Planned runs of which there is no report.
    fn missing(&self, cases: &[CaseReport]) -> Vec<String> {
        let ran = |name: &str, path| cases.iter().any(|c| c.name == name && c.path == path);
        let mut missing = Vec::new();
        for case in self.cases {
            for (path, way) in [(Path::Engine, "straight"), (Path::Http, "through http")] {
                if !ran(case.name(), path) {
                    missing.push(format!("{} {way}", case.name()));
                }
            }
        }
        missing
    }
}

fn unready(problem: &str) -> Failure {
    Failure::new(
        FailureKind::Proof,
        &Phase::Proving,
        format!("the server no longer says that it is ready; {problem}"),
        "look at the server's log",
    )
}

fn of_problem(case: &str, problem: &Problem) -> Trouble {
    let failure = Failure::new(
        FailureKind::Proof,
        &Phase::Proving,
        format!("case {case} through http: {problem}"),
        "look at the server's log for what it met; check limits, keys and certificates",
    );
    match problem.is_passing() {
        true => Trouble::Disturbed(failure),
        false => Trouble::Wrong(failure),
    }
}
