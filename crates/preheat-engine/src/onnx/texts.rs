//! Texts through a graph that takes token ids: sequences are padded to rectangles of nearly one
//! length, and the vectors of their tokens pooled to one for each.

use std::ops::Range;

use preheat_core::{Element, TensorSpec};

use super::declaration::Declaration;
use super::engine::OnnxEngine;
use crate::engine::{
    Engine, EngineInfo, Instance, Matrix, RunError, Signature, Task, Tensor, TokenBatch,
};
use crate::load::{Pooling, TextConfig};

/// What graphs of encoders call their inputs.
const IDS: &str = "input_ids";
const MASK: &str = "attention_mask";
const TYPES: &str = "token_type_ids";

/// A sequence this much shorter than the longest one of a rectangle goes into the next one: more
/// than that, and computing its padding costs more than another run.
const LEAST_SHARE: f64 = 0.75;

/// Tokens of one rectangle on a CPU, padding included, unless one sequence alone has more. More at
/// once is no faster there, and takes more memory.
const AT_ONCE: usize = 256;

/// How a graph takes tokens, and which of its outputs answers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TextWay {
    inputs: Vec<TensorSpec>,
    output: TensorSpec,
}

impl TextWay {
    /// None for graphs that take something else.
    pub(super) fn of(declared: &Declaration) -> Option<Self> {
        let known = |input: &TensorSpec| {
            [IDS, MASK, TYPES].contains(&&input.name[..])
                && matches!(input.element, Element::I64 | Element::I32)
                && input.shape.as_deref() == Some(&[None, None])
        };
        let has_ids = declared.inputs.iter().any(|input| input.name == IDS);
        (has_ids && declared.inputs.iter().all(known)).then_some(())?;
        let output = [SENTENCE, TOKENS].into_iter().find_map(|(name, dims)| {
            let fits = |o: &&TensorSpec| o.element == Element::F32 && width(o, dims).is_some();
            let mut outputs = declared.outputs.iter().filter(fits);
            let named = outputs
                .clone()
                .find(|output| name.contains(&&output.name[..]));
            // One vector for a sequence may be a pooler's, which is trained for something else:
            // only its name tells. Vectors of tokens are what every encoder gives.
            named.or_else(|| outputs.next().filter(|_| dims == TOKENS.1))
        })?;
        Some(TextWay {
            inputs: declared.inputs.clone(),
            output: output.clone(),
        })
    }

    /// The one output that is asked for.
    pub(super) fn output(&self) -> &TensorSpec {
        &self.output
    }

    fn dim(&self) -> usize {
        let shape = self.output.shape.as_deref().unwrap_or_default();
        shape.last().copied().flatten().unwrap_or(0)
    }
}

/// Names, and dimensions with the first one.
const SENTENCE: (&[&str], usize) = (&["sentence_embedding"], 2);
const TOKENS: (&[&str], usize) = (&["last_hidden_state", "token_embeddings"], 3);

/// Numbers in the last dimension, where there are so many dimensions and the last one is known.
fn width(output: &TensorSpec, dims: usize) -> Option<usize> {
    let shape = output
        .shape
        .as_deref()
        .filter(|shape| shape.len() == dims)?;
    *shape.last()?
}

/// An engine for tensors, seen as one for texts.
#[derive(Debug)]
pub(super) struct TextEngine {
    info: EngineInfo,
    inner: OnnxEngine,
    way: TextWay,
    config: TextConfig,
    /// Tokens of one rectangle at most. None: a device computes, which is the faster the larger they
    /// are.
    at_once: Option<usize>,
}

impl TextEngine {
    /// `on_cpu`: nothing else computes.
    pub(super) fn over(inner: OnnxEngine, way: TextWay, config: TextConfig, on_cpu: bool) -> Self {
        let pooled = way
            .output
            .shape
            .as_ref()
            .is_some_and(|shape| shape.len() == 3);
        let at_once = on_cpu.then_some(AT_ONCE.max(config.max_tokens));
        let info = EngineInfo {
            // What a CPU's shapes leave behind is memory, and an instance has taken the most of it.
            shape_state: at_once.is_none(),
            pooling: if pooled { config.pooling.name() } else { "" }.to_owned(),
            dim: way.dim(),
            max_tokens: config.max_tokens,
            vocab: config.vocab,
            signature: Signature {
                task: Task::Embed,
                normalized: config.normalize,
                ..Signature::default()
            },
            ..inner.info().clone()
        };
        TextEngine {
            info,
            inner,
            way,
            config,
            at_once,
        }
    }
}

impl Engine for TextEngine {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn instance(&self) -> Result<Box<dyn Instance>, RunError> {
        let inner = match self.at_once {
            // No rectangle takes more memory than one longest sequence.
            Some(_) => {
                let longest = vec![self.config.pad; self.config.max_tokens];
                let run = inputs(&self.way, &self.config, &[&longest])?;
                self.inner.instance_for(&run)?
            }
            None => self.inner.instance()?,
        };
        Ok(Box::new(TextInstance {
            inner,
            way: self.way.clone(),
            config: self.config.clone(),
            at_once: self.at_once.unwrap_or(usize::MAX),
        }))
    }
}

struct TextInstance {
    inner: Box<dyn Instance>,
    way: TextWay,
    config: TextConfig,
    at_once: usize,
}

impl Instance for TextInstance {
    fn run_while(
        &mut self,
        batch: &TokenBatch,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Matrix, RunError> {
        batch.check(self.config.vocab, self.config.max_tokens)?;
        let rows: Vec<&[u32]> = batch.iter().collect();
        let cols = self.way.dim();
        let mut data = vec![0.0; rows.len() * cols];
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(|&row| std::cmp::Reverse(rows[row].len()));
        for range in rectangles(&order, &rows, self.at_once) {
            if !is_wanted() {
                return Err(RunError::Abandoned);
            }
            let members = &order[range];
            let sequences: Vec<&[u32]> = members.iter().map(|&row| rows[row]).collect();
            let answers = self.rectangle(&sequences)?;
            for (&row, answer) in members.iter().zip(answers.chunks_exact(cols.max(1))) {
                data[row * cols..][..cols].copy_from_slice(answer);
            }
        }
        Ok(Matrix {
            rows: rows.len(),
            cols,
            data,
        })
    }
}

/// Neighbours in `order`, longest first, that may be padded to one length: `at_once` tokens at most,
/// or one row.
fn rectangles(order: &[usize], rows: &[&[u32]], at_once: usize) -> Vec<Range<usize>> {
    let mut cut: Vec<Range<usize>> = Vec::new();
    for place in 0..order.len() {
        let length = |place: usize| rows[order[place]].len();
        let joins = |last: &Range<usize>| {
            let longest = length(last.start);
            length(place) as f64 >= longest as f64 * LEAST_SHARE
                && (last.len() + 1).saturating_mul(longest) <= at_once
        };
        match cut.last_mut() {
            Some(last) if joins(last) => last.end += 1,
            _ => cut.push(place..place + 1),
        }
    }
    cut
}

impl TextInstance {
    /// One row of numbers for each sequence. The first sequence is the longest.
    fn rectangle(&mut self, sequences: &[&[u32]]) -> Result<Vec<f32>, RunError> {
        let width = sequences.first().map_or(0, |sequence| sequence.len());
        let run = inputs(&self.way, &self.config, sequences)?;
        let outputs = self.inner.infer(&run)?;
        let odd = || RunError::Engine(format!("`{}` has another shape", self.way.output.name));
        let output = outputs.first().ok_or_else(odd)?;
        let (count, dim) = (sequences.len(), self.way.dim());
        let (numbers, _) = output.data().as_chunks::<4>();
        let numbers: Vec<f32> = numbers.iter().map(|x| f32::from_le_bytes(*x)).collect();
        let mut answers = match output.shape() {
            [rows, cols] if (*rows, *cols) == (count, dim) => numbers,
            [rows, tokens, cols] if (*rows, *tokens, *cols) == (count, width, dim) => {
                pooled(&numbers, sequences, width, dim, self.config.pooling)
            }
            _ => return Err(odd()),
        };
        if self.config.normalize {
            answers.chunks_mut(dim.max(1)).for_each(normalize);
        }
        Ok(answers)
    }
}

/// Sequences as wide as the first one.
fn inputs(
    way: &TextWay,
    config: &TextConfig,
    sequences: &[&[u32]],
) -> Result<Vec<Tensor>, RunError> {
    let width = sequences.first().map_or(0, |sequence| sequence.len());
    let inputs = way.inputs.iter().map(|input| {
        let number = |id: Option<&u32>| match &input.name[..] {
            IDS => *id.unwrap_or(&config.pad),
            MASK => u32::from(id.is_some()),
            _ => 0,
        };
        filled(input, sequences, width, number)
    });
    inputs.collect()
}

/// A rectangle of whole numbers: what `number` says for each token, and for each place without one.
fn filled(
    input: &TensorSpec,
    sequences: &[&[u32]],
    width: usize,
    number: impl Fn(Option<&u32>) -> u32,
) -> Result<Tensor, RunError> {
    let places = sequences
        .iter()
        .flat_map(|sequence| (0..width).map(|at| sequence.get(at)));
    let numbers = places.map(|id| i64::from(number(id)));
    let data: Vec<u8> = match input.element {
        Element::I32 => numbers.flat_map(|x| (x as i32).to_le_bytes()).collect(),
        _ => numbers.flat_map(i64::to_le_bytes).collect(),
    };
    let shape = vec![sequences.len(), width];
    Tensor::new(&input.name, input.element, shape, data)
        .map_err(|error| RunError::Engine(error.to_string()))
}

fn pooled(
    numbers: &[f32],
    sequences: &[&[u32]],
    width: usize,
    dim: usize,
    pooling: Pooling,
) -> Vec<f32> {
    let mut answers = vec![0.0; sequences.len() * dim];
    for (row, (answer, sequence)) in answers.chunks_mut(dim.max(1)).zip(sequences).enumerate() {
        let tokens = numbers[row * width * dim..]
            .chunks_exact(dim)
            .take(sequence.len());
        match pooling {
            Pooling::Cls => answer.copy_from_slice(&numbers[row * width * dim..][..dim]),
            Pooling::Max => {
                answer.fill(f32::NEG_INFINITY);
                tokens.for_each(|token| each(answer, token, f32::max));
            }
            Pooling::Mean => {
                tokens.for_each(|token| each(answer, token, |sum, x| sum + x));
                let share = 1.0 / sequence.len() as f32;
                answer.iter_mut().for_each(|x| *x *= share);
            }
        }
    }
    answers
}

fn each(answer: &mut [f32], token: &[f32], join: impl Fn(f32, f32) -> f32) {
    answer
        .iter_mut()
        .zip(token)
        .for_each(|(a, b)| *a = join(*a, *b));
}

fn normalize(row: &mut [f32]) {
    let length = row.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-12);
    row.iter_mut().for_each(|x| *x /= length);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rectangles_hold_nearly_one_length_and_no_more_than_is_computed_at_once() {
        let rows: Vec<Vec<u32>> = [9, 8, 7, 6, 3, 3, 3, 1].map(|n| vec![0; n]).into();
        let rows: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
        let order: Vec<usize> = (0..rows.len()).collect();
        for (at_once, cut) in [
            (usize::MAX, vec![0..3, 3..4, 4..7, 7..8]),
            (18, vec![0..2, 2..4, 4..7, 7..8]),
            (6, vec![0..1, 1..2, 2..3, 3..4, 4..6, 6..7, 7..8]),
            (0, (0..8).map(|row| row..row + 1).collect()),
        ] {
            assert_eq!(rectangles(&order, &rows, at_once), cut, "{at_once}");
        }
    }
}
