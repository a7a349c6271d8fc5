//! Gathers the evidence that a replica is warm: through its real front doors, on fresh
//! connections, one at a time and overlapping. Judging it is core's business.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use preheat_core::proof::{
    ConcurrencyEvidence, Evidence, FirstRequests, LoadEvidence, MemoryEvidence, WeightsEvidence,
};
use preheat_core::warmup::{CaseReport, Path, RoundPolicy, Rounds};
use preheat_core::{Failure, FailureKind, Phase};
use preheat_engine::Matrix;

use crate::board::Board;
use crate::door::{DoorError, Doors, Route, Vectors};
use crate::load::{self, ModelTarget};
use crate::model::Loaded;
use crate::plan::Ready;
use crate::sample::Sample;
use crate::settings::LoadTest;
use crate::warm;

/// Fresh connections at least, for each door, whose first request is compared with steady ones.
const FRESH: usize = 3;

/// Further requests on each of them, for the steady figure.
const STEADY: usize = 1;

/// Texts in the concurrency check; each is asked for once alone, and in company by itself and twice
/// in a request of all. Every route has at least one of them.
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
    pub async fn evidence(&self, memory: impl Fn() -> MemoryEvidence) -> Result<Evidence, Trouble> {
        let (smallest, others) = self.cases.split_at(self.cases.len().min(1));
        for path in PATHS {
            for ready in others {
                self.case(ready, path, self.least(), 0).await?;
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
            for ready in smallest {
                first_requests.push(self.case(ready, path, FRESH, STEADY).await?);
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
            memory: memory(),
            load,
        })
    }

    /// How often a case goes through a door at least. The engine has settled it by itself; what a
    /// door adds has a state for each shape only where the engine has.
    fn least(&self) -> usize {
        match self.loaded.info.shape_state {
            true => self.policy.min,
            false => 1,
        }
    }

    /// One case through one door, each round on a fresh connection, with `further` requests on it
    /// after the first.
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
        let mut steady: Vec<Duration> = Vec::new();
        let (settled, output) = loop {
            let first = self.doors.first(path, &ready.sample).await;
            let (mut door, vectors, took) = first.map_err(refused)?;
            rounds.push(took);
            for _ in 0..further {
                let began = Instant::now();
                door.ask(&ready.sample).await.map_err(refused)?;
                steady.push(began.elapsed());
            }
            self.board
                .round(&ready.case.name, &shape, path, rounds.len(), took);
            let matrix = matrix(vectors);
            warm::checked(&matrix, ready, self.loaded)
                .map_err(|problem| wrong(&ready.case.name, path, &problem))?;
            match policy.next(&rounds) {
                Rounds::Again => {}
                next => break (next == Rounds::Settled, warm::facts(&matrix)),
            }
        };
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

    /// Texts one at a time, each in a request of its own; then all at once: all in one request
    /// through both doors, each by itself through another route than before, and through every
    /// route at least one. Whatever an engine does with a batch, a text's answer must be the one
    /// that it gets alone.
    async fn overlap(&self) -> Result<ConcurrencyEvidence, Trouble> {
        let Some(ready) = self.cases.iter().max_by_key(|ready| ready.rows()) else {
            return Ok(ConcurrencyEvidence::default());
        };
        // One text, or the same one several times, could be swapped with itself unnoticed.
        let own = match &self.distinct {
            Some(distinct) if ready.sample.is_alike() => distinct,
            _ => &ready.sample,
        };
        let all = own.part(0, OVERLAPPING);
        let singles: Vec<Sample> = (0..all.rows()).map(|row| all.part(row, row + 1)).collect();
        let mut alone = Vectors::new();
        for (single, path) in singles.iter().zip(PATHS.into_iter().cycle()) {
            let answer = self.doors.first(path, single).await;
            let (_, vectors, _) = answer.map_err(|error| refused(ready, path, &error))?;
            alone.extend(vectors);
        }
        let asks = in_company(&all, &singles, &alone);
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
fn in_company<'a>(all: &'a Sample, singles: &'a [Sample], alone: &'a [Vec<f32>]) -> Vec<Ask<'a>> {
    let routes = Route::of(all);
    let each = (0..singles.len().max(routes.len())).filter_map(|turn| {
        let text = turn % singles.len().max(1);
        let before = Route::Door(PATHS[text % PATHS.len()]);
        let mut next = routes.iter().cycle().skip(turn + 1);
        let route = *next.find(|route| **route != before)?;
        Some((route, singles.get(text)?, alone.get(text..=text)?))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_company_every_route_is_asked_and_no_text_goes_the_way_it_went_alone() {
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
                let asks = in_company(&all, &singles, &alone);
                let (whole, each) = asks.split_at(PATHS.len());
                assert!(whole.iter().all(|(_, sample, _)| **sample == all));
                for route in Route::of(&all) {
                    assert!(asks.iter().any(|(other, ..)| other == route), "{route:?}");
                }
                for (row, single) in singles.iter().enumerate() {
                    let before = Route::Door(PATHS[row % PATHS.len()]);
                    let mut own = each.iter().filter(|(_, sample, _)| *sample == single);
                    assert!(
                        own.all(|(route, ..)| *route != before),
                        "text {row} of {texts}"
                    );
                }
                for (_, sample, expected) in each {
                    let row = singles.iter().position(|single| single == *sample);
                    assert_eq!(expected, &[vec![row.unwrap() as f32]]);
                }
            }
        }
    }
}
