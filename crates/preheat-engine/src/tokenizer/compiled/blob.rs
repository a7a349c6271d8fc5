//! The bytes of a compiled tokenizer: named sections behind a table of their places. Everything is
//! read through bounds that are checked; a place that is not there reads as zeros or nothing, so
//! that damage can make answers wrong, and nothing else.

use std::ops::Range;

use crate::store::{Content, HEADER, Made};

/// Raised whenever the same bytes would mean something else.
pub(in crate::tokenizer) const VERSION: u32 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tokenizer) enum Section {
    /// Why this tokenizer could not be compiled, so that it is not tried again.
    Refusal,
    Recipe,
    /// Tokens, one after the other.
    Text,
    /// For each token: where its text begins, the bytes of it, its id.
    Tokens,
    /// A hash table: for each slot the lower half of a hash, and the number of a token plus one.
    Slots,
    /// A hash table: for each slot two ids, the rank of joining them, and the id that it gives.
    Merges,
    /// The id of each byte.
    Bytes,
    /// For each id its score, in double precision.
    Scores,
    /// What words go on with.
    Prefix,
    Added,
    AddedText,
    /// The trie of a normaliser that replaces pieces of text, and what it replaces them with.
    Charsmap,
    CharsmapText,
    /// First and last of each range of characters.
    Letters,
    Numbers,
    /// A digest, and the `tokenizers` crate's own steps, as it writes them. Empty where they, over
    /// this vocabulary, do not tell of tokens what the crate tells.
    Pipeline,
}

const SECTIONS: usize = Section::Pipeline as usize + 1;
const TABLE: usize = SECTIONS * 2 * size_of::<u32>();

/// A compiled tokenizer in memory or in a file.
pub(in crate::tokenizer) struct Blob {
    content: Content<Bytes>,
    sections: [Range<usize>; SECTIONS],
}

/// Room for the header, and what a [`Writer`] wrote.
#[derive(Clone)]
pub(in crate::tokenizer) struct Bytes(Vec<u8>);

impl Made for Bytes {
    fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Blob {
    /// None when the sections do not lie in the bytes.
    pub(in crate::tokenizer) fn open(content: Content<Bytes>) -> Option<Self> {
        let body = body(&content);
        let table = body.get(..TABLE)?;
        let mut sections = [const { 0..0 }; SECTIONS];
        for (section, place) in sections.iter_mut().zip(table.chunks_exact(8)) {
            let [start, len] = [word_at(place, 0), word_at(place, 1)].map(|word| word as usize);
            *section = start..start.checked_add(len)?;
            body.get(section.clone())?;
        }
        Some(Blob { content, sections })
    }

    pub(in crate::tokenizer) fn section(&self, section: Section) -> &[u8] {
        let place = self.sections[section as usize].clone();
        body(&self.content).get(place).unwrap_or_default()
    }

    pub(in crate::tokenizer) fn words(&self, section: Section) -> Words<'_> {
        Words(self.section(section))
    }
}

fn body(content: &Content<Bytes>) -> &[u8] {
    let bytes = match content {
        Content::Private(Bytes(bytes)) => bytes,
        Content::Shared(mapped) => mapped.bytes(),
    };
    bytes.get(HEADER..).unwrap_or_default()
}

/// Numbers of 32 bits.
#[derive(Clone, Copy)]
pub(in crate::tokenizer) struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    pub(in crate::tokenizer) fn len(self) -> usize {
        self.0.len() / 4
    }

    #[inline]
    pub(in crate::tokenizer) fn get(self, index: usize) -> u32 {
        word_at(self.0, index)
    }

    /// The `N` words of entry `index`; zeros where there is none.
    #[inline]
    pub(in crate::tokenizer) fn entry<const N: usize>(self, index: usize) -> [u32; N] {
        std::array::from_fn(|at| self.get(index.wrapping_mul(N).wrapping_add(at)))
    }

    pub(in crate::tokenizer) fn iter(self) -> impl Iterator<Item = u32> + 'a {
        let (words, _) = self.0.as_chunks::<4>();
        words.iter().map(|word| u32::from_le_bytes(*word))
    }
}

#[inline]
fn word_at(bytes: &[u8], index: usize) -> u32 {
    let at = index.wrapping_mul(4);
    match bytes.get(at..).and_then(<[u8]>::first_chunk::<4>) {
        Some(word) => u32::from_le_bytes(*word),
        None => 0,
    }
}

#[cfg(test)]
impl Bytes {
    pub(in crate::tokenizer) fn cut(&mut self, len: usize) {
        self.0.truncate(len);
    }
}

/// Lays sections one after the other.
pub(in crate::tokenizer) struct Writer(Vec<u8>);

impl Writer {
    pub(in crate::tokenizer) fn new() -> Self {
        Writer(vec![0; HEADER + TABLE])
    }

    pub(in crate::tokenizer) fn add(&mut self, section: Section, bytes: &[u8]) {
        self.0.resize(self.0.len().next_multiple_of(8), 0);
        let start = self.0.len() - HEADER;
        self.0.extend_from_slice(bytes);
        let place = HEADER + section as usize * 8;
        for (at, number) in [start, bytes.len()].into_iter().enumerate() {
            // Whatever is larger than 4 GB ends outside of the file, and is not opened.
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            self.0[place + at * 4..][..4].copy_from_slice(&number.to_le_bytes());
        }
    }

    pub(in crate::tokenizer) fn add_words(
        &mut self,
        section: Section,
        words: impl IntoIterator<Item = u32>,
    ) {
        let bytes: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
        self.add(section, &bytes);
    }

    pub(in crate::tokenizer) fn finish(self) -> Bytes {
        Bytes(self.0)
    }
}
