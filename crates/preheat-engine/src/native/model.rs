//! A model ready to run: its config, and views of its packed numbers. Shared by all execution
//! contexts, and never changed.

use std::ops::Range;
use std::sync::Arc;
use std::thread;

use super::image::Image;
use super::isa::{Isa, Kernels};
use super::layout::{self, Layout, Scaled};
use super::names::Names;
use super::ops::{Dense, Norm};
use super::pack::Checkpoint;
use crate::load::{
    Activation, ArtefactState, Dtype, EncoderConfig, LoadError, LoadSpec, Rows, WeightsFile, join,
    spawn,
};
use crate::store::{Identity, Kind, Places};

pub(super) struct Model {
    pub(super) config: EncoderConfig,
    pub(super) kernels: Kernels,
    pub(super) dtype: Dtype,
    /// In the file of the checkpoint: a request reads a few rows of them.
    pub(super) words: Rows,
    pub(super) identity: Identity,
    layout: Layout,
    image: Image,
}

impl Model {
    /// `sha256` is the digest of `weights`; it is known wherever artefacts are used.
    pub(super) fn open(
        spec: &LoadSpec,
        config: EncoderConfig,
        weights: &[Arc<WeightsFile>],
        sha256: Option<&str>,
        places: Places<'_>,
    ) -> Result<(Self, ArtefactState), LoadError> {
        let kernels = Isa::choose(spec.isa)?;
        let checkpoint = Checkpoint::open(&config, weights)?;
        let words = Rows::new(checkpoint.words()?);
        let layout = Layout::of(&config, kernels.panel, spec.dtype);
        let (known, isa) = (sha256.unwrap_or("unknown"), kernels.isa);
        let identity = Identity {
            kind: Kind::Weights,
            text: format!("weights {known} isa {isa} {}", layout.description),
        };
        let pack = |image: &mut [f32]| checkpoint.pack(&layout, image);
        let (image, state) = thread::scope(|scope| {
            let rows = match words.is_there() {
                true => None,
                false => Some(spawn(scope, "words", || words.bring())?),
            };
            let opened = Image::open(places, &identity, layout.len, pack)?;
            rows.map(join).transpose()?;
            Ok::<_, LoadError>(opened)
        })?;
        let dtype = spec.dtype;
        Ok((
            Model {
                config,
                kernels,
                dtype,
                words,
                identity,
                layout,
                image,
            },
            state,
        ))
    }

    /// What is added to the words of a sequence, a row for each place in it.
    pub(super) fn positions(&self) -> &[f32] {
        &self.image[self.layout.positions.clone()]
    }

    /// What is added to a token of the second text of a pair.
    pub(super) fn second(&self) -> Option<&[f32]> {
        let place = self.layout.second.clone()?;
        Some(&self.image[place])
    }

    /// What is added to scores for the distance between two tokens.
    pub(super) fn distances(&self) -> Option<&[f32]> {
        let place = self.layout.distances.clone()?;
        Some(&self.image[place])
    }

    /// The two steps of a classifier, and what is between them.
    pub(super) fn head(&self) -> Option<(&[layout::Dense; 2], Activation)> {
        let activation = Names::of(self.config.family).head_activation;
        Some((self.layout.head.as_ref()?, activation))
    }

    pub(super) fn layers(&self) -> &[layout::Layer] {
        &self.layout.layers
    }

    pub(super) fn dense(&self, place: &layout::Dense) -> Dense<'_> {
        Dense {
            panels: &self.image[place.panels.clone()],
            bias: &self.image[place.bias.clone()],
            scales: self.scaled(place, |scaled| &scaled.scales),
            sums: self.scaled(place, |scaled| &scaled.sums),
        }
    }

    fn scaled(&self, place: &layout::Dense, which: fn(&Scaled) -> &Range<usize>) -> &[f32] {
        let place = place.scaled.as_ref().map(which);
        place.map_or(&[], |place| &self.image[place.clone()])
    }

    pub(super) fn embedding_norm(&self) -> Norm<'_> {
        self.norm(&self.layout.embedding_norm)
    }

    pub(super) fn norm(&self, place: &layout::Norm) -> Norm<'_> {
        Norm {
            gamma: &self.image[place.gamma.clone()],
            beta: &self.image[place.beta.clone()],
            eps: self.config.layer_norm_eps,
        }
    }
}
