//! What one request carries, as the warm-up asks for it and as the front doors take it.

use bytes::Bytes;
use preheat_core::{Element, Fill, PlannedTensor};
use preheat_engine::{Batch, Matrix, Output, Signature, Tensor, TokenBatch};

#[derive(Debug, Clone, PartialEq)]
pub enum Sample {
    Texts(Vec<String>),
    /// Texts for a classifier, and what it calls its scores.
    Classified {
        texts: Vec<String>,
        labels: Vec<String>,
    },
    Tensors {
        tensors: Vec<Tensor>,
        /// Each row stands for itself.
        batched: bool,
    },
    /// An encoded image, and the tensors that it becomes.
    Image {
        encoded: Bytes,
        tensors: Vec<Tensor>,
        /// What its answer is turned into shares of one with.
        softmax: bool,
    },
}

impl Sample {
    #[must_use]
    pub fn rows(&self) -> usize {
        match self {
            Sample::Texts(texts) | Sample::Classified { texts, .. } => texts.len(),
            Sample::Tensors {
                tensors,
                batched: true,
            } => tensors.first().map_or(0, Tensor::rows),
            Sample::Tensors { .. } | Sample::Image { .. } => 1,
        }
    }

    /// Rows `from..to` of it; what has but one row stays whole.
    #[must_use]
    pub fn part(&self, from: usize, to: usize) -> Self {
        match self {
            Sample::Texts(texts) => Sample::Texts(cut(texts, from, to)),
            Sample::Classified { texts, labels } => Sample::Classified {
                texts: cut(texts, from, to),
                labels: labels.clone(),
            },
            Sample::Tensors {
                tensors,
                batched: true,
            } => Sample::Tensors {
                tensors: tensors
                    .iter()
                    .map(|tensor| tensor.slice(from, to))
                    .collect(),
                batched: true,
            },
            whole => whole.clone(),
        }
    }

    /// Whether rows could be swapped for each other without anybody noticing.
    #[must_use]
    pub fn is_alike(&self) -> bool {
        let first = self.part(0, 1);
        (1..self.rows()).all(|row| self.part(row, row + 1) == first)
    }

    /// Bytes that a request takes for each row, where that can be told beforehand.
    #[must_use]
    pub fn row_bytes(&self) -> usize {
        match self {
            Sample::Texts(_) | Sample::Classified { .. } => 0,
            Sample::Tensors { tensors, .. } => {
                let all: usize = tensors.iter().map(|tensor| tensor.data().len()).sum();
                all / self.rows().max(1)
            }
            Sample::Image { encoded, .. } => encoded.len(),
        }
    }
}

/// An output with one row for each row that was put in, whatever it is made of.
#[must_use]
pub fn flat(output: Output, batched: bool) -> Matrix {
    let tensors = match output {
        Output::Rows(matrix) => return matrix,
        Output::Tensors(tensors) => tensors,
    };
    let rows = match batched {
        true => tensors.first().map_or(0, Tensor::rows),
        false => 1,
    };
    let mut data = Vec::new();
    for row in 0..rows {
        for tensor in &tensors {
            match batched {
                true => data.extend(tensor.slice(row, row + 1).numbers()),
                false => data.extend(tensor.numbers()),
            }
        }
    }
    let cols = data.len() / rows.max(1);
    Matrix { rows, cols, data }
}

fn cut(texts: &[String], from: usize, to: usize) -> Vec<String> {
    let (from, to) = (from.min(texts.len()), to.min(texts.len()));
    texts[from..to.max(from)].to_vec()
}

/// A classifier's numbers as what they stand for: shares of one, or, of a single label, a number
/// from 0 to 1.
pub fn shares(matrix: &mut Matrix) {
    match matrix.cols {
        1 => matrix
            .data
            .iter_mut()
            .for_each(|x| *x = 1.0 / (1.0 + (-*x).exp())),
        _ => softmax(matrix),
    }
}

/// Numbers as shares of one, row by row.
pub fn softmax(matrix: &mut Matrix) {
    for row in matrix.data.chunks_mut(matrix.cols.max(1)) {
        let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        row.iter_mut().for_each(|x| *x = (*x - most).exp());
        let sum: f32 = row.iter().sum();
        row.iter_mut().for_each(|x| *x /= sum);
    }
}

/// A vector scaled to length one, unless it has none.
#[must_use]
pub fn of_length_one(row: &[f32]) -> Vec<f32> {
    let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
    let scale = if length > 0.0 { 1.0 / length } else { 1.0 };
    row.iter().map(|x| x * scale).collect()
}

/// The tensors of a plan, in the order in which the model declares them.
///
/// # Errors
/// When they are not those that the model takes: why.
pub fn tensors(
    planned: &[PlannedTensor],
    signature: &Signature,
    seed: u64,
) -> Result<Vec<Tensor>, String> {
    if let Some(unknown) = planned
        .iter()
        .find(|p| !signature.inputs.iter().any(|i| i.name == p.name))
    {
        return Err(format!("the model has no input '{}'", unknown.name));
    }
    let one = |(place, spec): (usize, &preheat_core::TensorSpec)| {
        let missing = || format!("input '{}' is missing", spec.name);
        let planned = planned
            .iter()
            .find(|p| p.name == spec.name)
            .ok_or_else(missing)?;
        let element = planned.element.unwrap_or(spec.element);
        spec.fits(element, &planned.shape)?;
        let data = fill(planned, element, seed.wrapping_add(place as u64 + 1));
        Tensor::new(&spec.name, element, planned.shape.clone(), data).map_err(|e| e.to_string())
    };
    signature.inputs.iter().enumerate().map(one).collect()
}

fn fill(planned: &PlannedTensor, element: Element, seed: u64) -> Vec<u8> {
    let count: usize = planned.shape.iter().product();
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || match planned.fill {
        Fill::Zeros => 0.0,
        Fill::Value(value) => value,
        Fill::Random { below } => {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let fraction = (state >> 40) as f64 / f64::from(1u32 << 23) - 1.0;
            match element {
                Element::F32 | Element::F64 => fraction,
                _ => ((fraction + 1.0) / 2.0 * f64::from(below.max(1))).floor(),
            }
        }
    };
    let mut data = Vec::with_capacity(count * element.size());
    for _ in 0..count {
        let x = next();
        match element {
            Element::Bool => data.push(u8::from(x != 0.0)),
            Element::U8 => data.push(x as u8),
            Element::I8 => data.extend((x as i8).to_le_bytes()),
            Element::U16 => data.extend((x as u16).to_le_bytes()),
            Element::I16 => data.extend((x as i16).to_le_bytes()),
            Element::U32 => data.extend((x as u32).to_le_bytes()),
            Element::I32 => data.extend((x as i32).to_le_bytes()),
            Element::U64 => data.extend((x as u64).to_le_bytes()),
            Element::I64 => data.extend((x as i64).to_le_bytes()),
            Element::F32 => data.extend((x as f32).to_le_bytes()),
            Element::F64 => data.extend(x.to_le_bytes()),
        }
    }
    data
}

/// What runs on an engine for it, given the tokens of its texts.
#[must_use]
pub fn batch(sample: &Sample, rows: &[Vec<u32>]) -> Batch {
    match sample {
        Sample::Texts(_) | Sample::Classified { .. } => {
            let batch: TokenBatch = rows.iter().map(Vec::as_slice).collect();
            Batch::Tokens(batch)
        }
        Sample::Tensors { tensors, .. } | Sample::Image { tensors, .. } => {
            Batch::Tensors(tensors.clone())
        }
    }
}

#[cfg(test)]
mod tests {
    use preheat_core::TensorSpec;

    use super::*;

    fn signature() -> Signature {
        let spec = |name: &str, element| TensorSpec {
            name: name.into(),
            element,
            shape: Some(vec![None, Some(2)]),
        };
        Signature {
            inputs: vec![spec("a", Element::F32), spec("b", Element::I64)],
            batched: true,
            ..Signature::default()
        }
    }

    fn planned(name: &str, shape: &[usize], fill: Fill) -> PlannedTensor {
        PlannedTensor {
            name: name.into(),
            element: None,
            shape: shape.to_vec(),
            fill,
        }
    }

    #[test]
    fn planned_tensors_come_in_the_order_of_the_declaration_and_fit_it() {
        let plan = [
            planned("b", &[3, 2], Fill::Value(7.0)),
            planned("a", &[3, 2], Fill::RANDOM),
        ];
        let made = tensors(&plan, &signature(), 0).unwrap();
        assert_eq!(made[0].name(), "a");
        assert!(made[1].numbers().all(|x| x == 7.0));
        let sample = Sample::Tensors {
            tensors: made,
            batched: true,
        };
        assert_eq!((sample.rows(), sample.part(1, 2).rows()), (3, 1));
        assert!(!sample.is_alike());
        for (plan, problem) in [
            (vec![planned("a", &[1, 2], Fill::Zeros)], "'b' is missing"),
            (vec![planned("c", &[1, 2], Fill::Zeros)], "no input 'c'"),
            (vec![planned("a", &[1, 3], Fill::Zeros)], "expected [-1, 2]"),
        ] {
            assert!(
                tensors(&plan, &signature(), 0)
                    .unwrap_err()
                    .contains(problem)
            );
        }
    }

    #[test]
    fn outputs_are_laid_out_by_rows() {
        let tensor = |name, numbers: &[f32]| Tensor::of_f32(name, vec![2, 1], numbers).unwrap();
        let output = Output::Tensors(vec![tensor("a", &[1.0, 2.0]), tensor("b", &[3.0, 4.0])]);
        let by_row = flat(output.clone(), true);
        assert_eq!((by_row.rows, by_row.data), (2, vec![1.0, 3.0, 2.0, 4.0]));
        assert_eq!(flat(output, false).cols, 4);
    }

    #[test]
    fn shares_add_up_to_one() {
        let mut matrix = Matrix {
            rows: 2,
            cols: 2,
            data: vec![1000.0, 1000.0, 0.0, f32::MIN],
        };
        softmax(&mut matrix);
        assert_eq!(matrix.data, [0.5, 0.5, 1.0, 0.0]);
    }
}
