//! The first page of an artefact: magic, checksum, and the identity as text that `head` can show.

use super::Identity;

const MAGIC: &[u8; 8] = b"preheat\x02";
/// One page, so that the bytes behind it begin on one.
pub(crate) const HEADER: usize = 4096;
const TEXT: usize = 16;

pub(super) struct Header {
    /// Of everything behind the header.
    pub(super) checksum: u64,
}

impl Header {
    /// None when it is not the header that this artefact must have.
    pub(super) fn read(page: &[u8], identity: &Identity) -> Option<Self> {
        let (header, text) = Header::parse(page)?;
        (text == identity.text.as_bytes()).then_some(header)
    }

    /// Of any artefact, with what it says about itself.
    pub(super) fn parse(page: &[u8]) -> Option<(Self, &[u8])> {
        let rest = page.get(..HEADER)?.strip_prefix(MAGIC)?;
        let (checksum, text) = rest.split_first_chunk::<8>()?;
        let end = text.iter().position(|byte| *byte == 0)?;
        let (text, filling) = text.split_at(end);
        let checksum = u64::from_le_bytes(*checksum);
        filling
            .iter()
            .all(|byte| *byte == 0)
            .then_some((Header { checksum }, text))
    }
}

/// Writes the header into the room before the bytes.
pub(super) fn sign(identity: &Identity, bytes: &mut [u8]) {
    let (header, body) = bytes.split_at_mut(HEADER);
    let text = identity.text.as_bytes();
    header.fill(0);
    header[..8].copy_from_slice(MAGIC);
    header[8..TEXT].copy_from_slice(&checksum(body).to_le_bytes());
    header[TEXT..TEXT + text.len()].copy_from_slice(text);
}

/// FNV-1a over 64-bit words in eight independent lanes, so that it runs at the speed of memory.
/// Each step is a bijection of its lane: a change of one word always changes the result. It guards
/// against damage, not against forgery.
pub(super) fn checksum(bytes: &[u8]) -> u64 {
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
