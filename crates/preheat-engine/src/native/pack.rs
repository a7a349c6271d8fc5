//! Brings a checkpoint's tensors into the layout that kernels stream. Runs once for each model.

use std::ops::Range;
use std::sync::Arc;

use super::layout::{Dense, Layout, Norm};
use super::memory::Bf16;
use super::names::{self, Names, Place};
use crate::load::{Dtype, EncoderConfig, LoadError, Tensor, Tensors, WeightsFile};

/// The checkpoint of one model: named tensors, and what the config says about their shapes.
pub(super) struct Checkpoint<'a> {
    config: &'a EncoderConfig,
    names: &'static Names,
    tensors: Tensors<'a>,
}

impl<'a> Checkpoint<'a> {
    pub(super) fn open(
        config: &'a EncoderConfig,
        files: &'a [Arc<WeightsFile>],
    ) -> Result<Self, LoadError> {
        let names = Names::of(config.family);
        let tensors = Tensors::parse(files, names.prefixes, names::WORDS)?;
        Ok(Checkpoint {
            config,
            names,
            tensors,
        })
    }

    /// The word embeddings stay in the file: a request reads a few rows of them.
    pub(super) fn words(&self) -> Result<Tensor, LoadError> {
        self.tensors
            .get(names::WORDS, &[self.config.vocab, self.config.hidden])
    }

    /// Writes every other tensor to its place in `image`, which is all zeros.
    pub(super) fn pack(&self, layout: &Layout, image: &mut [f32]) -> Result<(), LoadError> {
        self.positions(&mut image[layout.positions.clone()])?;
        self.norm(names::EMBEDDING_NORM, &layout.embedding_norm, image)?;
        for (index, layer) in layout.layers.iter().enumerate() {
            let names = self.names;
            let name = |part| names.in_layer(index, part);
            let qkv = [name(names.query), name(names.key), name(names.value)];
            self.dense(&qkv, &layer.qkv, layout, image)?;
            self.dense(
                &[name(names.attention_out)],
                &layer.attention_out,
                layout,
                image,
            )?;
            self.norm(&name(names.attention_norm), &layer.attention_norm, image)?;
            self.dense(&[name(names.up)], &layer.up, layout, image)?;
            self.dense(&[name(names.down)], &layer.down, layout, image)?;
            self.norm(&name(names.output_norm), &layer.output_norm, image)?;
        }
        if let Some(place) = &layout.second {
            self.second(&mut image[place.clone()])?;
        }
        if let Some(place) = &layout.distances {
            self.distances(&mut image[place.clone()])?;
        }
        for (place, step) in layout.head.iter().flatten().zip(self.names.head) {
            let tensor = |part: &str, shape: &[usize]| match step {
                Place::Inside(name) => self.tensors.get(&format!("{name}.{part}"), shape),
                Place::Beside(name) => self.tensors.beside(&format!("{name}.{part}"), shape),
            };
            let bias = tensor("bias", &[place.outputs])?;
            let weight = tensor("weight", &[place.outputs, place.inputs])?;
            columns(&weight, &bias, 0..place.outputs, place, layout.panel, image);
        }
        Ok(())
    }

    /// The embedding of the second token type, less that of the first, which is in every position.
    fn second(&self, row: &mut [f32]) -> Result<(), LoadError> {
        let EncoderConfig {
            hidden,
            token_types,
            ..
        } = *self.config;
        let shape = [token_types.unwrap_or(0), hidden];
        let types = self.tensors.get(names::TOKEN_TYPES, &shape)?;
        let mut first = vec![0.0; hidden];
        types.read_row(0, &mut first);
        types.read_row(1, row);
        row.iter_mut().zip(first).for_each(|(x, first)| *x -= first);
        Ok(())
    }

    fn distances(&self, table: &mut [f32]) -> Result<(), LoadError> {
        let heads = self.config.heads;
        let Some(distances) = self.config.distances else {
            return Ok(());
        };
        let learned = self
            .tensors
            .get(names::DISTANCES, &[distances.classes, heads])?;
        let spread = table.len() / heads;
        let farthest = (spread / 2) as i64;
        let mut row = vec![0.0; heads];
        for place in 0..spread {
            learned.read_row(distances.class(farthest - place as i64), &mut row);
            for (head, number) in row.iter().enumerate() {
                table[head * spread + place] = *number;
            }
        }
        Ok(())
    }

    fn positions(&self, rows: &mut [f32]) -> Result<(), LoadError> {
        let EncoderConfig {
            hidden,
            positions,
            first_position,
            token_types,
            ..
        } = *self.config;
        let table = self.tensors.get(names::POSITIONS, &[positions, hidden])?;
        let mut token_type = vec![0.0; hidden];
        if let Some(types) = token_types {
            self.tensors
                .get(names::TOKEN_TYPES, &[types, hidden])?
                .read_row(0, &mut token_type);
        }
        for (position, row) in rows.chunks_exact_mut(hidden).enumerate() {
            table.read_row(first_position + position, row);
            for (value, token_type) in row.iter_mut().zip(&token_type) {
                *value += token_type;
            }
        }
        Ok(())
    }

    fn norm(&self, name: &str, place: &Norm, image: &mut [f32]) -> Result<(), LoadError> {
        let shape = [self.config.hidden];
        // Checkpoints converted from TensorFlow have kept its names.
        let old = self.tensors.has(&format!("{name}.gamma"));
        let [gamma, beta] = if old {
            ["gamma", "beta"]
        } else {
            ["weight", "bias"]
        };
        let gamma = self.tensors.get(&format!("{name}.{gamma}"), &shape)?;
        let beta = self.tensors.get(&format!("{name}.{beta}"), &shape)?;
        gamma.read_row(0, &mut image[place.gamma.clone()]);
        beta.read_row(0, &mut image[place.beta.clone()]);
        Ok(())
    }

    /// Several steps with the same input become one, side by side.
    fn dense(
        &self,
        names: &[String],
        place: &Dense,
        layout: &Layout,
        image: &mut [f32],
    ) -> Result<(), LoadError> {
        let outputs = place.outputs / names.len();
        for (index, name) in names.iter().enumerate() {
            let bias = self.tensors.get(&format!("{name}.bias"), &[outputs])?;
            let weight = self
                .tensors
                .get(&format!("{name}.weight"), &[outputs, place.inputs])?;
            let range = index * outputs..(index + 1) * outputs;
            columns(&weight, &bias, range, place, layout.panel, image);
        }
        Ok(())
    }
}

/// Some columns of a step.
fn columns(
    weight: &Tensor,
    bias: &Tensor,
    columns: Range<usize>,
    place: &Dense,
    panel: usize,
    image: &mut [f32],
) {
    bias.read_row(0, &mut image[place.bias.clone()][columns.clone()]);
    let panels = &mut image[place.panels.clone()];
    match place.dtype {
        Dtype::F32 => pack_columns(weight, columns, panel, panels),
        Dtype::Bf16 => pack_column_pairs(weight, columns, panel, panels),
        Dtype::Int8 => {
            let scales = pack_column_bytes(weight, columns.clone(), panel, panels);
            for (column, [scale, sum]) in columns.zip(scales) {
                if let Some(place) = &place.scaled {
                    image[place.scales.start + column] = scale;
                    image[place.sums.start + column] = sum;
                }
            }
        }
    }
}

/// Row `i` of `weight` holds what output `columns.start + i` multiplies its inputs with.
fn pack_columns(weight: &Tensor, columns: Range<usize>, panel: usize, panels: &mut [f32]) {
    let inputs = weight.cols;
    let mut row = vec![0.0; inputs];
    for (index, column) in columns.enumerate() {
        weight.read_row(index, &mut row);
        let lines = &mut panels[column / panel * panel * inputs..][..panel * inputs];
        for (line, value) in lines.chunks_exact_mut(panel).zip(&row) {
            line[column % panel] = *value;
        }
    }
}

/// The same, rounded: two inputs share a word, the first one in its lower half.
fn pack_column_pairs(weight: &Tensor, columns: Range<usize>, panel: usize, panels: &mut [f32]) {
    let words = weight.cols.div_ceil(2);
    let mut row = vec![0.0; 2 * words];
    let bits = |value: f32| u32::from(Bf16::round(value).0);
    for (index, column) in columns.enumerate() {
        weight.read_row(index, &mut row[..weight.cols]);
        let lines = &mut panels[column / panel * panel * words..][..panel * words];
        for (line, pair) in lines.chunks_exact_mut(panel).zip(row.as_chunks::<2>().0) {
            line[column % panel] = f32::from_bits(bits(pair[1]) << 16 | bits(pair[0]));
        }
    }
}

/// The same in bytes: four inputs share a word, the first one in its lowest bits. Answers with the
/// scale of each column, and with the sum of what its bytes stand for.
fn pack_column_bytes(
    weight: &Tensor,
    columns: Range<usize>,
    panel: usize,
    panels: &mut [f32],
) -> Vec<[f32; 2]> {
    let words = weight.cols.div_ceil(4);
    let mut row = vec![0.0; 4 * words];
    let pack = |(index, column): (usize, usize)| {
        weight.read_row(index, &mut row[..weight.cols]);
        let largest = row.iter().fold(0.0, |largest: f32, x| largest.max(x.abs()));
        let scale = largest / f32::from(i8::MAX);
        // A column of zeros has no scale, and one with a weight that is no number no bytes.
        let byte = |x: f32| (x / scale).round() as i8;
        let lines = &mut panels[column / panel * panel * words..][..panel * words];
        let mut sum = 0;
        for (line, four) in lines.chunks_exact_mut(panel).zip(row.as_chunks::<4>().0) {
            let bytes = four.map(byte);
            sum += bytes.iter().map(|byte| i64::from(*byte)).sum::<i64>();
            let bits = u32::from_le_bytes(bytes.map(i8::cast_unsigned));
            line[column % panel] = f32::from_bits(bits);
        }
        let whole = row.iter().all(|x| x.is_finite());
        let scale = if whole { scale } else { f32::NAN };
        [scale, scale * sum as f32]
    };
    columns.enumerate().map(pack).collect()
}
