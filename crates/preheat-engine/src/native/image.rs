//! The packed numbers of a model: in memory of this process alone, or in a file of the artefact
//! store that all processes of the machine map.

use std::ops::Deref;

use super::memory::{Floats, NoMemory};
use crate::load::{ArtefactState, LoadError};
use crate::store::{self, Content, HEADER, Identity, Made, Mapped, Places};

const HEADER_FLOATS: usize = HEADER / size_of::<f32>();

pub(super) struct Image(Content<Packed>);

/// A page for the header and the numbers behind it.
struct Packed(Floats);

impl Made for Packed {
    fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self.0.as_bytes_mut()
    }
}

impl Image {
    /// `len` numbers; `pack` fills them in, all zeros before, when they are not in the store.
    pub(super) fn open(
        places: Places<'_>,
        identity: &Identity,
        len: usize,
        pack: impl FnOnce(&mut [f32]) -> Result<(), LoadError>,
    ) -> Result<(Self, ArtefactState), LoadError> {
        let floats = HEADER_FLOATS.saturating_add(len);
        let bytes = floats.saturating_mul(size_of::<f32>());
        let (content, state) = store::open(places, identity, Some(bytes), || {
            let mut memory =
                Floats::zeroed(floats).map_err(|NoMemory { bytes }| LoadError::OutOfMemory {
                    what: "the packed weights",
                    bytes,
                })?;
            pack(&mut memory[HEADER_FLOATS..])?;
            Ok(Packed(memory))
        })?;
        Ok((Image(content), state))
    }
}

impl Deref for Image {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &self.0 {
            Content::Private(Packed(floats)) => &floats[HEADER_FLOATS..],
            Content::Shared(mapped) => numbers(mapped),
        }
    }
}

#[expect(unsafe_code, reason = "a mapped file is bytes to the compiler")]
fn numbers(mapped: &Mapped) -> &[f32] {
    let (_, body) = mapped.bytes().split_at(HEADER);
    // SAFETY: the map begins on a page and the header is one; every pattern of bits is a float.
    unsafe { std::slice::from_raw_parts(body.as_ptr().cast(), body.len() / size_of::<f32>()) }
}
