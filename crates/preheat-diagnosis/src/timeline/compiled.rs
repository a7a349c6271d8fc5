//! What was compiled, told in the same words: at start, for one request and for another.

use super::{Phase, Stream};

/// Lines of compiling that are compared with each other.
const COMPILED: usize = 64;

/// What was compiled, as the first line that tells it.
#[derive(Debug)]
pub(super) struct Compiled {
    /// Without its numbers.
    line: String,
    shape: String,
    /// Requests that were told of before it; none while it starts.
    behind: Option<u64>,
}

/// What was compiled before it, in the same words.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Known {
    /// With other numbers, and not for the same request.
    pub(crate) is_other: bool,
    /// At start, or for an earlier request.
    pub(crate) is_again: bool,
}

impl Stream {
    /// Whether nobody is known to have asked for anything, nor a start to be over.
    pub(crate) fn may_be_starting(&self) -> bool {
        self.phase == Phase::Starting && self.requests == 0 && !self.is_asleep
    }

    /// Takes a line in that tells what is compiled, with and without its numbers, which are its shape. What one
    /// request needs may have many.
    pub(crate) fn compiles(&mut self, line: String, numbered: &str) -> Known {
        let behind = (self.phase != Phase::Starting).then_some(self.requests);
        let Some(known) = self.compiled.iter().find(|known| known.line == line) else {
            if self.compiled.len() < COMPILED {
                let shape = numbered.to_owned();
                self.compiled.push(Compiled {
                    line,
                    shape,
                    behind,
                });
            }
            return Known::default();
        };
        let is_again = known.behind != behind;
        let is_of_one = !is_again && is_of_a_layer(numbered) && !self.has_answered;
        Known {
            is_other: known.shape != numbered && !is_of_one,
            is_again,
        }
    }
}

/// Whether a part of a model is compiled, of which it has many.
fn is_of_a_layer(text: &str) -> bool {
    let mut parts = [
        "gemm",
        "kernel",
        "conv",
        "matmul",
        "attention",
        "layer",
        "autotune ",
    ]
    .iter();
    parts.any(|part| text.contains(part))
}
