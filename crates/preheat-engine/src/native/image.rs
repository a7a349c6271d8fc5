//! The packed numbers of a model: in memory of this process alone, or in a file that all processes
//! of the machine map.

use std::ops::{Deref, Range};

use memmap2::Mmap;

use super::memory::Floats;

pub(super) struct Image {
    memory: Memory,
    /// The numbers, behind the header.
    numbers: Range<usize>,
}

enum Memory {
    Private(Floats),
    Shared(Mmap),
}

impl Image {
    pub(super) fn private(memory: Floats, numbers: Range<usize>) -> Self {
        Image {
            memory: Memory::Private(memory),
            numbers,
        }
    }

    /// `numbers` counts floats from the beginning of the file.
    pub(super) fn shared(map: Mmap, numbers: Range<usize>) -> Self {
        assert!(
            numbers.end * size_of::<f32>() <= map.len(),
            "the file holds all numbers"
        );
        Image {
            memory: Memory::Shared(map),
            numbers,
        }
    }
}

impl Deref for Image {
    type Target = [f32];

    #[expect(unsafe_code, reason = "a mapped file is bytes to the compiler")]
    fn deref(&self) -> &[f32] {
        match &self.memory {
            Memory::Private(floats) => &floats[self.numbers.clone()],
            Memory::Shared(map) => {
                let Range { start, end } = self.numbers;
                // SAFETY: the map begins on a page and was found long enough; every pattern of bits
                // is a float.
                unsafe {
                    let floats = map.as_ptr().cast::<f32>().add(start);
                    std::slice::from_raw_parts(floats, end - start)
                }
            }
        }
    }
}
