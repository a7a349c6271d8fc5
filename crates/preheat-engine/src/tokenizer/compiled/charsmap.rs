//! The replacements that sentencepiece compiles into a model: a trie over bytes (a double array)
//! whose values are places in a text, where the replacement reads up to the next zero.

use unicode_segmentation::UnicodeSegmentation;

use super::blob::{Blob, Section, Words};

/// Longer clusters are replaced character by character; that is how the `tokenizers` crate does it.
const LONGEST_CLUSTER: usize = 5;

pub(super) struct Charsmap<'a> {
    units: Words<'a>,
    text: &'a [u8],
}

impl<'a> Charsmap<'a> {
    pub(super) fn of(blob: &'a Blob) -> Self {
        Charsmap {
            units: blob.words(Section::Charsmap),
            text: blob.section(Section::CharsmapText),
        }
    }

    pub(super) fn apply(&self, text: &str, out: &mut String) {
        for cluster in text.graphemes(true) {
            if cluster.len() <= LONGEST_CLUSTER
                && let Some(replacement) = self.replacement(cluster)
            {
                out.push_str(replacement);
                continue;
            }
            for c in cluster.chars() {
                let mut bytes = [0; 4];
                match self.replacement(c.encode_utf8(&mut bytes)) {
                    Some(replacement) => out.push_str(replacement),
                    None => out.push(c),
                }
            }
        }
    }

    /// Of the shortest beginning of `piece` that has one.
    fn replacement(&self, piece: &str) -> Option<&'a str> {
        let start = self.shortest(piece.as_bytes())?;
        let rest = self.text.get(start..).unwrap_or_default();
        let end = rest.iter().position(|byte| *byte == 0);
        std::str::from_utf8(&rest[..end.unwrap_or(rest.len())]).ok()
    }

    fn shortest(&self, key: &[u8]) -> Option<usize> {
        let mut at = offset(self.unit(0)?);
        for &byte in key {
            if byte == 0 {
                return None;
            }
            at ^= usize::from(byte);
            let unit = self.unit(at)?;
            if unit & (1 << 31 | 0xff) != u32::from(byte) {
                return None;
            }
            at ^= offset(unit);
            if unit >> 8 & 1 == 1 {
                return Some((self.unit(at)? & ((1 << 31) - 1)) as usize);
            }
        }
        None
    }

    fn unit(&self, at: usize) -> Option<u32> {
        (at < self.units.len()).then(|| self.units.get(at))
    }
}

fn offset(unit: u32) -> usize {
    ((unit >> 10) as usize) << ((unit & 1 << 9) >> 6)
}
