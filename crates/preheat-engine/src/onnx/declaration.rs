//! What an ONNX file says it takes and gives, read from the file itself: the same declaration
//! whichever library runs it, and known before any library is loaded.
//!
//! The file is protocol buffers. Only the way to the inputs and outputs is followed; weights are
//! stepped over. Field numbers are those of ONNX's public schema.

use preheat_core::{Element, TensorSpec};

use super::wire::{Field, Value, fields, last};

/// Inputs that are not weights, and outputs, in the file's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Declaration {
    pub(super) inputs: Vec<TensorSpec>,
    pub(super) outputs: Vec<TensorSpec>,
    /// Weights lie in other files.
    pub(super) external: bool,
}

/// More names than any graph has inputs and outputs.
const MOST: usize = 4096;

mod field {
    pub(super) const GRAPH: u64 = 7;
    pub(super) const INITIALIZER: u64 = 5;
    pub(super) const INPUT: u64 = 11;
    pub(super) const OUTPUT: u64 = 12;
    pub(super) const INITIALIZER_NAME: u64 = 8;
    pub(super) const EXTERNAL_DATA: u64 = 13;
    pub(super) const NAME: u64 = 1;
    pub(super) const TYPE: u64 = 2;
    pub(super) const TENSOR: u64 = 1;
    pub(super) const ELEMENT: u64 = 1;
    pub(super) const SHAPE: u64 = 2;
    pub(super) const DIM: u64 = 1;
    pub(super) const DIM_VALUE: u64 = 1;
}

/// # Errors
/// One sentence that follows the file's name.
pub(super) fn read(file: &[u8]) -> Result<Declaration, String> {
    let graph = last(file, field::GRAPH)?.ok_or("holds no graph")?;
    let (mut weights, mut inputs, mut outputs) = (Vec::new(), Vec::new(), Vec::new());
    let mut external = false;
    for item in fields(graph) {
        let Field { number, value, .. } = item?;
        match (number, value) {
            (field::INITIALIZER, Value::Bytes(tensor)) => {
                weights.push(last(tensor, field::INITIALIZER_NAME)?.unwrap_or_default());
                external |= last(tensor, field::EXTERNAL_DATA)?.is_some();
            }
            (field::INPUT, Value::Bytes(info)) => inputs.push(info),
            (field::OUTPUT, Value::Bytes(info)) => outputs.push(info),
            _ => {}
        }
        if inputs.len() + outputs.len() > MOST {
            return Err(format!("has more than {MOST} inputs and outputs"));
        }
    }
    weights.sort_unstable();
    let is_weight = |info: &&[u8]| {
        let name = last(info, field::NAME).ok().flatten().unwrap_or_default();
        weights.binary_search(&name).is_ok()
    };
    // Old files list their weights among the inputs.
    inputs.retain(|info| !is_weight(info));
    let inputs: Vec<TensorSpec> = inputs.into_iter().map(spec).collect::<Result<_, _>>()?;
    if let Some(open) = inputs.iter().find(|input| input.shape.is_none()) {
        return Err(format!(
            "does not say how many dimensions input `{}` has",
            open.name
        ));
    }
    let outputs: Vec<TensorSpec> = outputs.into_iter().map(spec).collect::<Result<_, _>>()?;
    match inputs.is_empty() || outputs.is_empty() {
        true => Err("has no inputs or no outputs".into()),
        false => Ok(Declaration {
            inputs,
            outputs,
            external,
        }),
    }
}

fn spec(info: &[u8]) -> Result<TensorSpec, String> {
    let name = String::from_utf8_lossy(last(info, field::NAME)?.unwrap_or_default()).into_owned();
    let tensor = match last(info, field::TYPE)? {
        Some(kind) => last(kind, field::TENSOR)?,
        None => None,
    };
    let tensor = tensor.ok_or_else(|| format!("has `{name}`, which is not a tensor"))?;
    let mut element = 0;
    for item in fields(tensor) {
        let Field { number, value, .. } = item?;
        if let (field::ELEMENT, Value::Number(kind)) = (number, value) {
            element = kind;
        }
    }
    let element = self::element(element)
        .ok_or_else(|| format!("has `{name}`, whose numbers are of a kind that is not served"))?;
    let shape = match last(tensor, field::SHAPE)? {
        Some(shape) => Some(dims(shape)?),
        None => None,
    };
    Ok(TensorSpec {
        name,
        element,
        shape,
    })
}

fn dims(shape: &[u8]) -> Result<Vec<Option<usize>>, String> {
    let mut dims = Vec::new();
    for item in fields(shape) {
        let Field { number, value, .. } = item?;
        let (field::DIM, Value::Bytes(dim)) = (number, value) else {
            continue;
        };
        let mut known = None;
        for item in fields(dim) {
            let Field { number, value, .. } = item?;
            if let (field::DIM_VALUE, Value::Number(size)) = (number, value) {
                // Some exporters write 0 or -1 for what is open.
                known = usize::try_from(size.cast_signed())
                    .ok()
                    .filter(|&dim| dim > 0);
            }
        }
        dims.push(known);
    }
    Ok(dims)
}

/// ONNX's numbers for kinds of elements.
fn element(number: u64) -> Option<Element> {
    Some(match number {
        1 => Element::F32,
        2 => Element::U8,
        3 => Element::I8,
        4 => Element::U16,
        5 => Element::I16,
        6 => Element::I32,
        7 => Element::I64,
        9 => Element::Bool,
        11 => Element::F64,
        12 => Element::U32,
        13 => Element::U64,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(number: u64, content: &[u8]) -> Vec<u8> {
        // Lengths below 128 take one byte.
        [
            &[
                u8::try_from(number << 3 | 2).unwrap(),
                u8::try_from(content.len()).unwrap(),
            ],
            content,
        ]
        .concat()
    }

    fn number(field: u64, value: u8) -> Vec<u8> {
        vec![u8::try_from(field << 3).unwrap(), value]
    }

    fn info(name: &str, element: u8, dims: &[u8]) -> Vec<u8> {
        let dims: Vec<u8> = dims
            .iter()
            .flat_map(|&dim| bytes(field::DIM, &number(field::DIM_VALUE, dim)))
            .collect();
        let tensor = [number(field::ELEMENT, element), bytes(field::SHAPE, &dims)].concat();
        let kind = bytes(field::TENSOR, &tensor);
        [
            bytes(field::NAME, name.as_bytes()),
            bytes(field::TYPE, &kind),
        ]
        .concat()
    }

    fn model(element: u8) -> Vec<u8> {
        let weight = bytes(field::INITIALIZER_NAME, b"w");
        let graph = [
            bytes(field::INPUT, &info("w", 1, &[3])),
            bytes(field::INPUT, &info("x", element, &[0, 3])),
            bytes(field::INITIALIZER, &weight),
            bytes(field::OUTPUT, &info("y", 7, &[0])),
        ]
        .concat();
        [number(1, 8), bytes(field::GRAPH, &graph)].concat()
    }

    #[test]
    fn inputs_and_outputs_are_read_and_weights_are_not_among_them() {
        let read = read(&model(1)).unwrap();
        let x = TensorSpec {
            name: "x".into(),
            element: Element::F32,
            shape: Some(vec![None, Some(3)]),
        };
        assert_eq!(read.inputs, [x]);
        assert_eq!(read.outputs[0].element, Element::I64);
    }

    #[test]
    fn what_is_not_served_is_named() {
        assert!(
            read(&model(8)).unwrap_err().contains("`x`"),
            "texts inside a graph"
        );
        assert!(read(b"").unwrap_err().contains("no graph"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_hang(noise: Vec<u8>, at in 0usize..80, byte: u8) {
            let _ = read(&noise);
            let mut damaged = model(1);
            let at = at % damaged.len();
            damaged[at] = byte;
            let _ = read(&damaged);
            damaged.truncate(at);
            let _ = read(&damaged);
        }
    }
}
