//! Tensors as far as a declaration and a plan speak of them: name, kind of number, shape.

use std::fmt;

/// What the elements of a tensor are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Element {
    Bool,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
}

impl Element {
    pub const ALL: [Element; 11] = [
        Element::Bool,
        Element::U8,
        Element::I8,
        Element::U16,
        Element::I16,
        Element::U32,
        Element::I32,
        Element::U64,
        Element::I64,
        Element::F32,
        Element::F64,
    ];

    /// As people write it in a plan.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Element::Bool => "bool",
            Element::U8 => "u8",
            Element::I8 => "i8",
            Element::U16 => "u16",
            Element::I16 => "i16",
            Element::U32 => "u32",
            Element::I32 => "i32",
            Element::U64 => "u64",
            Element::I64 => "i64",
            Element::F32 => "f32",
            Element::F64 => "f64",
        }
    }

    /// Bytes of one element.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Element::Bool | Element::U8 | Element::I8 => 1,
            Element::U16 | Element::I16 => 2,
            Element::U32 | Element::I32 | Element::F32 => 4,
            Element::U64 | Element::I64 | Element::F64 => 8,
        }
    }

    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Element::ALL.into_iter().find(|e| e.name() == name)
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One tensor that a model takes or gives. A dimension without a number may have any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    pub name: String,
    pub element: Element,
    /// None: not even the number of dimensions is known, which only an output may leave open.
    pub shape: Option<Vec<Option<usize>>>,
}

impl TensorSpec {
    /// Whether a tensor of this kind and shape is one of those declared; else what is wrong.
    ///
    /// # Errors
    /// One sentence without the name of the tensor's owner.
    pub fn fits(&self, element: Element, shape: &[usize]) -> Result<(), String> {
        let name = &self.name;
        if element != self.element {
            let wanted = self.element;
            return Err(format!("'{name}' is {wanted}, not {element}"));
        }
        let Some(wanted) = &self.shape else {
            return Ok(());
        };
        let fits = shape.len() == wanted.len()
            && shape
                .iter()
                .zip(wanted)
                .all(|(have, want)| want.is_none_or(|w| w == *have));
        match fits {
            true => Ok(()),
            false => Err(format!(
                "'{name}' has shape {shape:?}, expected {}",
                shown(wanted)
            )),
        }
    }

    /// Whether any number of rows may stand in the first dimension.
    #[must_use]
    pub fn has_rows(&self) -> bool {
        self.shape
            .as_ref()
            .is_some_and(|shape| shape.first() == Some(&None))
    }

    /// Elements of one row, where nothing but the number of rows is left open.
    #[must_use]
    pub fn row_size(&self, batched: bool) -> Option<usize> {
        let inner = self.shape.as_ref()?.get(usize::from(batched)..)?;
        inner
            .iter()
            .try_fold(1usize, |size, dim| size.checked_mul((*dim)?))
    }
}

/// `[-1, 3, 224, 224]`, as the protocols write it.
fn shown(shape: &[Option<usize>]) -> String {
    let dims: Vec<String> = shape
        .iter()
        .map(|dim| dim.map_or_else(|| "-1".into(), |d| d.to_string()))
        .collect();
    format!("[{}]", dims.join(", "))
}

/// A tensor of a plan: what is in it is made up when the case is prepared.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedTensor {
    pub name: String,
    /// None: what the model declares.
    pub element: Option<Element>,
    pub shape: Vec<usize>,
    pub fill: Fill,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fill {
    /// Fractions from -1 to 1, whole numbers from 0 to below this one.
    Random {
        below: u32,
    },
    Zeros,
    /// Every element is this number.
    Value(f64),
}

impl Fill {
    /// 0 and 1 are places that any table of a model has.
    pub const RANDOM: Fill = Fill::Random { below: 2 };
}

/// Elements of one row of all these shapes together.
#[must_use]
pub fn row_size<'a>(shapes: impl IntoIterator<Item = &'a [usize]>, batched: bool) -> usize {
    let row = |shape: &[usize]| {
        let inner = shape.get(usize::from(batched)..).unwrap_or_default();
        inner
            .iter()
            .fold(1usize, |size, dim| size.saturating_mul(*dim))
    };
    shapes.into_iter().map(row).fold(0, usize::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_fits_where_kind_rank_and_every_known_dimension_agree() {
        let spec = TensorSpec {
            name: "x".into(),
            element: Element::F32,
            shape: Some(vec![None, Some(3)]),
        };
        assert_eq!(spec.fits(Element::F32, &[7, 3]), Ok(()));
        assert_eq!(
            spec.fits(Element::F64, &[7, 3]).unwrap_err(),
            "'x' is f32, not f64"
        );
        let wrong = spec.fits(Element::F32, &[7, 4]).unwrap_err();
        assert_eq!(wrong, "'x' has shape [7, 4], expected [-1, 3]");
        assert!(spec.fits(Element::F32, &[3]).is_err());
        assert_eq!((spec.row_size(true), spec.row_size(false)), (Some(3), None));
    }

    #[test]
    fn every_kind_is_found_by_its_name() {
        assert!(
            Element::ALL
                .iter()
                .all(|e| Element::of_name(e.name()) == Some(*e))
        );
        assert_eq!(Element::of_name("f16"), None);
    }
}
