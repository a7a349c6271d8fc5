//! The seam between serving and computing.
//!
//! An [`Engine`] is a loaded model: weights, shared and read-only. An [`Instance`] is one
//! execution context over it (scratch memory, device stream, worker process, upstream connection)
//! and runs one batch at a time on whatever thread calls it. Everything above this seam is the same
//! for a CPU kernel, a GPU, a Python worker or an upstream server.

mod tensor;

use std::fmt;

pub use tensor::{Element, Tensor, TensorError, TensorSpec};

/// A loaded model. Cheap to share; owns the weights.
pub trait Engine: Send + Sync + fmt::Debug {
    fn info(&self) -> &EngineInfo;

    /// Opens one more execution context. Instances share the engine's weights.
    fn instance(&self) -> Result<Box<dyn Instance>, RunError>;
}

/// One execution context. Blocking: callers run it on a thread of its own.
///
/// An engine implements the way in that its [`Signature`] declares, and refuses the other.
pub trait Instance: Send {
    /// Runs one batch and returns one row for each sequence, in order.
    ///
    /// # Errors
    /// [`RunError::Input`] when the batch itself is at fault, anything else when the engine is.
    fn run(&mut self, batch: &TokenBatch) -> Result<Matrix, RunError> {
        self.run_while(batch, &|| true)
    }

    /// The same, and gives up where nobody waits for the answer any more: work that is thrown away
    /// keeps others waiting. An engine that cannot stop in the middle never asks.
    ///
    /// # Errors
    /// As for [`run`](Self::run), and [`RunError::Abandoned`].
    fn run_while(
        &mut self,
        batch: &TokenBatch,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Matrix, RunError> {
        let _ = (batch, is_wanted);
        Err(RunError::Input(
            "this model takes tensors, not texts".into(),
        ))
    }

    /// Runs the declared inputs, and returns the declared outputs in the order of the declaration.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    fn infer(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, RunError> {
        let _ = inputs;
        Err(RunError::Input(
            "this model takes texts, not tensors".into(),
        ))
    }
}

/// What goes in, in one of the two ways.
#[derive(Debug, Clone, PartialEq)]
pub enum Batch {
    Tokens(TokenBatch),
    Tensors(Vec<Tensor>),
}

/// What comes out, in the way of what went in.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    Rows(Matrix),
    Tensors(Vec<Tensor>),
}

impl Batch {
    /// Runs this on an instance, as long as it is wanted.
    ///
    /// # Errors
    /// Those of the instance.
    pub fn run_on(
        &self,
        instance: &mut dyn Instance,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Output, RunError> {
        match self {
            Batch::Tokens(batch) => instance.run_while(batch, is_wanted).map(Output::Rows),
            Batch::Tensors(tensors) => instance.infer(tensors).map(Output::Tensors),
        }
    }
}

impl From<TokenBatch> for Batch {
    fn from(batch: TokenBatch) -> Self {
        Batch::Tokens(batch)
    }
}

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Task {
    /// A vector for each text.
    #[default]
    Embed,
    /// A score for each label, for each text or pair of texts.
    Classify,
    /// A score for each label, for each image.
    Image,
    /// Named tensors in, named tensors out; what they mean is the caller's business.
    Tensors,
}

impl Task {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Task::Embed => "embed",
            Task::Classify => "classify",
            Task::Image => "image",
            Task::Tensors => "tensors",
        }
    }

    #[must_use]
    pub const fn takes_texts(self) -> bool {
        matches!(self, Task::Embed | Task::Classify)
    }
}

/// What a model takes and gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signature {
    pub task: Task,
    /// Tensors of models that do not take texts; none for those that do.
    pub inputs: Vec<TensorSpec>,
    pub outputs: Vec<TensorSpec>,
    /// The first dimension of every tensor counts independent rows: requests may run together.
    pub batched: bool,
    /// Every row of an encoder is brought to length one.
    pub normalized: bool,
    /// What the scores of a classifier are called, in order.
    pub labels: Vec<String>,
}

/// What an engine says about itself. It is reported as it is, so it must be true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInfo {
    /// Backend and device, for example `native-cpu` or `sim`.
    pub name: String,
    /// What the weights are held and multiplied in, for example `f32`.
    pub dtype: String,
    /// How a sequence becomes one row: `mean`, `cls`, `max`; empty where that has no meaning.
    pub pooling: String,
    /// Numbers in each output row.
    pub dim: usize,
    /// Longest sequence the model was made for, special tokens included.
    pub max_tokens: usize,
    /// Ids at or above this one are an input error.
    pub vocab: usize,
    /// Whether the first run of a new shape costs more than the next (compiled kernels, graphs,
    /// cached plans). Engines without such state need fewer warm-up rounds.
    pub shape_state: bool,
    /// Sleeps instead of computing; shown wherever a figure of it is shown.
    pub simulated: bool,
    /// How far reduced precision is off, measured; none in full precision.
    pub accuracy: Option<String>,
    pub signature: Signature,
}

/// Set in the id of a token that belongs to the second text of a pair, where a model tells the two
/// apart. Ids themselves are far below it.
pub const SECOND: u32 = 1 << 31;

/// Token ids of several sequences, one after the other, without padding. See [`SECOND`] for pairs.
///
/// Sequence `i` is `ids[offsets[i]..offsets[i + 1]]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenBatch {
    ids: Vec<u32>,
    offsets: Vec<usize>,
}

impl TokenBatch {
    #[must_use]
    pub fn new() -> Self {
        TokenBatch {
            ids: Vec::new(),
            offsets: vec![0],
        }
    }

    pub fn push(&mut self, sequence: &[u32]) {
        if self.offsets.is_empty() {
            self.offsets.push(0);
        }
        self.ids.extend_from_slice(sequence);
        self.offsets.push(self.ids.len());
    }

    /// Number of sequences.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Tokens of all sequences together.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }

    #[must_use]
    pub fn longest(&self) -> usize {
        self.iter().map(<[u32]>::len).max().unwrap_or(0)
    }

    pub fn iter(&self) -> impl Iterator<Item = &[u32]> {
        self.offsets.windows(2).map(|w| &self.ids[w[0]..w[1]])
    }

    /// Refuses what a model has no numbers for.
    ///
    /// # Errors
    /// [`RunError::Input`] names the row.
    pub(crate) fn check(&self, vocab: usize, max_tokens: usize) -> Result<(), RunError> {
        for (row, sequence) in self.iter().enumerate() {
            let found = sequence.len();
            let mut ids = sequence.iter().map(|id| id & !SECOND);
            let problem = match ids.find(|&id| id as usize >= vocab) {
                _ if found == 0 => "is empty".to_owned(),
                _ if found > max_tokens => {
                    format!("has {found} tokens, the model reads {max_tokens}")
                }
                Some(id) => format!("has the token id {id}, the vocabulary ends before {vocab}"),
                None => continue,
            };
            return Err(RunError::Input(format!("sequence {row} {problem}")));
        }
        Ok(())
    }

    /// All ids in order, and the row boundaries as described on the type.
    #[must_use]
    pub fn parts(&self) -> (&[u32], &[usize]) {
        (&self.ids, &self.offsets)
    }
}

impl<'a> FromIterator<&'a [u32]> for TokenBatch {
    fn from_iter<I: IntoIterator<Item = &'a [u32]>>(rows: I) -> Self {
        let mut batch = TokenBatch::new();
        rows.into_iter().for_each(|row| batch.push(row));
        batch
    }
}

/// Row-major `rows × cols` numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    pub rows: usize,
    pub cols: usize,
    pub data: Vec<f32>,
}

impl Matrix {
    pub fn iter(&self) -> impl Iterator<Item = &[f32]> {
        // An output without columns still has rows; `chunks` must not be asked for chunks of zero.
        self.data.chunks(self.cols.max(1))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// The caller's fault; the same batch will fail again.
    #[error("the batch cannot be run: {0}")]
    Input(String),
    /// The batch does not fit into memory; a smaller one may.
    #[error("out of memory: {0}")]
    OutOfMemory(String),
    /// The engine's fault.
    #[error("the engine failed: {0}")]
    Engine(String),
    /// Nobody waits for the answer, so it was not computed to its end.
    #[error("nobody waits for the answer any more")]
    Abandoned,
}
