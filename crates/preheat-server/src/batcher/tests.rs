//! The batcher over the sim engine, in real time.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use futures_util::future::join_all;
use preheat_engine::sim::{self, FaultKind, SimFault, SimSpec};
use preheat_engine::{
    Element, Engine, EngineInfo, Instance, Matrix, Signature, Task, TensorSpec, TokenBatch,
};

use super::*;

struct Bench {
    batcher: Batcher,
    metrics: Arc<Metrics>,
    instances: Instances,
    tasks: Tasks,
}

fn bench(run: Duration, fault: Option<FaultKind>, max_rows: usize) -> Bench {
    bench_of(spec(run, fault), max_rows)
}

fn spec(run: Duration, fault: Option<FaultKind>) -> SimSpec {
    let none = Duration::ZERO;
    SimSpec {
        weights: none,
        tokenizer: none,
        engine: none,
        first_run: none,
        run,
        per_token: none,
        shapes: BTreeMap::new(),
        buckets: Buckets::new(&[1, 4], &[4, 16], 8, 64),
        dim: 3,
        max_tokens: 64,
        memory: 0,
        fault: fault.map(|kind| SimFault {
            kind,
            after_runs: 0,
        }),
    }
}

fn bench_of(spec: SimSpec, max_rows: usize) -> Bench {
    let buckets = spec.buckets.clone();
    let engine = sim::load(spec).unwrap().engine;
    let instances = Instances::open(&engine, 1).unwrap();
    let metrics = Arc::new(Metrics::new("m", "0"));
    let limits = BatchLimits {
        max_rows,
        max_cost: 1024,
        max_delay: Duration::from_millis(2),
    };
    let config = BatcherConfig {
        limits,
        buckets,
        grouping: Grouping::ByLength,
    };
    let tasks = Tasks::new();
    let clock = Clock::started_at(std::time::Instant::now());
    let coverage = Coverage::new(true);
    let batcher = Batcher::start(
        config,
        instances.clone(),
        coverage,
        Arc::clone(&metrics),
        clock,
        &tasks,
    );
    Bench {
        batcher,
        metrics,
        instances,
        tasks,
    }
}

impl Bench {
    async fn ask(&self, rows: &[&[u32]], limit: Duration) -> Result<Answer, BatchError> {
        let rows: Vec<Vec<u32>> = rows.iter().map(|r| r.to_vec()).collect();
        let deadline = Instant::now() + limit;
        self.batcher
            .run(rows, false, deadline, self.batcher.arriving())
            .await
    }

    async fn alone(&self, row: &[u32]) -> Vec<f32> {
        let batch: TokenBatch = [row].into_iter().collect();
        matrix(self.instances.run(0, batch).await.result.unwrap()).data
    }

    fn batches(&self) -> u64 {
        self.metrics.totals.batches.load(Ordering::Relaxed)
    }
}

fn matrix(output: Output) -> Matrix {
    let Output::Rows(matrix) = output else {
        panic!("tensors for texts")
    };
    matrix
}

const SOON: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn each_request_gets_its_own_rows_in_its_own_order() {
    let bench = bench(Duration::from_millis(1), None, 8);
    let rows: Vec<Vec<u32>> = (0..40)
        .map(|n| (0..=n % 20).map(|i| n * 100 + i).collect())
        .collect();
    let asks = rows.chunks(4).map(|chunk| {
        let chunk: Vec<&[u32]> = chunk.iter().map(Vec::as_slice).collect();
        let bench = &bench;
        async move { matrix(bench.ask(&chunk, SOON).await.unwrap().output).data }
    });
    let answers = join_all(asks).await;
    for (chunk, answer) in rows.chunks(4).zip(answers) {
        for (row, got) in chunk.iter().zip(answer.chunks(3)) {
            assert_eq!(bench.alone(row).await, got);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_wait_run_together() {
    let bench = bench(Duration::from_millis(50), None, 8);
    let rows: Vec<[u32; 1]> = (0..9).map(|n| [n]).collect();
    let asks = rows.iter().map(|row| {
        let bench = &bench;
        async move { bench.ask(&[&row[..]], SOON).await }
    });
    assert!(join_all(asks).await.iter().all(Result::is_ok));
    // The first runs alone or with those beside it; the rest waited meanwhile and fill batches.
    assert!(
        bench.batches() <= 4,
        "{} batches for 9 rows",
        bench.batches()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_larger_than_a_batch_is_put_together_again() {
    let bench = bench(Duration::ZERO, None, 2);
    let answer = bench
        .ask(&[&[1], &[2], &[3], &[4], &[5]], SOON)
        .await
        .unwrap();
    let matrix = matrix(answer.output);
    assert_eq!(matrix.rows, 5);
    assert_eq!(matrix.data[12..], bench.alone(&[5]).await);
    assert!(bench.batches() >= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_left_is_not_run() {
    let bench = bench(Duration::from_millis(200), None, 1);
    let first = bench.ask(&[&[1]], SOON);
    let leaver = bench.ask(&[&[2], &[3], &[4], &[5]], Duration::from_millis(50));
    let (first, leaver) = tokio::join!(first, leaver);
    assert!(first.is_ok());
    assert_eq!(leaver, Err(BatchError::Deadline));
    bench.ask(&[&[6]], SOON).await.unwrap();
    // One of the leaver's rows may have been running when it left; the others never ran.
    assert!(bench.batches() <= 3, "{} batches", bench.batches());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_ends_when_all_who_waited_for_it_have_left() {
    let mut spec = spec(Duration::ZERO, None);
    let long = spec.buckets.of(1, 10);
    spec.shapes.insert(long, Duration::from_secs(3_600));
    let bench = bench_of(spec, 8);
    let leaver = bench.ask(&[&[1; 10]], Duration::from_millis(50)).await;
    assert_eq!(leaver, Err(BatchError::Deadline));
    // The one instance is free again.
    bench.ask(&[&[1]], SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shape_whose_first_batch_was_given_up_is_cold_for_the_next() {
    let bench = bench(Duration::from_millis(200), None, 8);
    let leaver = bench.ask(&[&[1]], Duration::from_millis(50)).await;
    assert_eq!(leaver, Err(BatchError::Deadline));
    for _ in 0..2 {
        bench.ask(&[&[2]], SOON).await.unwrap();
    }
    let cold = bench.metrics.totals.cold.load(Ordering::Relaxed);
    assert_eq!(cold, 2, "the leaver, and who came next");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_our_own_gives_way() {
    let bench = bench(Duration::from_secs(3_600), None, 8);
    let batch: TokenBatch = [&[1u32][..]].into_iter().collect();
    let ran = bench.instances.run_while(0, batch, || false).await;
    assert_eq!(ran.result, Err(RunError::Abandoned));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_goes_on_for_those_who_stay() {
    let bench = bench(Duration::from_millis(300), None, 8);
    let busy = bench.ask(&[&[9]], SOON);
    let leaver = bench.ask(&[&[1]], Duration::from_millis(400));
    let stayer = bench.ask(&[&[2]], SOON);
    let (_, leaver, stayer) = tokio::join!(busy, leaver, stayer);
    assert_eq!(leaver, Err(BatchError::Deadline));
    assert_eq!(matrix(stayer.unwrap().output).data, bench.alone(&[2]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_batch_fails_its_own_requests_and_no_others() {
    let bench = bench(Duration::ZERO, Some(FaultKind::OutOfMemory), 8);
    // Fails for batches of more than one row.
    let refused = bench.ask(&[&[1], &[2]], SOON).await;
    assert!(
        matches!(refused, Err(BatchError::Run(RunError::OutOfMemory(_)))),
        "{refused:?}"
    );
    assert!(bench.ask(&[&[3]], SOON).await.is_ok());
    bench.batcher.cap(1);
    assert!(
        bench.ask(&[&[1], &[2]], SOON).await.is_ok(),
        "capped batches fit"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_holds_a_handle_keeps_no_process_from_ending() {
    let bench = bench(Duration::ZERO, None, 8);
    bench.tasks.close_and_wait(SOON).await.unwrap();
    assert_eq!(bench.ask(&[&[1]], SOON).await, Err(BatchError::Gone));
}

#[tokio::test(flavor = "multi_thread")]
async fn cold_shapes_are_counted_once_for_each_instance() {
    let bench = bench(Duration::ZERO, None, 8);
    for _ in 0..3 {
        bench.ask(&[&[1]], SOON).await.unwrap();
        bench.ask(&[&[1; 10]], SOON).await.unwrap();
    }
    let usage = preheat_runtime::memory::Usage {
        resident: 0,
        peak: 0,
    };
    let page = bench.metrics.page(
        usage,
        0,
        &preheat_runtime::edge::ConnectionCounters::default(),
    );
    assert!(
        page.contains("preheat_cold_requests_total{model=\"m\"} 2\n"),
        "{page}"
    );
    assert!(
        page.contains("preheat_unplanned_shape_total{model=\"m\"} 6\n"),
        "{page}"
    );
    drop(bench.tasks);
}

/// Doubles a tensor, slowly enough for others to come while it does.
#[derive(Debug)]
struct Doubler(EngineInfo);

struct Doubling;

impl Engine for Doubler {
    fn info(&self) -> &EngineInfo {
        &self.0
    }

    fn instance(&self) -> Result<Box<dyn Instance>, RunError> {
        Ok(Box::new(Doubling))
    }
}

impl Instance for Doubling {
    fn infer(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, RunError> {
        std::thread::sleep(Duration::from_millis(20));
        let doubled: Vec<f32> = inputs[0].numbers().map(|x| 2.0 * x).collect();
        Ok(vec![
            Tensor::of_f32("y", inputs[0].shape().to_vec(), &doubled).unwrap(),
        ])
    }
}

fn doubler() -> Arc<dyn Engine> {
    let spec = |name: &str| TensorSpec {
        name: name.into(),
        element: Element::F32,
        shape: Some(vec![None, None]),
    };
    Arc::new(Doubler(EngineInfo {
        name: "doubler".into(),
        dtype: "f32".into(),
        pooling: String::new(),
        dim: 0,
        max_tokens: 0,
        vocab: 0,
        shape_state: true,
        simulated: false,
        accuracy: None,
        signature: Signature {
            task: Task::Tensors,
            inputs: vec![spec("x")],
            outputs: vec![spec("y")],
            batched: true,
            normalized: false,
            labels: Vec::new(),
        },
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn tensors_of_one_shape_run_together_and_each_request_gets_its_own() {
    let instances = Instances::open(&doubler(), 1).unwrap();
    let metrics = Arc::new(Metrics::new("m", "0"));
    let config = BatcherConfig {
        limits: BatchLimits {
            max_rows: usize::MAX,
            max_cost: 8,
            max_delay: Duration::from_millis(2),
        },
        buckets: Buckets::new(&[1, 4], &[2, 3], 8, 3),
        grouping: Grouping::ByShape,
    };
    let tasks = Tasks::new();
    let batcher = Batcher::start(
        config,
        instances,
        Coverage::new(true),
        Arc::clone(&metrics),
        Clock::started_at(std::time::Instant::now()),
        &tasks,
    );
    let asks = (0..12usize).map(|n| {
        let batcher = &batcher;
        async move {
            let (rows, cols) = (1 + n % 2, 2 + n % 2);
            let numbers: Vec<f32> = (0..rows * cols).map(|i| (10 * n + i) as f32).collect();
            let tensor = Tensor::of_f32("x", vec![rows, cols], &numbers).unwrap();
            let deadline = Instant::now() + SOON;
            let arriving = batcher.arriving();
            let answer = batcher.run(vec![tensor], false, deadline, arriving).await;
            let Output::Tensors(outputs) = answer.unwrap().output else {
                panic!("rows for tensors")
            };
            assert_eq!(outputs[0].shape(), [rows, cols]);
            let doubled: Vec<f32> = numbers.iter().map(|x| 2.0 * x).collect();
            assert_eq!(outputs[0].numbers().collect::<Vec<_>>(), doubled);
        }
    });
    join_all(asks).await;
    let batches = metrics.totals.batches.load(Ordering::Relaxed);
    assert!(
        (2..12).contains(&batches),
        "{batches} batches for 12 requests of two shapes"
    );
}
