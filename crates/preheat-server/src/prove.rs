//! Gathers the evidence that a replica is warm: through its real front doors, on fresh
//! connections, one at a time and overlapping. Judging it is core's business.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use preheat_core::proof::{
    ConcurrencyEvidence, Criteria, Evidence, FirstRequests, LoadEvidence, MemoryEvidence,
    WeightsEvidence,
};
use preheat_core::warmup::{CaseReport, Path, RoundPolicy, Rounds};
use preheat_core::{Failure, FailureKind, Phase};
use preheat_engine::Matrix;
use preheat_runtime::memory;

use crate::board::Board;
use crate::door::{DoorError, Doors, Route, Vectors};
use crate::load::{self, ModelTarget};
use crate::model::Loaded;
use crate::plan::{self, Ready};
use crate::sample::{Sample, flat, of_length_one, softmax};
use crate::settings::LoadTest;
use crate::warm;

/// How often a case goes through each door at least. Every instance has settled it by itself, and a
/// door has no state for a shape.
const THROUGH: usize = 1;

/// Fresh connections at least, for each door, whose first request is compared with steady ones, where the
/// very first one took too long: what a door still owes shows in that one, and noise only adds to it. By then
/// the proof has paid for it, and the others tell what a user will meet.
const FRESH: usize = 3;

/// Further requests on the last of them, for the steady figure: the lower of two is what a first
/// request is held against.
const STEADY: usize = 2;

/// Texts in the concurrency check; each runs once alone, and is asked for in company by itself and
/// twice in a request of all. Every route has at least one of them.
const OVERLAPPING: usize = 8;

/// How far the same answer may be off itself when it was computed in another batch.
const OVERLAP_TOLERANCE: f32 = 1e-4;

/// The front doors that a user may come through.
pub const PATHS: [Path; 2] = [Path::Http, Path::Grpc];

/// A way in, what is asked through it, and what must come of it.
type Ask<'a> = (Route, &'a Sample, &'a [Vec<f32>]);

/// Why there is no evidence.
#[derive(Debug, Clone, PartialEq)]
pub enum Trouble {
    /// A door did not answer this time.
    Disturbed(Failure),
    /// An answer is wrong, or refused for good. Never excused.
    Wrong(Failure),
}

/// What a proof is gathered with.
pub struct Prover<'a> {
    pub doors: &'a Doors,
    pub cases: &'a [Ready],
    pub loaded: &'a Loaded,
    pub policy: RoundPolicy,
    pub criteria: &'a Criteria,
    pub load: Option<LoadTest>,
    /// Rows of our own, no two alike, for plans that have none.
    pub distinct: Option<Sample>,
    pub board: &'a Arc<Board>,
}

impl Prover<'_> {
    /// Measures everything once.
    ///
    /// # Errors
    /// A door that refuses or answers wrongly: never excused.
    pub async fn evidence(&self, used: impl Fn() -> MemoryEvidence) -> Result<Evidence, Trouble> {
        let (smallest, others) = self.cases.split_at(self.cases.len().min(1));
        for path in PATHS {
            for ready in others {
                self.case(ready, path, THROUGH, 0).await?;
            }
        }
        let concurrency = Some(self.overlap().await?);
        let load = match self.load {
            Some(test) => Some(self.load(test).await),
            None => None,
        };
        // The smallest case is where a first request shows the most. It comes last, through HTTP
        // last of all: caches forget within milliseconds, and the first user is next.
        let mut first_requests = Vec::new();
        for path in PATHS.into_iter().rev() {
            // What came before took most that a heap ever takes, and replicas would keep it, each for
            // itself. What a small request needs is taken again right here.
            memory::give_back();
            for ready in smallest {
                let first = self.case(ready, path, 1, STEADY).await?;
                first_requests.push(match self.criteria.allows(&first) {
                    true => first,
                    false => self.case(ready, path, FRESH, STEADY).await?,
                });
            }
        }
        let cases = self.board.read(|facts| facts.warmup.cases.clone());
        Ok(Evidence {
            server: None,
            weights: WeightsEvidence {
                device: self.loaded.info.name.clone(),
                checksum_ok: self.loaded.checksum_ok,
                tokenizer_ready: self
                    .loaded
                    .tokenizer
                    .as_ref()
                    .is_none_or(|t| t.encode("").is_ok()),
            },
            missing: self.missing(&cases),
            cases,
            first_requests,
            concurrency,
            memory: used(),
            load,
        })
    }

    /// One case through one door, each round on a fresh connection, with `further` requests on the
    /// last of them.
    async fn case(
        &self,
        ready: &Ready,
        path: Path,
        least: usize,
        further: usize,
    ) -> Result<FirstRequests, Trouble> {
        let refused = |error: DoorError| refused(ready, path, &error);
        let shape = warm::shape(ready, self.loaded);
        let policy = RoundPolicy {
            min: least,
            ..self.policy
        };
        let mut rounds: Vec<Duration> = Vec::new();
        let (settled, output, mut door) = loop {
            let first = self.doors.first(path, &ready.sample).await;
            let (door, vectors, took) = first.map_err(refused)?;
            rounds.push(took);
            self.board
                .round(&ready.case.name, &shape, path, rounds.len(), took);
            let matrix = matrix(vectors);
            warm::checked(&matrix, ready, self.loaded)
                .map_err(|problem| wrong(&ready.case.name, path, &problem))?;
            match policy.next(&rounds) {
                Rounds::Again => {}
                next => break (next == Rounds::Settled, warm::facts(&matrix), door),
            }
        };
        let mut steady = Vec::with_capacity(further);
        for _ in 0..further {
            let began = Instant::now();
            door.ask(&ready.sample).await.map_err(refused)?;
            steady.push(began.elapsed());
        }
        let first = rounds.clone();
        self.board.case(warm::report(
            ready, shape, None, path, rounds, settled, output,
        ));
        Ok(FirstRequests {
            path,
            first,
            steady,
        })
    }

    /// Texts one at a time on the engine; then all at once: all in one request through both doors,
    /// each by itself, and through every route at least one. Whatever an engine does with a batch
    /// and a route with an answer, a text's answer must be what the engine says to it alone, or that
    /// of length one where the route promises it.
    async fn overlap(&self) -> Result<ConcurrencyEvidence, Trouble> {
        // The smallest of those with most rows: what shows in company shows at any length.
        let Some(ready) = self.cases.iter().rev().max_by_key(|ready| ready.rows()) else {
            return Ok(ConcurrencyEvidence::default());
        };
        let own = match &self.distinct {
            Some(distinct) if !ready.is_telling() => distinct,
            _ => &ready.sample,
        };
        let all = own.part(0, OVERLAPPING);
        let singles: Vec<Sample> = (0..all.rows()).map(|row| all.part(row, row + 1)).collect();
        let mut alone = Vectors::new();
        for single in &singles {
            alone.extend(self.alone(ready, single).await?);
        }
        let scaled: Vectors = alone.iter().map(|row| of_length_one(row)).collect();
        let asks = in_company(&all, &singles, &alone, &scaled);
        let asked = asks
            .iter()
            .map(|(route, sample, _)| self.doors.through(*route, sample));
        let mut evidence = ConcurrencyEvidence {
            requests: asks.len(),
            tolerance: OVERLAP_TOLERANCE,
            ..ConcurrencyEvidence::default()
        };
        for (ask, answer) in asks.iter().zip(join_all(asked).await) {
            let (route, _, _) = ask;
            match answer {
                Ok(vectors) => {
                    let off = off(ask, &vectors);
                    // `max` would lose what is not a number.
                    if exceeds(off, evidence.max_difference) {
                        evidence.max_difference = off;
                    }
                }
                // Alone it was answered: that it is not now is what this looks for.
                Err(error) if error.is_passing() => {
                    let error = error.chain();
                    tracing::warn!(event = "company_failed", ?route, %error, "a request in company failed");
                    evidence.failed += 1;
                }
                Err(error) => return Err(refused(ready, route.path(), &error)),
            }
        }
        Ok(evidence)
    }

    /// What the engine says to a sample with nothing beside it.
    async fn alone(&self, ready: &Ready, sample: &Sample) -> Result<Vectors, Trouble> {
        let problem = |problem: String| broken(&ready.case.name, &problem);
        let batch = plan::batch(sample, self.loaded).map_err(problem)?;
        let ran = self.loaded.instances.run(0, batch).await;
        let output = ran.result.map_err(|error| problem(error.to_string()))?;
        let mut matrix = flat(output, self.loaded.info.signature.batched);
        if let Sample::Image { softmax: true, .. } = sample {
            softmax(&mut matrix);
        }
        Ok(matrix.iter().map(<[f32]>::to_vec).collect())
    }

    /// So many requests of the first case, so many at a time.
    async fn load(&self, test: LoadTest) -> LoadEvidence {
        let target = ModelTarget {
            doors: self.doors.clone(),
            cases: self.cases[..self.cases.len().min(1)].to_vec(),
            loaded: self.loaded.clone(),
        };
        load::run(&target, test.into()).await.evidence()
    }

    /// Planned runs of which there is no report.
    fn missing(&self, cases: &[CaseReport]) -> Vec<String> {
        let ran = |name: &str, path: Path, instance: Option<usize>| {
            cases
                .iter()
                .any(|c| c.name == name && c.path == path && c.instance == instance)
        };
        let mut missing = Vec::new();
        for ready in self.cases {
            let name = ready.case.name.as_str();
            for instance in 0..self.loaded.instances.count() {
                if !ran(name, Path::Engine, Some(instance)) {
                    missing.push(format!("{name} on instance {instance}"));
                }
            }
            for path in PATHS {
                if !ran(name, path, None) {
                    missing.push(format!("{name} through {}", path.name()));
                }
            }
        }
        missing
    }
}

/// What is asked at once, and what must come of it.
fn in_company<'a>(
    all: &'a Sample,
    singles: &'a [Sample],
    alone: &'a [Vec<f32>],
    scaled: &'a [Vec<f32>],
) -> Vec<Ask<'a>> {
    let routes = Route::of(all);
    let each = (0..singles.len().max(routes.len())).filter_map(|turn| {
        let text = turn % singles.len().max(1);
        let route = routes[turn % routes.len()];
        let expected = match route {
            Route::Object => scaled,
            _ => alone,
        };
        Some((route, singles.get(text)?, expected.get(text..=text)?))
    });
    let whole = PATHS.map(|path| (Route::Door(path), all, alone));
    whole.into_iter().chain(each).collect()
}

/// How far an answer in company is from what must come; whoever is too far is named.
fn off((route, _, expected): &Ask<'_>, vectors: &[Vec<f32>]) -> f32 {
    let off = difference(expected, vectors);
    if exceeds(off, OVERLAP_TOLERANCE) {
        tracing::warn!(
            event = "answers_differ",
            ?route,
            off,
            "an answer in company differs"
        );
    }
    off
}

pub fn matrix(vectors: Vectors) -> Matrix {
    let cols = vectors.first().map_or(0, Vec::len);
    Matrix {
        rows: vectors.len(),
        cols,
        data: vectors.concat(),
    }
}

/// Largest difference of any number; infinite when the shapes differ.
fn difference(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    if a.len() != b.len() || a.iter().zip(b).any(|(x, y)| x.len() != y.len()) {
        return f32::INFINITY;
    }
    let pairs = a.iter().flatten().zip(b.iter().flatten());
    pairs
        .map(|(x, y)| (x - y).abs())
        .fold(0.0, |most, off| if exceeds(off, most) { off } else { most })
}

/// Also when it is not a number.
pub fn exceeds(off: f32, limit: f32) -> bool {
    off.is_nan() || off > limit
}

fn refused(ready: &Ready, path: Path, error: &DoorError) -> Trouble {
    let failure = Failure::new(
        FailureKind::Proof,
        &Phase::Proving,
        format!(
            "case {} through {}: {}",
            ready.case.name,
            path.name(),
            error.chain()
        ),
        "look at the log for what the front door met; check limits, keys and certificates",
    );
    match error.is_passing() {
        true => Trouble::Disturbed(failure),
        false => Trouble::Wrong(failure),
    }
}

fn wrong(case: &str, path: Path, problem: &str) -> Trouble {
    Trouble::Wrong(Failure::new(
        FailureKind::Proof,
        &Phase::Proving,
        format!(
            "case {case} through {}: wrong output: {problem}",
            path.name()
        ),
        "the front door changes answers: report it with the configuration",
    ))
}

fn broken(case: &str, problem: &str) -> Trouble {
    Trouble::Wrong(Failure::new(
        FailureKind::Proof,
        &Phase::Proving,
        format!("case {case}: {problem}"),
        "run `preheat warm` with the same model and RUST_LOG=debug to see what the engine met",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_company_every_route_is_asked_and_every_text_by_itself_too() {
        for texts in 1..=OVERLAPPING {
            let words: Vec<_> = (0..texts).map(|text| text.to_string()).collect();
            let labels = Vec::new();
            for all in [
                Sample::Texts(words.clone()),
                Sample::Classified {
                    texts: words.clone(),
                    labels,
                },
            ] {
                let singles: Vec<_> = (0..texts).map(|row| all.part(row, row + 1)).collect();
                let alone: Vec<_> = (0..texts).map(|row| vec![row as f32]).collect();
                let scaled: Vec<_> = (0..texts).map(|row| vec![-(row as f32)]).collect();
                let asks = in_company(&all, &singles, &alone, &scaled);
                let (whole, each) = asks.split_at(PATHS.len());
                assert!(whole.iter().all(|(_, sample, _)| **sample == all));
                for route in Route::of(&all) {
                    assert!(asks.iter().any(|(other, ..)| other == route), "{route:?}");
                }
                for single in &singles {
                    assert!(each.iter().any(|(_, sample, _)| *sample == single));
                }
                for (route, sample, expected) in each {
                    let row = singles.iter().position(|single| single == *sample).unwrap();
                    let rows = match route {
                        Route::Object => &scaled,
                        _ => &alone,
                    };
                    assert_eq!(*expected, &rows[row..=row], "{route:?}");
                }
            }
        }
    }
}
