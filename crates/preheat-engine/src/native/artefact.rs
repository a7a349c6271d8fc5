//! The packed image of a model on disk: packed once, then mapped by every process that serves it.
//!
//! A file is named after what it was made from (the digest of the weights, the config, the layout,
//! the instruction set), and repeats that in its header. It is believed only if the header says
//! exactly that and the checksum of all its numbers is right; anything else is packed anew. Never
//! needed: whoever cannot use the directory packs into memory of its own.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use memmap2::{Advice, Mmap};

use super::image::Image;
use super::memory::{Floats, NoMemory};
use crate::load::{ArtefactState, LoadError, hex};

const MAGIC: &[u8; 8] = b"preheat\x01";
/// One page, so that the numbers behind it begin on one.
const HEADER: usize = 4096;
const HEADER_FLOATS: usize = HEADER / size_of::<f32>();
/// How long to wait for another process that is packing the same model.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// What an artefact is made from. Equal text means equal numbers.
pub(super) struct Identity(pub(super) String);

/// Fills an image that is all zeros.
pub(super) trait Pack: FnOnce(&mut [f32]) -> Result<(), LoadError> {}
impl<F: FnOnce(&mut [f32]) -> Result<(), LoadError>> Pack for F {}

/// The image, from the directory if it can be had there.
pub(super) fn open(
    dir: Option<&Path>,
    identity: &Identity,
    len: usize,
    pack: impl Pack,
) -> Result<(Image, ArtefactState), LoadError> {
    let Some(dir) = dir else {
        return Ok((packed(len, pack)?.into_image(), ArtefactState::Off));
    };
    let place = Place::of(dir, identity, len);
    if let Ok(image) = place.map(identity) {
        return Ok((image, ArtefactState::Mapped));
    }
    let lock = match place.lock() {
        Ok(lock) => lock,
        Err(error) => {
            let reason = format!("{} cannot be locked: {error}", place.lock.display());
            return Ok((
                packed(len, pack)?.into_image(),
                ArtefactState::Unavailable { reason },
            ));
        }
    };
    // Whoever held the lock before may have packed this very model.
    let distrust = match place.map(identity) {
        Ok(image) => return Ok((image, ArtefactState::Mapped)),
        Err(distrust) => distrust,
    };
    let mut packed = packed(len, pack)?;
    packed.sign(identity);
    let written = place.write(&packed).and_then(|()| {
        place
            .map(identity)
            .map_err(|distrust| io::Error::other(format!("{distrust:?}")))
    });
    drop(lock);
    Ok(match (written, distrust) {
        (Ok(image), Distrust::Missing) => (image, ArtefactState::Built),
        (Ok(image), Distrust::Damaged(reason)) => (
            image,
            ArtefactState::Rebuilt {
                reason: reason.to_owned(),
            },
        ),
        (Err(error), _) => {
            let reason = format!("{} cannot be written: {error}", place.file.display());
            (packed.into_image(), ArtefactState::Unavailable { reason })
        }
    })
}

/// Why a file is not used.
#[derive(Debug)]
enum Distrust {
    Missing,
    Damaged(&'static str),
}

struct Place {
    file: PathBuf,
    /// What is being written. Only who holds the lock does, so what a crash leaves is found again.
    new: PathBuf,
    lock: PathBuf,
    /// Numbers in the image.
    len: usize,
}

impl Place {
    fn of(dir: &Path, identity: &Identity, len: usize) -> Self {
        let name = &hex(identity.0.as_bytes())[..32];
        Place {
            file: dir.join(format!("{name}.packed")),
            new: dir.join(format!("{name}.new")),
            lock: dir.join(format!("{name}.lock")),
            len,
        }
    }

    fn map(&self, identity: &Identity) -> Result<Image, Distrust> {
        let file = File::open(&self.file).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Distrust::Missing,
            _ => Distrust::Damaged("it cannot be opened"),
        })?;
        let unreadable = |_| Distrust::Damaged("it cannot be read");
        let facts = file.metadata().map_err(unreadable)?;
        if !facts.permissions().readonly() {
            return Err(Distrust::Damaged("it may be written"));
        }
        if facts.len() != ((HEADER_FLOATS + self.len) * size_of::<f32>()) as u64 {
            return Err(Distrust::Damaged("its length is wrong"));
        }
        #[expect(unsafe_code, reason = "mapping a file has no safe form")]
        // SAFETY: the map is only read, and the file is read-only: it is replaced, never changed.
        let map = unsafe { Mmap::map(&file) }.map_err(unreadable)?;
        // All page table entries at once, or, where the kernel is too old, by faults below.
        let _ = map.advise(Advice::PopulateRead);
        let (header, numbers) = map.split_at(HEADER);
        if *header != Header::of(identity, numbers).0 {
            return Err(Distrust::Damaged("its header or its checksum is wrong"));
        }
        Ok(Image::shared(map, self.numbers()))
    }

    fn numbers(&self) -> Range<usize> {
        HEADER_FLOATS..HEADER_FLOATS + self.len
    }

    fn lock(&self) -> io::Result<File> {
        fs::create_dir_all(self.lock.parent().unwrap_or(Path::new(".")))?;
        let lock = File::options().create(true).append(true).open(&self.lock)?;
        let start = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(lock),
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if start.elapsed() > PATIENCE => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                Err(TryLockError::WouldBlock) => thread::sleep(LOOK_AGAIN),
            }
        }
    }

    /// One large write leaves large folios in the page cache: fewer entries to map than a file that
    /// grew by small pieces has.
    fn write(&self, packed: &Packed) -> io::Result<()> {
        match fs::remove_file(&self.new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = File::create_new(&self.new)?;
        file.write_all(packed.0.as_bytes())?;
        let mut permissions = file.metadata()?.permissions();
        permissions.set_readonly(true);
        file.set_permissions(permissions)?;
        file.sync_all()?;
        fs::rename(&self.new, &self.file)
    }
}

/// A page of header and the numbers behind it, in memory.
struct Packed(Floats);

fn packed(len: usize, pack: impl Pack) -> Result<Packed, LoadError> {
    let mut memory = Floats::zeroed(HEADER_FLOATS + len).map_err(|NoMemory { bytes }| {
        LoadError::OutOfMemory {
            what: "the packed weights",
            bytes,
        }
    })?;
    pack(&mut memory[HEADER_FLOATS..])?;
    Ok(Packed(memory))
}

impl Packed {
    fn sign(&mut self, identity: &Identity) {
        let (header, numbers) = self.0.as_bytes_mut().split_at_mut(HEADER);
        header.copy_from_slice(&Header::of(identity, numbers).0);
    }

    fn into_image(self) -> Image {
        let numbers = HEADER_FLOATS..self.0.len();
        Image::private(self.0, numbers)
    }
}

/// Magic, checksum, and the identity as text that `head` can show.
struct Header([u8; HEADER]);

impl Header {
    fn of(identity: &Identity, numbers: &[u8]) -> Self {
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(MAGIC);
        header[8..16].copy_from_slice(&checksum(numbers).to_le_bytes());
        let text = identity.0.as_bytes();
        header[16..16 + text.len()].copy_from_slice(text);
        Header(header)
    }
}

/// FNV-1a over 64-bit words in eight independent lanes, so that it runs at the speed of memory.
/// Each step is a bijection of its lane: a change of one word always changes the result. It guards
/// against damage, not against forgery.
fn checksum(bytes: &[u8]) -> u64 {
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let step = |state: u64, word: u64| (state ^ word).wrapping_mul(PRIME).rotate_left(29);
    let (blocks, rest) = bytes.as_chunks::<64>();
    let mut lanes: [u64; 8] = std::array::from_fn(|lane| 0xcbf2_9ce4_8422_2325 + lane as u64);
    for block in blocks {
        let (words, _) = block.as_chunks::<8>();
        for (lane, word) in lanes.iter_mut().zip(words) {
            *lane = step(*lane, u64::from_le_bytes(*word));
        }
    }
    let ends = rest
        .iter()
        .map(|byte| u64::from(*byte))
        .chain([bytes.len() as u64]);
    lanes.into_iter().chain(ends).fold(0, step)
}

#[cfg(test)]
mod tests {
    use super::checksum;

    #[test]
    fn the_checksum_sees_every_bit_and_every_place() {
        let bytes: Vec<u8> = (0..200u8).collect();
        let sum = checksum(&bytes);
        for bit in 0..bytes.len() * 8 {
            let mut other = bytes.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(checksum(&other), sum, "bit {bit}");
        }
        for cut in 0..bytes.len() {
            assert_ne!(checksum(&bytes[..cut]), sum, "cut at {cut}");
        }
        let mut swapped = bytes.clone();
        swapped.swap(0, 64);
        assert_ne!(checksum(&swapped), sum);
    }
}
