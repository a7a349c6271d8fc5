//! Named arrays of numbers, as models without texts take and give them.

use bytes::Bytes;

pub use preheat_core::{Element, TensorSpec};

/// A tensor: row-major, little-endian, exactly as long as its shape says. Cloning shares the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    name: String,
    element: Element,
    shape: Vec<usize>,
    data: Bytes,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    #[error(
        "tensor '{name}': the shape {shape:?} takes {wanted} bytes of {element}, the data has {found}"
    )]
    Length {
        name: String,
        element: Element,
        shape: Vec<usize>,
        wanted: usize,
        found: usize,
    },
    #[error("tensor '{name}': the shape {shape:?} is too large")]
    TooLarge { name: String, shape: Vec<usize> },
    #[error("tensors of one batch differ in more than their rows")]
    Unlike,
}

impl Tensor {
    /// # Errors
    /// When the data is not as long as the shape says.
    pub fn new(
        name: impl Into<String>,
        element: Element,
        shape: Vec<usize>,
        data: impl Into<Bytes>,
    ) -> Result<Self, TensorError> {
        let (name, data) = (name.into(), data.into());
        let count = shape.iter().try_fold(1usize, |n, dim| n.checked_mul(*dim));
        let wanted = count.and_then(|n| n.checked_mul(element.size()));
        match wanted {
            None => Err(TensorError::TooLarge { name, shape }),
            Some(wanted) if wanted != data.len() => Err(TensorError::Length {
                found: data.len(),
                name,
                element,
                shape,
                wanted,
            }),
            Some(_) => Ok(Tensor {
                name,
                element,
                shape,
                data,
            }),
        }
    }

    /// A tensor of f32.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn of_f32(
        name: impl Into<String>,
        shape: Vec<usize>,
        numbers: &[f32],
    ) -> Result<Self, TensorError> {
        let data: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        Tensor::new(name, Element::F32, shape, data)
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    #[must_use]
    pub fn element(&self) -> Element {
        self.element
    }

    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    #[must_use]
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.data.len() / self.element.size()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The first dimension; a single number is one row.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// Every element as the nearest f32.
    pub fn numbers(&self) -> impl Iterator<Item = f32> + '_ {
        let read = reader(self.element);
        self.data
            .chunks_exact(self.element.size())
            .map(move |b| read(b) as f32)
    }

    /// Whether no element is an infinity or not a number.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        match self.element {
            Element::F32 | Element::F64 => {
                let read = reader(self.element);
                let mut all = self.data.chunks_exact(self.element.size());
                all.all(|bytes| read(bytes).is_finite())
            }
            _ => true,
        }
    }

    /// Rows `from..to`, sharing the data.
    #[must_use]
    pub fn slice(&self, from: usize, to: usize) -> Self {
        let rows = self.rows();
        let (from, to) = (from.min(rows), to.min(rows));
        let row = self.data.len().checked_div(rows).unwrap_or(0);
        let mut shape = self.shape.clone();
        if let Some(first) = shape.first_mut() {
            *first = to.saturating_sub(from);
        }
        Tensor {
            name: self.name.clone(),
            element: self.element,
            shape,
            data: self.data.slice(from * row..to.max(from) * row),
        }
    }

    /// The rows of all these tensors, one after the other.
    ///
    /// # Errors
    /// [`TensorError::Unlike`] when they are not of one kind.
    pub fn concat(parts: &[&Tensor]) -> Result<Self, TensorError> {
        let (first, rest) = parts.split_first().ok_or(TensorError::Unlike)?;
        if rest.is_empty() {
            return Ok((*first).clone());
        }
        let inner = |t: &Tensor| t.shape.get(1..).map(<[usize]>::to_vec);
        let alike = |t: &&&Tensor| {
            t.name == first.name && t.element == first.element && inner(t) == inner(first)
        };
        if first.shape.is_empty() || !rest.iter().all(|t| alike(&t)) {
            return Err(TensorError::Unlike);
        }
        let mut data = Vec::with_capacity(parts.iter().map(|t| t.data.len()).sum());
        parts.iter().for_each(|t| data.extend_from_slice(&t.data));
        let mut shape = first.shape.clone();
        shape[0] = parts.iter().map(|t| t.rows()).sum();
        Tensor::new(first.name.clone(), first.element, shape, data)
    }
}

/// Reads one element; whole numbers beyond 2^53 lose their last digits.
fn reader(element: Element) -> fn(&[u8]) -> f64 {
    macro_rules! read {
        ($kind:ty) => {
            |bytes| <$kind>::from_le_bytes(bytes.try_into().unwrap_or_default()) as f64
        };
    }
    match element {
        Element::Bool | Element::U8 => read!(u8),
        Element::I8 => read!(i8),
        Element::U16 => read!(u16),
        Element::I16 => read!(i16),
        Element::U32 => read!(u32),
        Element::I32 => read!(i32),
        Element::U64 => read!(u64),
        Element::I64 => read!(i64),
        Element::F32 => read!(f32),
        Element::F64 => read!(f64),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn data_is_exactly_as_long_as_the_shape_says() {
        assert!(Tensor::new("x", Element::I16, vec![2, 3], vec![0; 12]).is_ok());
        let short = Tensor::new("x", Element::I16, vec![2, 3], vec![0; 11]).unwrap_err();
        assert!(
            short
                .to_string()
                .contains("takes 12 bytes of i16, the data has 11")
        );
        let huge = Tensor::new("x", Element::F64, vec![usize::MAX, 2], vec![]).unwrap_err();
        assert!(matches!(huge, TensorError::TooLarge { .. }));
        assert!(Tensor::new("x", Element::F64, vec![usize::MAX, 0], vec![]).is_ok());
    }

    #[test]
    fn numbers_that_are_none_are_seen() {
        let finite = |x| Tensor::of_f32("x", vec![2], &[1.0, x]).unwrap().is_finite();
        assert!(finite(2.0) && !finite(f32::NAN) && !finite(f32::INFINITY));
        let counts = Tensor::new("x", Element::I16, vec![2], vec![0xff, 0xff, 7, 0]).unwrap();
        assert_eq!(counts.numbers().collect::<Vec<_>>(), [-1.0, 7.0]);
    }

    proptest! {
        #[test]
        fn what_is_cut_and_joined_is_what_it_was(rows in 1usize..6, cols in 0usize..4, cut in 0usize..7) {
            let numbers: Vec<f32> = (0..rows * cols).map(|n| n as f32).collect();
            let whole = Tensor::of_f32("x", vec![rows, cols], &numbers).unwrap();
            let parts = [whole.slice(0, cut), whole.slice(cut, rows)];
            prop_assert_eq!(parts[0].rows() + parts[1].rows(), rows);
            prop_assert_eq!(Tensor::concat(&[&parts[0], &parts[1]]).unwrap(), whole);
        }
    }
}
