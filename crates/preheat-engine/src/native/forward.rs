//! A forward pass: which step follows which.

use std::sync::Arc;

use super::Group;
use super::arena::{Arena, Halves};
use super::artefact::{self, Identity};
use super::image::Image;
use super::isa::{Isa, Kernels};
use super::layout::{self, Layout};
use super::ops::{AddNorm, Attention, Dense, Embed, Input, Linear, Norm, Op, Pooled, Rows, Shared};
use super::pack::Checkpoint;
use super::pool::{PartPanicked, Pool};
use crate::load::{
    Activation, ArtefactState, Dtype, EncoderConfig, LoadError, LoadSpec, Tensor, WeightsFile,
};

/// A model ready to run: numbers only, shared by all execution contexts.
pub(super) struct Model {
    pub(super) config: EncoderConfig,
    pub(super) kernels: Kernels,
    pub(super) dtype: Dtype,
    words: Tensor,
    layout: Layout,
    image: Image,
}

impl Model {
    /// `sha256` is the digest of `weights`; it is known wherever artefacts are used.
    pub(super) fn open(
        spec: &LoadSpec,
        config: EncoderConfig,
        weights: &Arc<WeightsFile>,
        sha256: Option<&str>,
    ) -> Result<(Self, ArtefactState), LoadError> {
        let kernels = Isa::choose(spec.isa)?;
        let checkpoint = Checkpoint::open(&config, weights)?;
        let words = checkpoint.words()?;
        let layout = Layout::of(&config, kernels.panel, spec.dtype);
        let (known, isa) = (sha256.unwrap_or("unknown"), kernels.isa);
        let identity = Identity(format!("weights {known} isa {isa} {}", layout.description));
        let artefacts = spec.artefacts.as_deref().filter(|_| sha256.is_some());
        let pack = |image: &mut [f32]| checkpoint.pack(&layout, image);
        let (image, state) = artefact::open(artefacts, &identity, layout.len, pack)?;
        let dtype = spec.dtype;
        Ok((
            Model {
                config,
                kernels,
                dtype,
                words,
                layout,
                image,
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
        let EncoderConfig { hidden, heads, .. } = self.config;
        let tokens = group.ids.len();
        arena.arrange(group);
        pool.settle();
        self.embed(group, arena, pool)?;
        for layer in &self.layout.layers {
            let qkv = &mut arena.qkv[..tokens * 3 * hidden];
            let input = stream(arena.rounded.as_ref(), &arena.hidden);
            self.linear(&layer.qkv, None, input, single(qkv, 3 * hidden), pool)?;
            pool.run(&Op::Attention(Attention {
                qkv,
                heads,
                width: hidden / heads,
                order: &arena.order,
                out: arena.context.rows(tokens),
            }))?;

            let update = &mut arena.update[..tokens * hidden];
            let context = arena.context.input();
            self.linear(
                &layer.attention_out,
                None,
                context,
                single(update, hidden),
                pool,
            )?;
            self.add_norm(&layer.attention_norm, arena, pool, tokens)?;

            let input = stream(arena.rounded.as_ref(), &arena.hidden);
            let activation = Some(self.config.activation);
            self.linear(&layer.up, activation, input, arena.inner.rows(tokens), pool)?;
            let update = &mut arena.update[..tokens * hidden];
            let inner = arena.inner.input();
            self.linear(&layer.down, None, inner, single(update, hidden), pool)?;
            self.add_norm(&layer.output_norm, arena, pool, tokens)?;
        }
        pool.run(&Op::Pooled(Pooled {
            hidden: &arena.hidden,
            spans: &arena.spans,
            pooling: self.config.pooling,
            normalize: self.config.normalize,
            out: Shared::new(out, hidden),
        }))
    }

    fn embed(
        &self,
        group: &Group<'_>,
        arena: &mut Arena,
        pool: &mut Pool,
    ) -> Result<(), PartPanicked> {
        let (tokens, hidden) = (group.ids.len(), self.config.hidden);
        pool.run(&Op::Embed(Embed {
            ids: group.ids,
            spans: &arena.spans,
            words: &self.words,
            positions: &self.image[self.layout.positions.clone()],
            norm: self.norm(&self.layout.embedding_norm),
            out: Shared::new(&mut arena.hidden[..tokens * hidden], hidden),
            rounded: arena.rounded.as_mut().map(|rounded| rounded.rows(tokens)),
        }))
    }

    fn linear(
        &self,
        dense: &layout::Dense,
        activation: Option<Activation>,
        input: Input<'_>,
        out: Rows<'_>,
        pool: &mut Pool,
    ) -> Result<(), PartPanicked> {
        let dense = Dense {
            panels: &self.image[dense.panels.clone()],
            bias: &self.image[dense.bias.clone()],
        };
        let threads = pool.threads();
        pool.run(&match input {
            Input::Single(input) => Op::Linear(Linear::new(input, dense, activation, out, threads)),
            Input::Half(input) => {
                Op::LinearHalf(Linear::new(input, dense, activation, out, threads))
            }
        })
    }

    fn add_norm(
        &self,
        norm: &layout::Norm,
        arena: &mut Arena,
        pool: &mut Pool,
        tokens: usize,
    ) -> Result<(), PartPanicked> {
        let hidden = self.config.hidden;
        pool.run(&Op::AddNorm(AddNorm {
            update: &arena.update,
            norm: self.norm(norm),
            out: Shared::new(&mut arena.hidden[..tokens * hidden], hidden),
            rounded: arena.rounded.as_mut().map(|rounded| rounded.rows(tokens)),
        }))
    }

    fn norm(&self, norm: &layout::Norm) -> Norm<'_> {
        Norm {
            gamma: &self.image[norm.gamma.clone()],
            beta: &self.image[norm.beta.clone()],
            eps: self.config.layer_norm_eps,
        }
    }
}

/// The residual stream as linear steps read it.
fn stream<'a>(rounded: Option<&'a Halves>, hidden: &'a [f32]) -> Input<'a> {
    rounded.map_or(Input::Single(hidden), Halves::input)
}

fn single(rows: &mut [f32], width: usize) -> Rows<'_> {
    Rows::Single(Shared::new(rows, width))
}
