//! What every route calls: gate → admission → prepare → batch → answer.

mod ask;
mod enter;
mod prepare;

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use preheat_api::report::FIRST_REQUEST;
use preheat_core::{ModelName, Moment, Pass, Span, Warmth};
use preheat_engine::tokenizer::{Special, Token};
use preheat_engine::{Output, RunError, Signature, Tensor};
use preheat_runtime::{Draining, Latch, Stage, Tasks};
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use crate::batcher::BatchError;
use crate::board::Board;
use crate::metrics::Metrics;
use crate::model::Loaded;
use crate::prepare::{Preparer, no_tokens};
use crate::sample;
use crate::serve_error::ServeError;
use crate::settings::Limits;
pub use ask::{Arrival, Ask, Embedded, Inferred, Times};
pub use enter::Visit;
use prepare::{Way, in_front};

/// Bytes of texts whose tokens are told in one request. A token takes some 600 bytes until it is
/// written, and may be a single byte of a text: this is 80 MB.
const MOST_TOLD: usize = 128 * 1024;

/// The gate that only a pass opens.
pub type Gate = Latch<Pass>;

/// Serves one model. Shared by all front doors.
#[derive(Debug)]
pub struct Service {
    pub name: ModelName,
    pub limits: Limits,
    pub gate: Arc<Gate>,
    pub board: Arc<Board>,
    pub metrics: Arc<Metrics>,
    draining: Draining,
    preparer: Preparer,
    loaded: RwLock<Option<Loaded>>,
    /// Places to be worked on at once; who finds none waits.
    places: Arc<Semaphore>,
    inside: AtomicUsize,
    lazy: Lazy,
    /// Opened by the first user who comes in.
    visited: Latch<()>,
    /// A user has been answered.
    met_user: AtomicBool,
    /// When a user was last answered, in milliseconds; 0: never.
    last_user: AtomicU64,
}

/// A start that waits for its first request.
#[derive(Debug, Default)]
pub struct Lazy {
    enabled: bool,
    wanted: Notify,
}

impl Service {
    #[must_use]
    pub fn new(
        name: ModelName,
        limits: Limits,
        lazy: bool,
        board: Arc<Board>,
        metrics: Arc<Metrics>,
        draining: Draining,
        tasks: &Tasks,
    ) -> Self {
        Service {
            name,
            gate: Arc::new(Gate::new()),
            board,
            metrics,
            draining,
            preparer: Preparer::new(tasks.clone()),
            loaded: RwLock::new(None),
            places: Arc::new(Semaphore::new(
                limits.concurrency.min(Semaphore::MAX_PERMITS),
            )),
            inside: AtomicUsize::new(0),
            visited: Latch::new(),
            met_user: AtomicBool::new(false),
            last_user: AtomicU64::new(0),
            lazy: Lazy {
                enabled: lazy,
                wanted: Notify::new(),
            },
            limits,
        }
    }

    /// The lifecycle's: requests now meet this model, or none.
    pub fn install(&self, loaded: Option<Loaded>) {
        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = loaded;
    }

    #[must_use]
    pub fn loaded(&self) -> Option<Loaded> {
        self.loaded
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits until a request asks for a model that is loaded lazily.
    pub async fn wanted(&self) {
        if self.lazy.enabled {
            self.lazy.wanted.notified().await;
            tracing::info!(
                event = "wanted",
                model = self.name.as_str(),
                "loading the model on first request: load = lazy"
            );
        }
    }

    /// Ends when the replica begins to leave: for answers that would otherwise never end.
    pub fn leaving(&self) -> impl Future<Output = ()> + Send + 'static {
        let draining = self.draining.clone();
        async move { draining.reached(Stage::Settling).await }
    }

    /// Whether no request is here, not even a waiting one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.inside.load(Ordering::Relaxed) == 0
    }

    /// How warm this replica is known to be; none while it serves nobody.
    #[must_use]
    pub fn warmth(&self) -> Option<Warmth> {
        self.gate.get().map(|pass| pass.warmth())
    }

    /// Ends when any user has come in.
    pub async fn first_user(&self) {
        let mut visited = self.visited.watch();
        // It cannot be closed as long as this service is there.
        let _ = visited.wait_for(Option::is_some).await;
    }

    /// When a user was last answered.
    #[must_use]
    pub fn last_user(&self) -> Option<Moment> {
        let millis = self.last_user.load(Ordering::Relaxed);
        (millis > 0).then(|| Moment::after_start(Duration::from_millis(millis)))
    }

    /// Runs one request.
    ///
    /// # Errors
    /// [`ServeError`]; what was refused was not run.
    pub async fn embed(&self, ask: Ask) -> Result<Embedded, ServeError> {
        let (output, tokens, times) = self.answer(ask).await?;
        let matrix = sample::flat(output, true);
        Ok(Embedded {
            matrix,
            tokens,
            times,
        })
    }

    /// Runs one request of tensors.
    ///
    /// # Errors
    /// As for [`embed`](Self::embed).
    pub async fn infer(&self, ask: Ask) -> Result<Inferred, ServeError> {
        let (output, _, times) = self.answer(ask).await?;
        match output {
            Output::Tensors(tensors) => Ok(Inferred { tensors, times }),
            Output::Rows(_) => Err(ServeError::Engine("rows came of tensors".into())),
        }
    }

    /// What the model declares; the first request to a lazy model waits for it to be loaded.
    ///
    /// # Errors
    /// As for [`embed`](Self::embed).
    pub async fn signature(
        &self,
        arrival: Arrival,
        deadline: Instant,
    ) -> Result<Signature, ServeError> {
        if let Some(loaded) = self.loaded() {
            return Ok(loaded.info.signature.clone());
        }
        let whole = async {
            let (loaded, _inside) = self.enter(arrival, deadline).await?;
            Ok(loaded.info.signature.clone())
        };
        self.within(deadline, whole).await
    }

    async fn answer(&self, ask: Ask) -> Result<(Output, usize, Times), ServeError> {
        self.check(ask.inputs.len())?;
        let deadline = ask.deadline;
        self.within(deadline, self.run(ask)).await
    }

    /// Whether a request need not even be read: what it will be told anyway.
    ///
    /// # Errors
    /// [`ServeError::NotReady`] and [`ServeError::Draining`].
    pub fn check_open(&self, arrival: &Arrival) -> Result<(), ServeError> {
        if arrival.refused {
            return Err(ServeError::Draining);
        }
        if arrival.synthetic || self.lazy.enabled || self.gate.is_open() {
            return Ok(());
        }
        Err(self.not_ready())
    }

    /// A request whose head is here now.
    #[must_use]
    pub fn arrival(&self, synthetic: bool) -> Arrival {
        Arrival {
            at: Instant::now(),
            synthetic,
            refused: self.draining.stage() >= Stage::Refusing,
        }
    }

    /// `work`, or the answer that it took too long.
    ///
    /// # Errors
    /// Those of `work`, and [`ServeError::Deadline`].
    pub async fn within<T>(
        &self,
        deadline: Instant,
        work: impl Future<Output = Result<T, ServeError>>,
    ) -> Result<T, ServeError> {
        let limit = self.limits.request_timeout;
        tokio::time::timeout_at(deadline, work)
            .await
            .unwrap_or(Err(ServeError::Deadline { limit }))
    }

    /// Every token of each text.
    ///
    /// # Errors
    /// As for [`embed`](Self::embed).
    pub async fn tokenize(
        &self,
        texts: Vec<String>,
        special: Special,
        prompt: Option<String>,
        arrival: Arrival,
    ) -> Result<Vec<Vec<Token>>, ServeError> {
        self.check(texts.len())?;
        check_told(&texts)?;
        let deadline = arrival.at + self.limits.request_timeout;
        let whole = async {
            let (loaded, _inside) = self.enter(arrival, deadline).await?;
            let task = loaded.info.signature.task.name();
            let tokenizer = loaded.tokenizer.ok_or(ServeError::WrongTask { task })?;
            if !arrival.synthetic && !tokenizer.has_details() {
                self.metrics.cold(1);
            }
            let texts = in_front(tokenizer.prompts(), prompt.as_deref(), texts)?;
            check_told(&texts)?;
            let tokens =
                move |text: &String| tokenizer.encode_detail(text, special).map_err(no_tokens);
            self.elsewhere(move || texts.iter().map(tokens).collect())
                .await
        };
        self.within(deadline, whole).await
    }

    /// Runs heavy work on a request's data off the event loop, a few at a time.
    ///
    /// # Errors
    /// Those of `work`.
    pub async fn elsewhere<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ServeError> + Send + 'static,
    ) -> Result<T, ServeError> {
        self.preparer.elsewhere(work).await
    }

    fn check(&self, inputs: usize) -> Result<(), ServeError> {
        let limit = self.limits.client_batch;
        match inputs {
            0 => Err(ServeError::NoInput),
            got if got > limit => Err(ServeError::TooManyInputs { got, limit }),
            _ => Ok(()),
        }
    }

    async fn run(&self, ask: Ask) -> Result<(Output, usize, Times), ServeError> {
        let Arrival { at, synthetic, .. } = ask.arrival;
        let entering = Instant::now();
        let (loaded, _inside) = self.enter(ask.arrival, ask.deadline).await?;
        let started = entering.elapsed();
        let _place = self
            .places
            .acquire()
            .await
            .map_err(|_| ServeError::Draining)?;
        let arriving = loaded.batcher.arriving();
        let began = Instant::now();
        let way = Way {
            task: ask.task,
            too_long: ask.too_long,
            prompt: ask.prompt.as_deref(),
        };
        let (items, tokens) = self.prepare(&loaded, ask.inputs, &way).await?;
        let prepared = began.elapsed();
        let answer = loaded
            .batcher
            .run(items, synthetic, ask.deadline, arriving)
            .await
            .map_err(|error| self.refused(error))?;
        let finite = match &answer.output {
            Output::Rows(matrix) => matrix.data.iter().all(|x| x.is_finite()),
            Output::Tensors(tensors) => tensors.iter().all(Tensor::is_finite),
        };
        if !finite {
            return Err(self.refused(RunError::Engine("an answer is not a number".into()).into()));
        }
        if !synthetic {
            self.metrics.queued(answer.queued);
            self.meet_user(at);
        }
        let times = Times {
            started,
            prepared,
            queued: answer.queued,
            inference: answer.inference,
        };
        Ok((answer.output, tokens, times))
    }

    /// A user was answered. The first one's request is the last stage of a cold start.
    pub fn meet_user(&self, arrived: Instant) {
        let now = self.board.clock().now().since_start().as_millis();
        self.last_user
            .store(u64::try_from(now).unwrap_or(u64::MAX), Ordering::Relaxed);
        if !self.met_user.swap(true, Ordering::Relaxed) {
            let took = arrived.elapsed();
            let start = self.board.clock().at(arrived.into_std());
            let stage = FIRST_REQUEST.to_owned();
            self.board.span(Span {
                stage,
                start,
                took,
                bytes: None,
                cpu: None,
            });
            self.metrics.stage(FIRST_REQUEST, took);
        }
    }

    fn refused(&self, error: BatchError) -> ServeError {
        match error {
            BatchError::Deadline => ServeError::Deadline {
                limit: self.limits.request_timeout,
            },
            BatchError::Run(error) => {
                tracing::error!(event = "run_failed", %error, model = %self.name, "a batch failed");
                ServeError::Engine(error.to_string())
            }
            BatchError::Gone => ServeError::Draining,
        }
    }
}

fn check_told(texts: &[String]) -> Result<(), ServeError> {
    let (got, limit) = (texts.iter().map(String::len).sum(), MOST_TOLD);
    match got > limit {
        true => Err(ServeError::TextsTooLarge { got, limit }),
        false => Ok(()),
    }
}
