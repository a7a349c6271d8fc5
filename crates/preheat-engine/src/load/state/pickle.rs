//! A pickle machine that can do no harm: values are plain data, the functions are a fixed list, and
//! there is no way to reach anything else. It has no jumps, so it takes as many steps as the pickle
//! has bytes at most; values are kept in one list and refer to each other by number, so that no
//! nesting is deep to the machine.

mod machine;

use super::Fault;
use machine::Machine;

/// No tensor has more dimensions.
const MOST_SIZES: usize = 16;

/// The number of a value.
pub(super) type Ref = u32;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    Tuple(Vec<Ref>),
    List(Vec<Ref>),
    Dict(Vec<(Ref, Ref)>),
    Global(Global),
    /// What a persistent id stands for: a storage, told by a tuple.
    Persistent(Ref),
    /// What a function was called with, a tuple; none of them are run.
    Call(Global, Ref),
}

/// Everything that a pickle may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Size,
    Storage(&'static str),
}

const STORAGES: [&str; 12] = [
    "FloatStorage",
    "HalfStorage",
    "BFloat16Storage",
    "DoubleStorage",
    "LongStorage",
    "IntStorage",
    "ShortStorage",
    "CharStorage",
    "ByteStorage",
    "BoolStorage",
    "ComplexFloatStorage",
    "ComplexDoubleStorage",
];

impl Global {
    fn find(module: &str, name: &str) -> Result<Self, Fault> {
        Ok(match (module, name) {
            ("collections", "OrderedDict") => Global::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Global::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Global::RebuildParameter,
            ("torch", "Size") => Global::Size,
            ("torch", _) if let Some(storage) = STORAGES.into_iter().find(|s| *s == name) => {
                Global::Storage(storage)
            }
            _ => return Err(Fault::Refused(shown(module, name))),
        })
    }
}

/// As Python would write it, and not longer than a line.
fn shown(module: &str, name: &str) -> String {
    let text = format!("{module}.{name}");
    let visible = text.chars().map(|c| if c.is_control() { '?' } else { c });
    visible.take(120).collect()
}

/// What a pickle left behind.
pub(super) struct Pickled {
    values: Vec<Value>,
    pub(super) result: Ref,
    /// Bytes of the pickle.
    pub(super) len: usize,
}

impl Pickled {
    pub(super) fn get(&self, value: Ref) -> &Value {
        &self.values[value as usize]
    }

    /// The ids of everything that lies outside of the pickle.
    pub(super) fn persistent(&self) -> impl Iterator<Item = Ref> {
        self.values.iter().filter_map(|value| match value {
            Value::Persistent(id) => Some(*id),
            _ => None,
        })
    }

    pub(super) fn text(&self, value: Ref) -> Option<&str> {
        match self.get(value) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn size(&self, value: Ref) -> Option<usize> {
        match self.get(value) {
            Value::Int(number) => usize::try_from(*number).ok(),
            _ => None,
        }
    }

    /// Of a tuple or a list.
    pub(super) fn items(&self, value: Ref) -> Option<&[Ref]> {
        match self.get(value) {
            Value::Tuple(items) | Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// Of a shape or of strides.
    pub(super) fn sizes(&self, value: Ref) -> Option<Vec<usize>> {
        let items = match self.get(value) {
            Value::Call(Global::Size, arguments) => {
                self.items(*self.items(*arguments)?.first()?)?
            }
            _ => self.items(value)?,
        };
        let items = items.get(..items.len().min(MOST_SIZES + 1))?;
        let sizes: Option<Vec<usize>> = items.iter().map(|item| self.size(*item)).collect();
        sizes.filter(|sizes| sizes.len() <= MOST_SIZES)
    }

    pub(super) fn pairs(&self, value: Ref) -> Option<&[(Ref, Ref)]> {
        match self.get(value) {
            Value::Dict(pairs) => Some(pairs),
            _ => None,
        }
    }
}

/// Runs the pickle that `bytes` begin with.
///
/// # Errors
/// What it names that is not on the list, or the place where it stops making sense.
pub(super) fn run(bytes: &[u8]) -> Result<Pickled, Fault> {
    let mut machine = Machine::over(bytes);
    let result = machine.run()?;
    Ok(Pickled {
        values: machine.values,
        result,
        len: machine.at,
    })
}
