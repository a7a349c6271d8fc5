//! Warm-up: every case of the plan on every instance, with its output checked.

use std::sync::Arc;
use std::time::Duration;

use preheat_core::warmup::{CaseReport, OutputFacts, Path, RoundPolicy, Rounds};
use preheat_core::{Expectation, Failure, FailureKind, Phase, ShapeBucket};
use preheat_engine::{Matrix, Output, RunError};

use crate::batcher::extent;
use crate::board::{Board, Doing};
use crate::clock::millis;
use crate::human;
use crate::model::Loaded;
use crate::plan::Ready;
use crate::prove::exceeds;
use crate::sample::flat;

/// Runs every case on every instance.
///
/// # Errors
/// Wrong output, a failing engine, or memory that does not suffice for a single row.
pub async fn run(
    cases: &mut [Ready],
    loaded: &Loaded,
    policy: RoundPolicy,
    board: &Arc<Board>,
) -> Result<(), Failure> {
    let of = cases.len() * loaded.instances.count();
    let mut number = 0;
    for ready in cases {
        let began = board.clock().now();
        for instance in 0..loaded.instances.count() {
            number += 1;
            let name = ready.case.name.clone();
            let round = None;
            let doing = Doing::Case {
                number,
                of,
                name,
                round,
            };
            board.set(|facts| facts.doing = Some(doing));
            case(ready, instance, loaded, policy, board).await?;
        }
        let took = board.clock().now() - began;
        let stage = format!("warm {}", ready.case.name);
        board.span(preheat_core::Span {
            stage,
            start: began,
            took,
            bytes: None,
            cpu: None,
        });
    }
    Ok(())
}

/// One case on one instance, stepping its batch down where memory does not suffice.
pub async fn case(
    ready: &mut Ready,
    instance: usize,
    loaded: &Loaded,
    policy: RoundPolicy,
    board: &Board,
) -> Result<(), Failure> {
    loop {
        match rounds(ready, instance, loaded, policy, board).await {
            Ok(()) => return Ok(()),
            Err(Stopped::Failed(failure)) => return Err(failure),
            Err(Stopped::OutOfMemory(why)) => step_down(ready, &why, loaded, board)?,
        }
    }
}

enum Stopped {
    OutOfMemory(String),
    Failed(Failure),
}

async fn rounds(
    ready: &Ready,
    instance: usize,
    loaded: &Loaded,
    policy: RoundPolicy,
    board: &Board,
) -> Result<(), Stopped> {
    let batch = ready.batch();
    let batched = loaded.info.signature.batched;
    let shape = shape(ready, loaded);
    let mut took = Vec::new();
    let (settled, output) = loop {
        loaded.coverage.meet(instance, shape);
        let ran = loaded.instances.run(instance, batch.clone()).await;
        let output = match ran.result {
            Ok(output) => output,
            Err(RunError::OutOfMemory(why)) => return Err(Stopped::OutOfMemory(why)),
            Err(error) => return Err(Stopped::Failed(broken(ready, &error.to_string()))),
        };
        took.push(ran.took);
        board.round(&ready.case.name, &shape, Path::Engine, took.len(), ran.took);
        let shapes = shaped(&output, ready);
        let matrix = flat(output, batched);
        let output = shapes.and_then(|()| checked(&matrix, ready, loaded));
        if let Err(problem) = output {
            let facts = OutputFacts {
                ok: false,
                ..facts(&matrix)
            };
            board.case(report(
                ready,
                shape,
                Some(instance),
                Path::Engine,
                took,
                false,
                facts,
            ));
            return Err(Stopped::Failed(wrong(ready, &problem)));
        }
        match policy.next(&took) {
            Rounds::Again => {}
            next => break (next == Rounds::Settled, facts(&matrix)),
        }
    };
    let report = report(
        ready,
        shape,
        Some(instance),
        Path::Engine,
        took,
        settled,
        output,
    );
    log(&report);
    board.case(report);
    loaded.coverage.plan(shape);
    Ok(())
}

pub fn log(case: &CaseReport) {
    let (first, steady) = (case.first(), case.steady());
    tracing::info!(
        event = "case",
        case = case.name,
        shape = %case.shape,
        instance = case.instance,
        rounds = case.rounds.len(),
        settled = case.settled,
        first_ms = millis(first),
        steady_ms = millis(steady),
        "warmed {}: first {}, steady {}",
        case.name,
        human::time(first),
        human::time(steady)
    );
}

/// Half the rows; what fits is what the batcher will be allowed.
fn step_down(ready: &mut Ready, why: &str, loaded: &Loaded, board: &Board) -> Result<(), Failure> {
    let rows = ready.rows();
    if rows <= 1 {
        let cause = format!("case {}: a single row does not fit: {why}", ready.case.name);
        let remedy = "raise the memory limit, or lower batching.max_tokens or instances";
        return Err(Failure::new(
            FailureKind::Memory,
            &Phase::Warming,
            cause,
            remedy,
        ));
    }
    let fewer = rows / 2;
    *ready = ready.cut(fewer);
    loaded.batcher.cap(fewer);
    let note = format!(
        "case {}: out of memory with {rows} rows, stepped down to {fewer}",
        ready.case.name
    );
    tracing::warn!(
        event = "batch_capped",
        case = ready.case.name,
        rows = fewer,
        "{note}"
    );
    board.set(|facts| facts.warmup.notes.push(note));
    Ok(())
}

/// The class that a case stands for.
#[must_use]
pub fn shape(ready: &Ready, loaded: &Loaded) -> ShapeBucket {
    let (rows, size) = extent(&ready.batch());
    loaded.buckets.of(rows, size)
}

#[must_use]
pub fn report(
    ready: &Ready,
    shape: ShapeBucket,
    instance: Option<usize>,
    path: Path,
    rounds: Vec<Duration>,
    settled: bool,
    output: OutputFacts,
) -> CaseReport {
    CaseReport {
        name: ready.case.name.clone(),
        shape: shape.to_string(),
        path,
        instance,
        rounds,
        settled,
        output,
    }
}

#[must_use]
pub fn facts(matrix: &Matrix) -> OutputFacts {
    let finite = matrix.data.iter().all(|x| x.is_finite());
    OutputFacts {
        rows: matrix.rows,
        dim: matrix.cols,
        finite,
        ok: true,
    }
}

/// Whether an output is what it must be; else what is wrong with it.
///
/// # Errors
/// One sentence for the report.
pub fn checked(matrix: &Matrix, ready: &Ready, loaded: &Loaded) -> Result<(), String> {
    let Expectation { dim, golden, .. } = &ready.case.expect;
    let (rows, wanted) = (matrix.rows, ready.rows());
    if rows != wanted {
        return Err(format!("{rows} rows came out of {wanted}"));
    }
    // What tensors hold was compared with their declaration already.
    let texts = loaded.info.signature.task.takes_texts();
    let wanted = dim
        .or(texts.then_some(loaded.info.dim))
        .unwrap_or(matrix.cols);
    if matrix.cols != wanted {
        return Err(format!(
            "rows have {} numbers instead of {wanted}",
            matrix.cols
        ));
    }
    if let Some(at) = matrix.data.iter().position(|x| !x.is_finite()) {
        let (row, column) = (at / matrix.cols.max(1), at % matrix.cols.max(1));
        return Err(format!(
            "row {row} holds {} at place {column}, not a finite number",
            matrix.data[at]
        ));
    }
    let Some(golden) = golden else { return Ok(()) };
    for (row, (got, known)) in matrix.iter().zip(&golden.rows).enumerate() {
        if known.len() != got.len() {
            return Err(format!(
                "golden row {row} has {} numbers, not {}",
                known.len(),
                got.len()
            ));
        }
        let off = got
            .iter()
            .zip(known)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, |most, off| if exceeds(off, most) { off } else { most });
        if exceeds(off, golden.tolerance) {
            return Err(format!("row {row} is off its known vector by {off:e}"));
        }
    }
    Ok(())
}

/// Whether output tensors have the shapes that the case expects.
fn shaped(output: &Output, ready: &Ready) -> Result<(), String> {
    let Output::Tensors(tensors) = output else {
        return Ok(());
    };
    for (name, shape) in &ready.case.expect.shapes {
        let tensor = tensors.iter().find(|tensor| tensor.name() == name);
        let tensor = tensor.ok_or_else(|| format!("there is no output '{name}'"))?;
        if tensor.shape() != shape {
            let got = tensor.shape();
            return Err(format!(
                "output '{name}' has shape {got:?}, expected {shape:?}"
            ));
        }
    }
    Ok(())
}

fn wrong(ready: &Ready, problem: &str) -> Failure {
    Failure::new(
        FailureKind::Warmup,
        &Phase::Warming,
        format!("case {}: wrong output: {problem}", ready.case.name),
        "check that the weights belong to the configuration, or correct what the case expects",
    )
}

fn broken(ready: &Ready, problem: &str) -> Failure {
    Failure::new(
        FailureKind::Warmup,
        &Phase::Warming,
        format!("case {}: {problem}", ready.case.name),
        "run `preheat warm` with the same model and RUST_LOG=debug to see what the engine met",
    )
}
