//! A forward pass: which step follows which.

use std::sync::Arc;

use super::Group;
use super::arena::Arena;
use super::isa::Kernels;
use super::layout::{Dense, Layout, Norm};
use super::memory::{Floats, NoMemory};
use super::ops::{AddNorm, Attention, Embed, Linear, Op, Pool, Shared};
use super::pack::Checkpoint;
use crate::load::{Activation, EncoderConfig, LoadError, Tensor, WeightsFile};

/// A model ready to run: numbers only, shared by all execution contexts.
pub(super) struct Model {
    pub(super) config: EncoderConfig,
    pub(super) kernels: Kernels,
    words: Tensor,
    layout: Layout,
    image: Floats,
}

impl Model {
    pub(super) fn pack(
        config: EncoderConfig,
        kernels: Kernels,
        weights: &Arc<WeightsFile>,
    ) -> Result<Self, LoadError> {
        let checkpoint = Checkpoint::open(&config, weights)?;
        let words = checkpoint.words()?;
        let layout = Layout::of(&config, kernels.panel);
        let mut image =
            Floats::zeroed(layout.len).map_err(|NoMemory { bytes }| LoadError::OutOfMemory {
                what: "the packed weights",
                bytes,
            })?;
        checkpoint.pack(&layout, kernels.panel, &mut image)?;
        Ok(Model {
            kernels,
            words,
            layout,
            image,
            config,
        })
    }

    /// Writes one row of `out` for each sequence of `group`, which fits the arena.
    pub(super) fn forward(&self, group: &Group<'_>, arena: &mut Arena, out: &mut [f32]) {
        let EncoderConfig {
            hidden,
            inner,
            heads,
            ..
        } = self.config;
        let tokens = group.ids.len();
        arena.order.clear();
        arena.order.extend(group.spans());
        arena.order.sort_by_key(|(start, end)| start.abs_diff(*end));
        arena.order.reverse();

        let spans: Vec<(usize, usize)> = group.spans().collect();
        let Arena {
            hidden: x,
            update,
            qkv,
            context,
            inner: wide,
            scratch,
            order,
            ..
        } = arena;
        let x = &mut x[..tokens * hidden];
        let update = &mut update[..tokens * hidden];
        let qkv = &mut qkv[..tokens * 3 * hidden];
        let context = &mut context[..tokens * hidden];
        let wide = &mut wide[..tokens * inner];
        let mut run = |op: Op<'_>| {
            for part in 0..op.parts() {
                self.kernels.run(&op, part, scratch);
            }
        };

        run(Op::Embed(Embed {
            ids: group.ids,
            spans: &spans,
            words: &self.words,
            positions: &self.image[self.layout.positions.clone()],
            norm: self.norm(&self.layout.embedding_norm),
            out: Shared::new(x, hidden),
        }));
        for layer in &self.layout.layers {
            run(self.linear(&layer.qkv, None, x, qkv));
            run(Op::Attention(Attention {
                qkv,
                heads,
                order,
                out: Shared::new(context, hidden),
            }));
            run(self.linear(&layer.attention_out, None, context, update));
            run(self.add_norm(&layer.attention_norm, update, x));
            run(self.linear(&layer.up, Some(self.config.activation), x, wide));
            run(self.linear(&layer.down, None, wide, update));
            run(self.add_norm(&layer.output_norm, update, x));
        }
        run(Op::Pool(Pool {
            hidden: x,
            spans: &spans,
            pooling: self.config.pooling,
            normalize: self.config.normalize,
            out: Shared::new(out, hidden),
        }));
    }

    fn linear<'a>(
        &'a self,
        dense: &Dense,
        activation: Option<Activation>,
        input: &'a [f32],
        out: &'a mut [f32],
    ) -> Op<'a> {
        Op::Linear(Linear::new(
            input,
            dense.inputs,
            &self.image[dense.panels.clone()],
            &self.image[dense.bias.clone()],
            activation,
            Shared::new(out, dense.outputs),
            self.kernels,
        ))
    }

    fn add_norm<'a>(&'a self, norm: &Norm, update: &'a [f32], x: &'a mut [f32]) -> Op<'a> {
        let out = Shared::new(x, self.config.hidden);
        Op::AddNorm(AddNorm {
            update,
            norm: self.norm(norm),
            out,
        })
    }

    fn norm(&self, norm: &Norm) -> super::ops::Norm<'_> {
        super::ops::Norm {
            gamma: &self.image[norm.gamma.clone()],
            beta: &self.image[norm.beta.clone()],
            eps: self.config.layer_norm_eps,
        }
    }
}
