//! One request as all routes describe it, and what comes of it.

use std::time::Duration;

use preheat_engine::{Matrix, Task, Tensor};
use tokio::time::Instant;

use crate::prepare::{Inputs, TooLong};

/// One request as all routes describe it.
#[derive(Debug, Clone)]
pub struct Ask {
    pub inputs: Inputs,
    /// What the route is for; none: whatever the model does.
    pub task: Option<Task>,
    pub too_long: TooLong,
    /// The name of what stands in front of texts; none: whatever the model wants there.
    pub prompt: Option<String>,
    pub arrival: Arrival,
    pub deadline: Instant,
}

/// What was so when a request's head arrived.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    pub at: Instant,
    /// Part of the warm-up: passes the closed gate and is not counted.
    pub synthetic: bool,
    /// The replica had begun to refuse. Who came before that is served, however long its body took.
    pub refused: bool,
}

/// The answer, and where its time went.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedded {
    /// One row for each input.
    pub matrix: Matrix,
    /// Tokens of all inputs together.
    pub tokens: usize,
    pub times: Times,
}

/// Tensors that came of tensors, and where the time went.
#[derive(Debug, Clone, PartialEq)]
pub struct Inferred {
    pub tensors: Vec<Tensor>,
    pub times: Times,
}

/// Where a request's time went.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Times {
    /// What this request waited for the whole start of a lazy model; zero for all others.
    pub started: Duration,
    pub prepared: Duration,
    pub queued: Duration,
    pub inference: Duration,
}
