//! A forward pass: which step follows which.

use std::path::Path;
use std::sync::Arc;

use super::Group;
use super::arena::Arena;
use super::artefact::{self, Identity};
use super::image::Image;
use super::isa::Kernels;
use super::layout::{self, Layout};
use super::ops::{AddNorm, Attention, Dense, Embed, Linear, Norm, Op, Pooled, Shared};
use super::pack::Checkpoint;
use super::pool::{PartPanicked, Pool};
use crate::load::{Activation, ArtefactState, EncoderConfig, LoadError, Tensor, WeightsFile};

/// A model ready to run: numbers only, shared by all execution contexts.
pub(super) struct Model {
    pub(super) config: EncoderConfig,
    pub(super) kernels: Kernels,
    words: Tensor,
    layout: Layout,
    image: Image,
}

impl Model {
    /// `sha256` is the digest of `weights`; it is known wherever artefacts are used.
    pub(super) fn open(
        config: EncoderConfig,
        kernels: Kernels,
        weights: &Arc<WeightsFile>,
        artefacts: Option<&Path>,
        sha256: Option<&str>,
    ) -> Result<(Self, ArtefactState), LoadError> {
        let checkpoint = Checkpoint::open(&config, weights)?;
        let words = checkpoint.words()?;
        let layout = Layout::of(&config, kernels.panel);
        let identity = Identity(format!(
            "weights {} {} isa {} panel {}",
            sha256.unwrap_or("unknown"),
            layout.description,
            kernels.isa,
            kernels.panel
        ));
        let artefacts = artefacts.filter(|_| sha256.is_some());
        let pack = |image: &mut [f32]| checkpoint.pack(&layout, kernels.panel, image);
        let (image, state) = artefact::open(artefacts, &identity, layout.len, pack)?;
        Ok((
            Model {
                kernels,
                words,
                layout,
                image,
                config,
            },
            state,
        ))
    }

    /// Writes one row of `out` for each sequence of `group`, which fits the arena.
    pub(super) fn forward(
        &self,
        group: &Group<'_>,
        arena: &mut Arena,
        pool: &mut Pool,
        out: &mut [f32],
    ) -> Result<(), PartPanicked> {
        let EncoderConfig {
            hidden,
            inner,
            heads,
            ..
        } = self.config;
        let tokens = group.ids.len();
        arena.arrange(group);
        let Arena {
            hidden: x,
            update,
            qkv,
            context,
            inner: wide,
            spans,
            order,
            ..
        } = arena;
        let x = &mut x[..tokens * hidden];
        let update = &mut update[..tokens * hidden];
        let qkv = &mut qkv[..tokens * 3 * hidden];
        let context = &mut context[..tokens * hidden];
        let wide = &mut wide[..tokens * inner];

        pool.settle();
        pool.run(&Op::Embed(Embed {
            ids: group.ids,
            spans,
            words: &self.words,
            positions: &self.image[self.layout.positions.clone()],
            norm: self.norm(&self.layout.embedding_norm),
            out: Shared::new(x, hidden),
        }))?;
        for layer in &self.layout.layers {
            let threads = pool.threads();
            pool.run(&self.linear(&layer.qkv, None, x, qkv, threads))?;
            let out = Shared::new(context, hidden);
            pool.run(&Op::Attention(Attention {
                qkv,
                heads,
                order,
                out,
            }))?;
            pool.run(&self.linear(&layer.attention_out, None, context, update, threads))?;
            pool.run(&self.add_norm(&layer.attention_norm, update, x))?;
            let activation = Some(self.config.activation);
            pool.run(&self.linear(&layer.up, activation, x, wide, threads))?;
            pool.run(&self.linear(&layer.down, None, wide, update, threads))?;
            pool.run(&self.add_norm(&layer.output_norm, update, x))?;
        }
        pool.run(&Op::Pooled(Pooled {
            hidden: x,
            spans,
            pooling: self.config.pooling,
            normalize: self.config.normalize,
            out: Shared::new(out, hidden),
        }))
    }

    fn linear<'a>(
        &'a self,
        dense: &layout::Dense,
        activation: Option<Activation>,
        input: &'a [f32],
        out: &'a mut [f32],
        threads: usize,
    ) -> Op<'a> {
        let out = Shared::new(out, dense.outputs);
        let dense = Dense {
            inputs: dense.inputs,
            panels: &self.image[dense.panels.clone()],
            bias: &self.image[dense.bias.clone()],
        };
        Op::Linear(Linear::new(input, dense, activation, out, threads))
    }

    fn add_norm<'a>(&'a self, norm: &layout::Norm, update: &'a [f32], x: &'a mut [f32]) -> Op<'a> {
        let out = Shared::new(x, self.config.hidden);
        Op::AddNorm(AddNorm {
            update,
            norm: self.norm(norm),
            out,
        })
    }

    fn norm(&self, norm: &layout::Norm) -> Norm<'_> {
        Norm {
            gamma: &self.image[norm.gamma.clone()],
            beta: &self.image[norm.beta.clone()],
            eps: self.config.layer_norm_eps,
        }
    }
}
