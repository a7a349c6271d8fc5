//! A forward pass: which step follows which.

use super::arena::{Arena, Operand, RoundedRows};
use super::group::Group;
use super::layout;
use super::model::Model;
use super::ops::{AddNorm, Attention, Embed, Input, Linear, Op, Pooled, Round, Rows, Shared};
use super::pool::{PartPanicked, Pool};
use crate::engine::RunError;
use crate::load::Activation;

/// One group of sequences on its way through the model.
pub(super) struct Pass<'a> {
    group: &'a Group<'a>,
    tokens: usize,
    model: &'a Model,
    arena: &'a mut Arena,
    pool: &'a mut Pool,
}

type Done = Result<(), PartPanicked>;

impl<'a> Pass<'a> {
    /// The group fits the arena.
    pub(super) fn over(
        group: &'a Group<'a>,
        model: &'a Model,
        arena: &'a mut Arena,
        pool: &'a mut Pool,
    ) -> Self {
        Pass {
            group,
            tokens: group.ids.len(),
            model,
            arena,
            pool,
        }
    }

    /// Writes one row of `out` for each sequence, if that is wanted to the end.
    pub(super) fn run(
        mut self,
        out: &mut [f32],
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<(), RunError> {
        let check = || is_wanted().then_some(()).ok_or(RunError::Abandoned);
        self.arena.arrange(self.group);
        self.pool.settle();
        self.embed()?;
        for layer in self.model.layers() {
            check()?;
            self.attend(layer)?;
            self.add_norm(&layer.attention_norm)?;
            check()?;
            self.feed_forward(layer)?;
            self.add_norm(&layer.output_norm)?;
        }
        Ok(self.sum_up(out)?)
    }

    fn embed(&mut self) -> Done {
        let hidden = self.model.config.hidden;
        let Arena {
            stream,
            rounded,
            spans,
            ..
        } = &mut *self.arena;
        self.pool.run(&Op::Embed(Embed {
            ids: self.group.ids,
            spans,
            words: &self.model.words,
            positions: self.model.positions(),
            second: self.model.second(),
            norm: self.model.embedding_norm(),
            out: Shared::new(&mut stream[..self.tokens * hidden], hidden),
            rounded: rounded.as_mut().map(|r| r.rows(self.tokens, hidden)),
        }))
    }

    /// What the tokens of a sequence tell each other.
    fn attend(&mut self, layer: &layout::Layer) -> Done {
        let (hidden, heads) = (self.model.config.hidden, self.model.config.heads);
        let Arena {
            stream,
            rounded,
            wide,
            order,
            ..
        } = &mut *self.arena;
        let mut step = Step {
            model: self.model,
            pool: self.pool,
        };
        let row = 3 * hidden;
        let qkv = &mut wide[..self.tokens * row];

        step.linear(
            &layer.qkv,
            None,
            input(rounded.as_ref(), stream),
            single(qkv, row),
        )?;
        step.pool.run(&Op::Attention(Attention {
            qkv: Shared::new(qkv, row),
            heads,
            width: hidden / heads,
            order,
            distances: self.model.distances(),
        }))?;
        // The answers, one after the other, behind what is added then. The last one moves first: it
        // comes to lie behind the others' rows.
        let behind = 2 * self.tokens * hidden;
        for token in (0..self.tokens).rev() {
            let answer = token * row..token * row + hidden;
            qkv.copy_within(answer, behind + token * hidden);
        }
        let (update, context) = qkv.split_at_mut(behind);
        let context = match rounded {
            None => Input::Single(context),
            Some(rounded) => step.round(context, rounded, self.tokens)?,
        };
        let update = &mut update[..self.tokens * hidden];
        step.linear(&layer.attention_out, None, context, single(update, hidden))
    }

    /// What each token makes of what it was told.
    fn feed_forward(&mut self, layer: &layout::Layer) -> Done {
        let config = &self.model.config;
        let (hidden, inner) = (config.hidden, config.inner);
        let Arena {
            stream,
            rounded,
            wide,
            operand,
            ..
        } = &mut *self.arena;
        let mut step = Step {
            model: self.model,
            pool: self.pool,
        };
        let (update, wide) = wide.split_at_mut(self.tokens * hidden);
        let at_once = wide.len() / operand.floats(inner);
        for first in (0..self.tokens).step_by(at_once) {
            let tokens = at_once.min(self.tokens - first);
            step.linear(
                &layer.up,
                Some(config.activation),
                input(rounded.as_ref(), stream).from(first, hidden),
                operand.rows(wide, tokens, inner),
            )?;
            let written = &wide[..operand.floats(inner) * tokens];
            let written = step.rounded(*operand, rounded.as_mut(), written, tokens)?;
            let update = &mut update[first * hidden..][..tokens * hidden];
            step.linear(&layer.down, None, written, single(update, hidden))?;
        }
        Ok(())
    }

    fn add_norm(&mut self, norm: &layout::Norm) -> Done {
        let hidden = self.model.config.hidden;
        let Arena {
            stream,
            rounded,
            wide,
            ..
        } = &mut *self.arena;
        self.pool.run(&Op::AddNorm(AddNorm {
            update: &wide[..self.tokens * hidden],
            norm: self.model.norm(norm),
            out: Shared::new(&mut stream[..self.tokens * hidden], hidden),
            rounded: rounded.as_mut().map(|r| r.rows(self.tokens, hidden)),
        }))
    }

    fn sum_up(&mut self, out: &mut [f32]) -> Done {
        let config = &self.model.config;
        let (hidden, width) = (config.hidden, config.width());
        let Arena {
            stream,
            wide,
            spans,
            ..
        } = &mut *self.arena;
        let size = spans.len() * hidden;
        let pooled = |out| {
            Op::Pooled(Pooled {
                hidden: stream,
                spans,
                pooling: config.pooling,
                normalize: config.normalize,
                out: Shared::new(out, hidden),
            })
        };
        let Some(([inner, outer], activation)) = self.model.head() else {
            return self.pool.run(&pooled(out));
        };
        let (summed, between) = wide[..2 * size].split_at_mut(size);
        self.pool.run(&pooled(summed))?;
        let mut step = Step {
            model: self.model,
            pool: self.pool,
        };
        let input = Input::Single(summed);
        step.linear(inner, Some(activation), input, single(between, hidden))?;
        step.linear(outer, None, Input::Single(between), single(out, width))
    }
}

/// What a linear step needs beside its rows.
struct Step<'a> {
    model: &'a Model,
    pool: &'a mut Pool,
}

impl Step<'_> {
    fn linear(
        &mut self,
        place: &layout::Dense,
        activation: Option<Activation>,
        input: Input<'_>,
        out: Rows<'_>,
    ) -> Done {
        let (dense, threads) = (self.model.dense(place), self.pool.threads());
        let op = match input {
            Input::Single(rows) => {
                Op::Linear(Linear::new((rows, &[]), dense, activation, out, threads))
            }
            Input::Half(rows) => {
                Op::LinearHalf(Linear::new((rows, &[]), dense, activation, out, threads))
            }
            Input::Bytes(rows, scalings) => Op::LinearBytes(Linear::new(
                (rows, scalings),
                dense,
                activation,
                out,
                threads,
            )),
        };
        self.pool.run(&op)
    }

    /// Rows that a step has written, as linear steps read them.
    fn rounded<'r>(
        &mut self,
        operand: Operand,
        bytes: Option<&'r mut RoundedRows>,
        written: &'r [f32],
        tokens: usize,
    ) -> Result<Input<'r>, PartPanicked> {
        match bytes {
            Some(rounded @ RoundedRows::Bytes { .. }) => self.round(written, rounded, tokens),
            _ => Ok(operand.input(written)),
        }
    }

    /// Rows of floats, as linear steps read them that round.
    fn round<'r>(
        &mut self,
        written: &[f32],
        rounded: &'r mut RoundedRows,
        tokens: usize,
    ) -> Result<Input<'r>, PartPanicked> {
        let width = written.len() / tokens;
        self.pool.run(&Op::Round(Round {
            input: written,
            width,
            out: rounded.rows(tokens, width),
        }))?;
        Ok(rounded.input())
    }
}

/// The residual stream as linear steps read it.
fn input<'a>(rounded: Option<&'a RoundedRows>, stream: &'a [f32]) -> Input<'a> {
    rounded.map_or(Input::Single(stream), RoundedRows::input)
}

fn single(rows: &mut [f32], width: usize) -> Rows<'_> {
    Rows::Single(Shared::new(rows, width))
}
