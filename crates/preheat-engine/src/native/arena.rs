//! The memory of one execution context: made once, of a size that depends on the model only, and
//! touched, so that no request waits for a page.

use super::isa::Kernels;
use super::memory::{Floats, NoMemory};
use super::ops::Scratch;
use crate::engine::RunError;
use crate::load::EncoderConfig;

/// Tokens that are computed together. More would leave the second-level cache; what sequences they
/// come from changes no answer.
const GROUP_TOKENS: usize = 512;

/// One row for each token of a group.
pub(super) struct Arena {
    tokens: usize,
    /// The residual stream.
    pub(super) hidden: Floats,
    /// What a layer adds to it.
    pub(super) update: Floats,
    pub(super) qkv: Floats,
    pub(super) context: Floats,
    pub(super) inner: Floats,
    pub(super) scratch: Scratch,
    /// Sequences of the group, longest first.
    pub(super) order: Vec<(usize, usize)>,
}

impl Arena {
    pub(super) fn new(config: &EncoderConfig, kernels: Kernels) -> Result<Self, RunError> {
        let tokens = GROUP_TOKENS.max(config.max_tokens);
        Self::of(tokens, config, kernels).map_err(|NoMemory { bytes }| {
            RunError::OutOfMemory(format!(
                "{bytes} bytes of scratch memory for {tokens} tokens"
            ))
        })
    }

    fn of(tokens: usize, config: &EncoderConfig, kernels: Kernels) -> Result<Self, NoMemory> {
        let rows = |width: usize| Floats::zeroed(tokens.saturating_mul(width));
        Ok(Arena {
            tokens,
            hidden: rows(config.hidden)?,
            update: rows(config.hidden)?,
            qkv: rows(3 * config.hidden)?,
            context: rows(config.hidden)?,
            inner: rows(config.inner)?,
            scratch: Scratch::new(config, kernels)?,
            order: Vec::with_capacity(tokens),
        })
    }

    /// Most tokens of one group.
    pub(super) fn tokens(&self) -> usize {
        self.tokens
    }
}
