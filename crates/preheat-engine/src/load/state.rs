//! PyTorch state dicts (`.bin`, `.pt`, `.pth`), read without Python and without running anything.
//!
//! A state dict is a pickle: a program for a small machine that may call whatever Python function it
//! names. Here it runs on a machine that can build lists, dicts and tensors, and nothing else
//! (`pickle.rs`); the first name that is not on its short list ends it, and is told. The numbers
//! themselves lie beside the pickle, in the members of a zip archive (`zipped.rs`) or behind it
//! (`legacy.rs`), and stay where they are: they are mapped like those of a safetensors file.

mod legacy;
mod pickle;
mod tensors;
mod zipped;

use std::collections::HashMap;

/// One tensor of a file, its numbers in row-major order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    pub(super) dtype: Element,
    pub(super) shape: Vec<usize>,
    /// Where its numbers begin in the file; all of them are in it.
    pub(super) start: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Element {
    F32,
    F16,
    Bf16,
    /// Not what weights are held in; by its name.
    Other(String),
}

/// The tensors of a file by name.
pub(super) type StateDict = HashMap<String, Result<View, String>>;

/// Why a file is no state dict that can be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It asks for something to be run or made that is no part of a tensor.
    Refused(String),
    /// It is damaged, or of a kind that is not known.
    Unreadable(String),
}

impl Fault {
    fn unreadable(reason: impl Into<String>) -> Self {
        Fault::Unreadable(reason.into())
    }
}

/// # Errors
/// What the file wants that it does not get, or where it stops making sense.
pub(super) fn read(file: &[u8]) -> Result<StateDict, Fault> {
    match file {
        [b'P', b'K', ..] => zipped::read(file),
        _ => legacy::read(file),
    }
}
