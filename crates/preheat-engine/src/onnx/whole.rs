//! Whether a file is whole, as far as its encoding goes: every message ends where the one around it
//! says, and lists of numbers hold whole numbers. Readers of the libraries take that for granted; one of
//! them never returns from a list that ends within a number. Field numbers are those of ONNX's public
//! schema.

use super::wire::{Field, Value, fields, varints};

/// Messages in messages, at most.
const DEEPEST: usize = 64;

/// # Errors
/// One sentence that follows the file's name.
pub(super) fn check(model: &[u8]) -> Result<(), String> {
    message(Kind::Model, model, 0)
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    Sparse,
    Info,
    Type,
    TensorType,
    Shape,
    Function,
    /// Texts and numbers alone.
    Plain,
    /// Not a message: numbers of variable length.
    Numbers,
    /// Numbers of so many bytes.
    Fixed(usize),
}

impl Kind {
    /// What the bytes of a field are; none: of no structure.
    fn within(self, field: u64) -> Option<Kind> {
        Some(match (self, field) {
            (Kind::Model, 7) | (Kind::Attribute, 6 | 11) => Kind::Graph,
            (Kind::Model, 8 | 14) | (Kind::Graph, 14 | 16) | (Kind::Node, 9) => Kind::Plain,
            (Kind::Model, 25) => Kind::Function,
            (Kind::Graph, 1) | (Kind::Function, 7) => Kind::Node,
            (Kind::Graph, 5) | (Kind::Attribute, 5 | 10) | (Kind::Sparse, 1 | 2) => Kind::Tensor,
            (Kind::Graph, 11..=13) => Kind::Info,
            (Kind::Graph, 15) | (Kind::Attribute, 22 | 23) => Kind::Sparse,
            (Kind::Node, 5) => Kind::Attribute,
            (Kind::Attribute, 14 | 15) | (Kind::Info, 2) => Kind::Type,
            (Kind::Type, 1) => Kind::TensorType,
            (Kind::TensorType, 2) => Kind::Shape,
            (Kind::Shape, 1) | (Kind::Tensor, 13) => Kind::Plain,
            (Kind::Attribute, 8) | (Kind::Tensor, 1 | 5 | 7 | 11) | (Kind::Sparse, 3) => {
                Kind::Numbers
            }
            (Kind::Attribute, 7) | (Kind::Tensor, 4) => Kind::Fixed(4),
            (Kind::Tensor, 10) => Kind::Fixed(8),
            _ => return None,
        })
    }
}

fn message(kind: Kind, bytes: &[u8], depth: usize) -> Result<(), String> {
    let damaged = || "is not an ONNX file, or is damaged".to_owned();
    match kind {
        _ if depth > DEEPEST => return Err("nests messages too deeply".to_owned()),
        Kind::Numbers => return varints(bytes).ok_or_else(damaged),
        Kind::Fixed(size) => {
            let whole = bytes.len().is_multiple_of(size);
            return whole.then_some(()).ok_or_else(damaged);
        }
        _ => {}
    }
    for field in fields(bytes) {
        let Field { number, value, .. } = field?;
        if let (Some(inner), Value::Bytes(bytes)) = (kind.within(number), value) {
            message(inner, bytes, depth + 1)?;
        }
    }
    Ok(())
}
