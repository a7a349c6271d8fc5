//! A weights file mapped read-only, safetensors or a PyTorch state dict, and its tensors checked
//! against what the config asks for.
//! The pages belong to the page cache, so all processes of one machine share them.
#![expect(unsafe_code, reason = "mapping a file has no safe form")]

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors};

use super::LoadError;
use super::state::{self, Element, Fault, StateDict, View};
use crate::ahead;

/// What is read by one call, on the stack.
const PIECE: usize = 4096;

/// The bytes of one weights file.
#[derive(Debug)]
pub(crate) struct WeightsFile {
    path: PathBuf,
    file: File,
    map: Mmap,
}

impl WeightsFile {
    pub(crate) fn map(path: &Path) -> Result<Self, LoadError> {
        let read = |source| LoadError::Read {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(read)?;
        // SAFETY: the map is only read. Model files are replaced by renaming, never rewritten in
        // place; a file that is truncated under a running process would fault, as it would for
        // any program that maps it.
        let map = unsafe { Mmap::map(&file) }.map_err(read)?;
        // Most of it is packed elsewhere; of a vocabulary a request meets a few rows.
        ahead::map_sparsely(&map);
        Ok(WeightsFile {
            path: path.to_owned(),
            file,
            map,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The one that is mapped, whatever its path leads to by now.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.map
    }
}

/// The tensors of one model's weights files, found by name.
pub(crate) struct Tensors<'file> {
    parts: Vec<Part<'file>>,
    prefix: &'static str,
}

/// One of the files.
struct Part<'file> {
    file: &'file Arc<WeightsFile>,
    container: Container<'file>,
}

impl Part<'_> {
    fn view(&self, name: &str) -> Option<Result<View, String>> {
        self.container.view(self.file, name)
    }
}

enum Container<'file> {
    Safetensors(SafeTensors<'file>),
    State(StateDict),
}

impl<'file> Container<'file> {
    fn parse(file: &'file WeightsFile) -> Result<Self, LoadError> {
        let (path, bytes) = (|| file.path.clone(), file.bytes());
        if file
            .path
            .extension()
            .is_some_and(|kind| kind == "safetensors")
        {
            let tensors = SafeTensors::deserialize(bytes).map_err(|source| LoadError::Corrupt {
                path: path(),
                bytes: bytes.len() as u64,
                source,
            })?;
            return Ok(Container::Safetensors(tensors));
        }
        match state::read(bytes) {
            Ok(state) => Ok(Container::State(state)),
            Err(Fault::Refused(name)) => Err(LoadError::Pickle { path: path(), name }),
            Err(Fault::Unreadable(reason)) => Err(LoadError::StateDict {
                path: path(),
                reason,
            }),
        }
    }

    fn view(&self, file: &WeightsFile, name: &str) -> Option<Result<View, String>> {
        match self {
            Container::State(state) => state.get(name).cloned(),
            Container::Safetensors(tensors) => {
                let view = tensors.tensor(name).ok()?;
                Some(Ok(View {
                    dtype: element(view.dtype()),
                    shape: view.shape().to_vec(),
                    start: view.data().as_ptr().addr() - file.bytes().as_ptr().addr(),
                }))
            }
        }
    }
}

fn element(dtype: Dtype) -> Element {
    match dtype {
        Dtype::F32 => Element::F32,
        Dtype::F16 => Element::F16,
        Dtype::BF16 => Element::Bf16,
        other => Element::Other(format!("{other:?}")),
    }
}

impl<'file> Tensors<'file> {
    /// `prefixes` are what a checkpoint may put before every name; the first one under which
    /// `probe` exists is used for all.
    pub(crate) fn parse(
        files: &'file [Arc<WeightsFile>],
        prefixes: &[&'static str],
        probe: &str,
    ) -> Result<Self, LoadError> {
        let part = |file: &'file Arc<WeightsFile>| {
            Container::parse(file).map(|container| Part { file, container })
        };
        let parts = files.iter().map(part).collect::<Result<Vec<_>, _>>()?;
        let mut tensors = Tensors { parts, prefix: "" };
        let known = |prefix: &&&str| tensors.part(&format!("{prefix}{probe}")).is_some();
        tensors.prefix = prefixes.iter().find(known).copied().unwrap_or_default();
        Ok(tensors)
    }

    /// The file that a tensor lies in.
    fn part(&self, name: &str) -> Option<&Part<'file>> {
        self.parts.iter().find(|part| part.view(name).is_some())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.part(&format!("{}{name}", self.prefix)).is_some()
    }

    /// The tensor of that name, if it has the wanted shape and a float type.
    pub(crate) fn get(&self, name: &str, shape: &[usize]) -> Result<Tensor, LoadError> {
        self.whole_name(format!("{}{name}", self.prefix), shape)
    }

    /// The same for one that stands beside the encoder, which no prefix is put before.
    pub(crate) fn beside(&self, name: &str, shape: &[usize]) -> Result<Tensor, LoadError> {
        self.whole_name(name.to_owned(), shape)
    }

    fn whole_name(&self, tensor: String, shape: &[usize]) -> Result<Tensor, LoadError> {
        // What is in none of them is missing in the first.
        let part = self.part(&tensor).unwrap_or(&self.parts[0]);
        let path = || part.file.path.clone();
        let View {
            dtype,
            shape: found,
            start,
        } = match part.view(&tensor) {
            Some(Ok(view)) => view,
            Some(Err(reason)) => {
                let reason = format!("tensor `{tensor}` {reason}");
                return Err(LoadError::StateDict {
                    path: path(),
                    reason,
                });
            }
            None => {
                return Err(LoadError::MissingTensor {
                    path: path(),
                    tensor,
                });
            }
        };
        if found != shape {
            let expected = shape.to_vec();
            return Err(LoadError::Shape {
                path: path(),
                tensor,
                expected,
                found,
            });
        }
        let float = match dtype {
            Element::F32 => Float::F32,
            Element::F16 => Float::F16,
            Element::Bf16 => Float::Bf16,
            Element::Other(found) => {
                return Err(LoadError::TensorDtype {
                    path: path(),
                    tensor,
                    found,
                });
            }
        };
        Ok(Tensor {
            file: Arc::clone(part.file),
            start,
            rows: shape.len().checked_sub(2).map_or(1, |_| shape[0]),
            cols: shape.last().copied().unwrap_or(0),
            float,
        })
    }
}

#[derive(Debug, Clone, Copy)]
enum Float {
    F32,
    F16,
    Bf16,
}

impl Float {
    fn bytes(self) -> usize {
        match self {
            Float::F32 => 4,
            Float::F16 | Float::Bf16 => 2,
        }
    }

    fn decode(self, bytes: &[u8], out: &mut [f32]) {
        match self {
            Float::F32 => convert(bytes, out, f32::from_le_bytes),
            Float::F16 => convert(bytes, out, |bytes| half(u16::from_le_bytes(bytes))),
            Float::Bf16 => convert(bytes, out, |[low, high]| {
                f32::from_le_bytes([0, 0, low, high])
            }),
        }
    }
}

/// A matrix of the weights file (a vector is one row), converted to f32 as it is read.
#[derive(Debug, Clone)]
pub(crate) struct Tensor {
    file: Arc<WeightsFile>,
    start: usize,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    float: Float,
}

impl Tensor {
    /// Copies row `row` to `out`, which has one place for each column.
    pub(crate) fn read_row(&self, row: usize, out: &mut [f32]) {
        assert!(
            row < self.rows && out.len() == self.cols,
            "row {row} of {} rows",
            self.rows
        );
        let start = self.start + row * self.row_bytes();
        let bytes = &self.file.bytes()[start..start + self.row_bytes()];
        self.float.decode(bytes, out);
    }

    /// The same by calls of the system, so that what is not mapped stays so.
    pub(super) fn call_row(&self, row: usize, out: &mut [f32]) -> io::Result<()> {
        let mut piece = [0; PIECE];
        let mut at = (self.start + row * self.row_bytes()) as u64;
        for out in out.chunks_mut(PIECE / self.float.bytes()) {
            let bytes = &mut piece[..out.len() * self.float.bytes()];
            self.file.file.read_exact_at(bytes, at)?;
            self.float.decode(bytes, out);
            at += bytes.len() as u64;
        }
        Ok(())
    }

    /// How many bytes of the file one row is.
    pub(super) fn row_bytes(&self) -> usize {
        self.cols * self.float.bytes()
    }

    /// Whether all of it is in memory.
    pub(super) fn is_there(&self) -> bool {
        ahead::is_there(&self.file.file, self.range())
    }

    /// Reads it from the disk.
    pub(super) fn bring(&self) -> Result<(), LoadError> {
        let read = |source| LoadError::Read {
            path: self.file.path.clone(),
            source,
        };
        ahead::bring(&self.file.map, &self.file.file, self.range()).map_err(read)
    }

    pub(super) fn range(&self) -> Range<usize> {
        self.start..self.start + self.rows * self.row_bytes()
    }
}

fn convert<const N: usize>(bytes: &[u8], out: &mut [f32], to_f32: fn([u8; N]) -> f32) {
    let (values, _) = bytes.as_chunks::<N>();
    for (out, bytes) in out.iter_mut().zip(values) {
        *out = to_f32(*bytes);
    }
}

/// IEEE half precision to single precision, exactly.
fn half(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let magnitude = u32::from(bits & 0x7fff);
    let value = match magnitude >> 10 {
        // Subnormal: the fraction counts units of 2^-24.
        0 => return f32::from_bits(sign | (magnitude as f32 * 2f32.powi(-24)).to_bits()),
        0x1f => 0x7f80_0000 | (magnitude & 0x3ff) << 13,
        _ => (magnitude << 13) + ((127 - 15) << 23),
    };
    f32::from_bits(sign | value)
}

#[cfg(test)]
mod tests {
    use super::half;

    #[test]
    fn half_precision_is_converted_exactly() {
        for (bits, value) in [
            (0x0000, 0.0),
            (0x0001, 2f32.powi(-24)),
            (0x03ff, 1023.0 * 2f32.powi(-24)),
            (0x0400, 2f32.powi(-14)),
            (0x3c00, 1.0),
            (0x3555, 0.333_251_95),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x7c00, f32::INFINITY),
            (0xfc00, f32::NEG_INFINITY),
        ] {
            assert_eq!(half(bits), value, "{bits:#06x}");
        }
        assert!(half(0x7e00).is_nan());
        assert_eq!(half(0x8000).to_bits(), (-0.0f32).to_bits());
    }
}
