//! Declared times instead of a computation: for policy tests, demonstrations and simulations.
//!
//! Sleeps where a real engine would work, answers vectors that depend on the tokens alone, and
//! fails on demand. Never chosen by itself, and visible as `sim` wherever it runs.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use preheat_core::shape::{Buckets, ShapeBucket};

use crate::engine::{Engine, EngineInfo, Instance, Matrix, RunError, Signature, TokenBatch};
use crate::load::StageTiming;
use crate::tokenizer::Tokenizer;

/// What the engine pretends.
#[derive(Debug, Clone)]
pub struct SimSpec {
    pub weights: Duration,
    pub tokenizer: Duration,
    pub engine: Duration,
    /// Extra cost of the first run of a shape class on an instance.
    pub first_run: Duration,
    pub run: Duration,
    pub per_token: Duration,
    /// Cost of a run by shape class, over `run` and `per_token`.
    pub shapes: BTreeMap<ShapeBucket, Duration>,
    pub buckets: Buckets,
    pub dim: usize,
    pub max_tokens: usize,
    /// Bytes really taken while loaded.
    pub memory: usize,
    pub fault: Option<SimFault>,
}

/// A failure on demand, once an instance has done so many runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SimFault {
    pub kind: FaultKind,
    pub after_runs: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    Load,
    Run,
    Hang,
    Nan,
    Rows,
    Dim,
    OutOfMemory,
    Drift,
    Mix,
}

/// The declared load failed, as it was told to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the simulated load fails on demand")]
pub struct SimLoadError;

/// Ids of the simulated vocabulary.
const VOCAB: u32 = 30_000;

/// Longest hang: nothing waits for ever, not even on purpose.
const HANG: Duration = Duration::from_secs(3_600);

/// Where a run can be given up.
const STEP: Duration = Duration::from_millis(5);

/// Loads nothing, for as long as the spec says, tokenizer and weights side by side.
///
/// # Errors
/// [`SimLoadError`] when the spec asks for it.
pub fn load(spec: SimSpec) -> Result<SimModel, SimLoadError> {
    let begun = Instant::now();
    thread::sleep(spec.weights.max(spec.tokenizer));
    if spec.fault.is_some_and(|f| f.kind == FaultKind::Load) {
        return Err(SimLoadError);
    }
    let built = Instant::now();
    thread::sleep(spec.engine);
    let stage = |stage, started, took| StageTiming {
        stage,
        started,
        took,
        bytes: None,
        cpu: None,
    };
    let stages = vec![
        stage("tokenizer", begun, spec.tokenizer),
        stage("weights", begun, spec.weights),
        stage("engine", built, built.elapsed()),
    ];
    let tokenizer = Tokenizer::whitespace(spec.max_tokens, VOCAB);
    Ok(SimModel {
        engine: Arc::new(SimEngine::new(spec)),
        tokenizer,
        stages,
    })
}

/// What a simulated load leaves.
#[derive(Debug)]
pub struct SimModel {
    pub engine: Arc<dyn Engine>,
    pub tokenizer: Tokenizer,
    pub stages: Vec<StageTiming>,
}

#[derive(Debug)]
struct SimEngine {
    spec: Arc<SimSpec>,
    info: EngineInfo,
    /// Written once, so that the pages are really there.
    _memory: Vec<u8>,
}

impl SimEngine {
    fn new(spec: SimSpec) -> Self {
        let info = EngineInfo {
            name: "sim".into(),
            dtype: "none".into(),
            pooling: String::new(),
            dim: spec.dim,
            max_tokens: spec.max_tokens,
            vocab: VOCAB as usize,
            shape_state: true,
            simulated: true,
            accuracy: None,
            signature: Signature {
                normalized: true,
                ..Signature::default()
            },
        };
        SimEngine {
            info,
            _memory: vec![1; spec.memory],
            spec: Arc::new(spec),
        }
    }
}

impl Engine for SimEngine {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn instance(&self) -> Result<Box<dyn Instance>, RunError> {
        Ok(Box::new(SimInstance {
            spec: Arc::clone(&self.spec),
            seen: HashSet::new(),
            runs: 0,
        }))
    }
}

struct SimInstance {
    spec: Arc<SimSpec>,
    seen: HashSet<ShapeBucket>,
    runs: u64,
}

impl Instance for SimInstance {
    fn run_while(
        &mut self,
        batch: &TokenBatch,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Matrix, RunError> {
        let fault = self.fault();
        self.runs += 1;
        match fault {
            Some(FaultKind::Run) => return Err(RunError::Engine("fails on demand".into())),
            Some(FaultKind::Hang) => thread::sleep(HANG),
            Some(FaultKind::OutOfMemory) if batch.rows() > 1 => {
                return Err(RunError::OutOfMemory(format!(
                    "{} rows, on demand",
                    batch.rows()
                )));
            }
            _ => {}
        }
        let done = Instant::now() + self.cost(batch);
        loop {
            let left = done.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(self.answer(batch, fault));
            }
            if !is_wanted() {
                return Err(RunError::Abandoned);
            }
            thread::sleep(left.min(STEP));
        }
    }
}

impl SimInstance {
    fn fault(&self) -> Option<FaultKind> {
        self.spec
            .fault
            .filter(|f| self.runs >= f.after_runs)
            .map(|f| f.kind)
    }

    fn cost(&mut self, batch: &TokenBatch) -> Duration {
        let shape = self.spec.buckets.of(batch.rows(), batch.longest());
        let tokens = u32::try_from(batch.tokens()).unwrap_or(u32::MAX);
        let computed = self.spec.run + self.spec.per_token.saturating_mul(tokens);
        let steady = self.spec.shapes.get(&shape).copied().unwrap_or(computed);
        let first = if self.seen.insert(shape) {
            self.spec.first_run
        } else {
            Duration::ZERO
        };
        let drift = match self.fault() {
            Some(FaultKind::Drift) => Duration::from_millis(self.runs.saturating_mul(20)),
            _ => Duration::ZERO,
        };
        first + steady + drift
    }

    fn answer(&self, batch: &TokenBatch, fault: Option<FaultKind>) -> Matrix {
        let dim = self.spec.dim - usize::from(fault == Some(FaultKind::Dim));
        let mut rows: Vec<_> = batch.iter().map(|ids| vector(ids, dim)).collect();
        match fault {
            Some(FaultKind::Rows) => drop(rows.pop()),
            Some(FaultKind::Mix) => rows.reverse(),
            Some(FaultKind::Nan) => rows.iter_mut().flatten().for_each(|x| *x = f32::NAN),
            _ => {}
        }
        Matrix {
            rows: rows.len(),
            cols: dim,
            data: rows.concat(),
        }
    }
}

/// A vector of length one that depends on the ids alone.
fn vector(ids: &[u32], dim: usize) -> Vec<f32> {
    let mut state = ids.iter().fold(0x9e37_79b9_7f4a_7c15_u64, |h, &id| {
        (h ^ u64::from(id))
            .wrapping_mul(0x0100_0000_01b3)
            .rotate_left(23)
    });
    let mut row: Vec<f32> = (0..dim)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect();
    let length = row
        .iter()
        .map(|x| x * x)
        .sum::<f32>()
        .sqrt()
        .max(f32::MIN_POSITIVE);
    row.iter_mut().for_each(|x| *x /= length);
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(fault: Option<FaultKind>) -> SimSpec {
        let none = Duration::ZERO;
        SimSpec {
            weights: none,
            tokenizer: none,
            engine: none,
            first_run: none,
            run: none,
            per_token: none,
            shapes: BTreeMap::new(),
            buckets: Buckets::new(&[1, 4], &[16], 8, 64),
            dim: 4,
            max_tokens: 64,
            memory: 0,
            fault: fault.map(|kind| SimFault {
                kind,
                after_runs: 0,
            }),
        }
    }

    fn run(fault: Option<FaultKind>) -> Result<Matrix, RunError> {
        let engine = load(spec(fault)).unwrap().engine;
        let batch: TokenBatch = [&[1, 2, 3][..], &[4]].into_iter().collect();
        engine.instance().unwrap().run(&batch)
    }

    #[test]
    fn answers_depend_on_the_tokens_alone() {
        let engine = load(spec(None)).unwrap().engine;
        let alone: TokenBatch = [&[4][..]].into_iter().collect();
        let one = engine.instance().unwrap().run(&alone).unwrap();
        let both = run(None).unwrap();
        assert_eq!(both.iter().nth(1), one.iter().next());
        let length: f32 = one.data.iter().map(|x| x * x).sum();
        assert!((length - 1.0).abs() < 1e-5);
    }

    #[test]
    fn each_fault_shows() {
        assert_eq!(load(spec(Some(FaultKind::Load))).unwrap_err(), SimLoadError);
        assert!(matches!(
            run(Some(FaultKind::Run)),
            Err(RunError::Engine(_))
        ));
        assert!(matches!(
            run(Some(FaultKind::OutOfMemory)),
            Err(RunError::OutOfMemory(_))
        ));
        assert!(
            run(Some(FaultKind::Nan))
                .unwrap()
                .data
                .iter()
                .all(|x| x.is_nan())
        );
        assert_eq!(run(Some(FaultKind::Rows)).unwrap().rows, 1);
        assert_eq!(run(Some(FaultKind::Dim)).unwrap().cols, 3);
        let (good, mixed) = (run(None).unwrap(), run(Some(FaultKind::Mix)).unwrap());
        assert_eq!(good.iter().next(), mixed.iter().nth(1));
    }
}
