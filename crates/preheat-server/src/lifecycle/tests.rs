//! The driver in simulated time: minutes of a replica's life in milliseconds.

use std::sync::Mutex;

use preheat_core::OnFailure;
use preheat_core::proof::{
    ConcurrencyEvidence, Criteria, Evidence, FirstRequests, MemoryEvidence, WeightsEvidence,
    WhenUnsettled,
};
use preheat_core::warmup::{CaseReport, OutputFacts, Path};
use preheat_core::{ShapeBucket, Warmth};

use super::*;

/// Work that takes declared times and writes down what it was asked to do.
struct Script {
    fetch: Duration,
    warm: Duration,
    prove: Duration,
    /// Attempts that find latency unsettled.
    unsettled: Mutex<usize>,
    /// Loads that fail.
    failing_loads: Mutex<usize>,
    cut: usize,
    clock: Clock,
    log: Mutex<Vec<(u64, String)>>,
}

impl Script {
    fn new(clock: Clock) -> Self {
        Script {
            fetch: Duration::from_secs(40),
            warm: Duration::from_secs(6),
            prove: Duration::from_secs(2),
            unsettled: Mutex::new(0),
            failing_loads: Mutex::new(0),
            cut: 0,
            clock,
            log: Mutex::default(),
        }
    }

    fn note(&self, what: impl Into<String>) {
        let second = self.clock.now().since_start().as_secs();
        self.log.lock().unwrap().push((second, what.into()));
    }

    fn log(&self) -> Vec<String> {
        self.log
            .lock()
            .unwrap()
            .iter()
            .map(|(at, what)| format!("{at} {what}"))
            .collect()
    }
}

fn count_down(left: &Mutex<usize>) -> bool {
    let mut left = left.lock().unwrap();
    let hit = *left > 0;
    *left = left.saturating_sub(1);
    hit
}

impl Work for Script {
    async fn wanted(&self) {}

    async fn fetch(&self) -> Result<(), Failure> {
        sleep(self.fetch).await;
        Ok(())
    }

    async fn load(&self) -> Result<(), Failure> {
        sleep(Duration::from_secs(25)).await;
        if count_down(&self.failing_loads) {
            return Err(Failure::new(
                FailureKind::Load,
                &Phase::Loading,
                "torn file",
                "fetch again",
            ));
        }
        Ok(())
    }

    async fn warm(&self) -> Result<(), Failure> {
        sleep(self.warm).await;
        Ok(())
    }

    async fn prove(&self) -> Result<Verdict, Failure> {
        sleep(self.prove).await;
        let settled = !count_down(&self.unsettled);
        Ok(criteria().judge(&evidence(settled), self.clock.now()))
    }

    fn open(&self, pass: Pass) {
        self.note(format!("open {}", pass.warmth().name()));
    }

    fn close(&self) {
        self.note("close");
    }

    async fn drain(&self) -> usize {
        sleep(Duration::from_secs(5)).await;
        self.cut
    }

    fn entered(&self, life: &Lifecycle) {
        self.note(life.phase().name());
    }
}

fn criteria() -> Criteria {
    Criteria {
        max_first_ratio: 1.5,
        slack: Duration::ZERO,
        headroom: 0.2,
        slo_p95: Duration::from_secs(1),
        when_unsettled: WhenUnsettled::Degrade,
    }
}

fn evidence(settled: bool) -> Evidence {
    let took = vec![Duration::from_millis(3); 3];
    Evidence {
        server: None,
        weights: WeightsEvidence {
            device: "sim".into(),
            checksum_ok: None,
            tokenizer_ready: true,
        },
        cases: vec![CaseReport {
            name: "1x16".into(),
            shape: ShapeBucket::new(1, 16).to_string(),
            path: Path::Engine,
            instance: Some(0),
            rounds: took.clone(),
            settled,
            output: OutputFacts {
                rows: 1,
                dim: 2,
                finite: true,
                ok: true,
            },
        }],
        missing: Vec::new(),
        first_requests: vec![FirstRequests {
            path: Path::Http,
            first: took.clone(),
            steady: took,
        }],
        concurrency: Some(ConcurrencyEvidence {
            requests: 2,
            failed: 0,
            max_difference: 0.0,
            tolerance: 0.0,
        }),
        memory: MemoryEvidence {
            peak_bytes: 1,
            limit_bytes: 100,
        },
        load: None,
    }
}

/// Lives the life that `change` describes, drains after `drain_after`, and returns what happened.
async fn live(
    on_failure: OnFailure,
    drain_after: Duration,
    change: impl FnOnce(&mut Script),
) -> (Exit, Vec<String>) {
    let clock = Clock::started_at(tokio::time::Instant::now().into_std());
    let mut script = Script::new(clock);
    change(&mut script);
    let script = Arc::new(script);
    let settings = LifecycleSettings {
        skip_warmup: false,
        on_failure,
        warmup_timeout: Duration::from_secs(60),
    };
    let (tasks, shutdown) = (Tasks::new(), Shutdown::new());
    let driver = Driver::new(
        settings,
        Arc::clone(&script),
        clock,
        tasks.clone(),
        shutdown.clone(),
    );
    let (_commands, inbox) = mpsc::channel(COMMANDS);
    tasks.spawn("drain later", async move {
        sleep(drain_after).await;
        shutdown.request(Urgency::Drain);
    });
    let exit = driver.run(inbox).await;
    (exit, script.log())
}

const LATER: Duration = Duration::from_secs(1000);

#[tokio::test(start_paused = true)]
async fn a_replica_opens_only_after_its_proof() {
    let (exit, log) = live(OnFailure::Hold, LATER, |_| {}).await;
    assert_eq!(exit, Exit::Drained);
    assert_eq!(
        log,
        [
            "0 starting",
            "0 fetching",
            "40 loading",
            "65 warming",
            "71 proving",
            "73 open proven",
            "73 ready",
            "1000 draining",
            "1005 stopped"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn noise_is_measured_again_and_at_the_end_excused_but_said() {
    let (_, log) = live(OnFailure::Hold, LATER, |s| s.unsettled = Mutex::new(3)).await;
    assert!(log.contains(&"79 open proven".to_owned()), "{log:?}");

    let (_, log) = live(OnFailure::Hold, LATER, |s| {
        s.unsettled = Mutex::new(usize::MAX)
    })
    .await;
    let opened: Vec<_> = log.iter().filter(|l| l.contains("open")).collect();
    assert_eq!(opened.len(), 1, "{log:?}");
    assert!(opened[0].ends_with(Warmth::Degraded.name()), "{log:?}");
}

#[tokio::test(start_paused = true)]
async fn a_warm_up_that_never_ends_fails_at_its_time_out() {
    let (exit, log) = live(OnFailure::Exit, LATER, |s| {
        s.warm = Duration::from_secs(3600)
    })
    .await;
    assert_eq!(exit.code(), FailureKind::Warmup.exit_code());
    assert_eq!(log.last().map(String::as_str), Some("125 failed"));
    assert!(!log.iter().any(|l| l.contains("open")));
}

#[tokio::test(start_paused = true)]
async fn retry_starts_over_after_a_pause() {
    let (_, log) = live(OnFailure::Retry, LATER, |s| s.failing_loads = Mutex::new(2)).await;
    let fetches: Vec<_> = log.iter().filter(|l| l.ends_with("fetching")).collect();
    // Each try takes 65 s; the pauses are one and two seconds.
    assert_eq!(fetches, ["0 fetching", "66 fetching", "133 fetching"]);
    assert!(log.contains(&"206 open proven".to_owned()), "{log:?}");
}

#[tokio::test(start_paused = true)]
async fn whoever_is_told_to_leave_while_starting_leaves() {
    let (exit, log) = live(OnFailure::Hold, Duration::from_secs(50), |_| {}).await;
    assert_eq!(exit, Exit::Drained);
    assert_eq!(log.last().map(String::as_str), Some("55 stopped"));
    assert!(!log.iter().any(|l| l.contains("open")), "{log:?}");
}

#[tokio::test(start_paused = true)]
async fn cut_requests_show_in_the_exit_code() {
    let (exit, _) = live(OnFailure::Hold, LATER, |s| s.cut = 2).await;
    assert_eq!(exit.code(), 17);
}

#[tokio::test(start_paused = true)]
async fn held_failures_wait_for_a_person() {
    let (exit, log) = live(OnFailure::Hold, LATER, |s| s.failing_loads = Mutex::new(1)).await;
    assert_eq!(exit, Exit::Drained);
    assert_eq!(log[3..], ["65 failed", "1000 draining", "1005 stopped"]);
}
