//! From what a pickle said to tensors in the file.

use std::collections::HashMap;

use super::pickle::{Global, Pickled, Ref, Value};
use super::{Element, Fault, StateDict, View};

/// Where the numbers of a storage lie in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Storage {
    pub(super) start: usize,
    pub(super) bytes: usize,
}

/// What training scripts put their state dict under.
const WRAPPERS: [&str; 3] = ["state_dict", "model_state_dict", "model"];

const LONGEST_NAME: usize = 1024;

/// The tensors of the outermost dict, or of the state dict in it.
pub(super) fn state_dict(
    pickled: &Pickled,
    storage: impl Fn(&str) -> Option<Storage>,
) -> Result<StateDict, Fault> {
    let none = || Fault::unreadable("it holds no dict of tensors");
    let outer = pickled.pairs(pickled.result).ok_or_else(none)?;
    let named = |name: &str| {
        let found = outer
            .iter()
            .find(|(key, _)| pickled.text(*key) == Some(name));
        found.and_then(|(_, value)| pickled.pairs(*value))
    };
    let pairs = WRAPPERS.into_iter().find_map(named).unwrap_or(outer);
    let mut found = HashMap::with_capacity(pairs.len());
    for (key, value) in pairs {
        let name = pickled.text(*key).filter(|name| name.len() <= LONGEST_NAME);
        if let (Some(name), Some(tensor)) = (name, tensor(pickled, *value)) {
            found.insert(name.to_owned(), view(pickled, tensor, &storage));
        }
    }
    match found.is_empty() {
        true => Err(none()),
        false => Ok(found),
    }
}

/// What the tensor was made with, out of the parameter around it where there is one.
fn tensor(pickled: &Pickled, value: Ref) -> Option<&[Ref]> {
    match pickled.get(value) {
        Value::Call(Global::RebuildTensor, arguments) => pickled.items(*arguments),
        Value::Call(Global::RebuildParameter, arguments) => {
            match pickled.get(*pickled.items(*arguments)?.first()?) {
                Value::Call(Global::RebuildTensor, arguments) => pickled.items(*arguments),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Storage, offset, shape, strides; the rest is about training.
fn view(
    pickled: &Pickled,
    arguments: &[Ref],
    storage: impl Fn(&str) -> Option<Storage>,
) -> Result<View, String> {
    let read = || {
        let [of, offset, shape, strides, ..] = arguments else {
            return None;
        };
        let Value::Persistent(id) = pickled.get(*of) else {
            return None;
        };
        let [_, kind, key, ..] = pickled.items(*id)? else {
            return None;
        };
        let Value::Global(Global::Storage(kind)) = pickled.get(*kind) else {
            return None;
        };
        let key = pickled.text(*key)?;
        let (shape, strides) = (pickled.sizes(*shape)?, pickled.sizes(*strides)?);
        Some((
            element(kind),
            storage(key),
            pickled.size(*offset)?,
            shape,
            strides,
        ))
    };
    let ((dtype, bytes), storage, offset, shape, strides) =
        read().ok_or("is not described as a tensor is")?;
    let storage = storage.ok_or("has no numbers in the file")?;
    if !is_row_major(&shape, &strides) {
        return Err(format!(
            "is a view with strides {strides:?}, not stored row by row"
        ));
    }
    let count = shape
        .iter()
        .try_fold(1usize, |all, size| all.checked_mul(*size));
    let end = count.and_then(|count| offset.checked_add(count)?.checked_mul(bytes));
    match end {
        Some(end) if end <= storage.bytes => Ok(View {
            dtype,
            shape,
            start: storage.start + offset * bytes,
        }),
        _ => Err("reaches beyond its storage".to_owned()),
    }
}

fn is_row_major(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1usize;
    let mut sizes = shape.iter().zip(strides).rev();
    shape.len() == strides.len()
        && sizes.all(|(size, stride)| {
            // Where there is one row, nobody steps to the next.
            let fits = *size <= 1 || *stride == expected;
            expected = expected.saturating_mul(*size);
            fits
        })
}

/// What a storage holds, and the bytes of one number.
pub(super) fn element(storage: &str) -> (Element, usize) {
    let other = |name: &str, bytes| (Element::Other(name.to_owned()), bytes);
    match storage {
        "FloatStorage" => (Element::F32, 4),
        "HalfStorage" => (Element::F16, 2),
        "BFloat16Storage" => (Element::Bf16, 2),
        "DoubleStorage" => other("F64", 8),
        "LongStorage" => other("I64", 8),
        "IntStorage" => other("I32", 4),
        "ShortStorage" => other("I16", 2),
        "CharStorage" => other("I8", 1),
        "ByteStorage" => other("U8", 1),
        "BoolStorage" => other("BOOL", 1),
        "ComplexFloatStorage" => other("C64", 8),
        _ => other("C128", 16),
    }
}
