//! Hash tables that are used where they lie: tokens by their text, and merges by their two halves.

use std::cmp::Ordering;

use super::blob::{Blob, Section, Words, Writer};

/// The hash of a text, byte by byte, so that every beginning of a word is hashed in one walk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hash(u64);

impl Hash {
    pub(super) const EMPTY: Hash = Hash(0xcbf2_9ce4_8422_2325);

    #[inline]
    pub(super) fn with(self, byte: u8) -> Self {
        Hash((self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
    }

    pub(super) fn with_all(self, bytes: &[u8]) -> Self {
        bytes.iter().fold(self, |hash, byte| hash.with(*byte))
    }

    /// Its low bits are the least mixed ones.
    #[inline]
    fn place(self) -> u64 {
        (self.0 ^ self.0 >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    #[inline]
    fn slot(self, slots: usize) -> usize {
        (self.place() >> 32) as usize & slots.wrapping_sub(1)
    }

    #[inline]
    fn tag(self) -> u32 {
        self.place() as u32
    }
}

/// Tokens, found by their text.
#[derive(Clone, Copy)]
pub(super) struct Tokens<'a> {
    slots: Words<'a>,
    tokens: Words<'a>,
    text: &'a [u8],
}

impl<'a> Tokens<'a> {
    #[inline]
    pub(super) fn of(blob: &'a Blob) -> Self {
        Tokens {
            slots: blob.words(Section::Slots),
            tokens: blob.words(Section::Tokens),
            text: blob.section(Section::Text),
        }
    }

    /// The id of the token that reads `before` and then `text`; `hash` is that of both.
    #[inline]
    pub(super) fn find(&self, hash: Hash, before: &[u8], text: &[u8]) -> Option<u32> {
        let slots = self.slots.len() / 2;
        let mut slot = hash.slot(slots);
        for _ in 0..slots {
            let [tag, token] = self.slots.entry(slot);
            let token = token.checked_sub(1)?;
            if tag == hash.tag() {
                let [start, len, id] = self.tokens.entry(token as usize);
                let place = start as usize..(start as usize).saturating_add(len as usize);
                let found = self.text.get(place).unwrap_or_default();
                if found.strip_prefix(before) == Some(text) {
                    return Some(id);
                }
            }
            slot = (slot + 1) & (slots - 1);
        }
        None
    }

    pub(super) fn id(&self, text: &[u8]) -> Option<u32> {
        self.find(Hash::EMPTY.with_all(text), b"", text)
    }

    /// What the token with this id reads: they lie in the order of their ids.
    pub(super) fn text(&self, id: u32) -> Option<&'a str> {
        let (mut low, mut high) = (0, self.tokens.len() / 3);
        while low < high {
            let middle = low + (high - low) / 2;
            let [start, len, found] = self.tokens.entry(middle);
            match found.cmp(&id) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => {
                    let place = start as usize..(start as usize).checked_add(len as usize)?;
                    return str::from_utf8(self.text.get(place)?).ok();
                }
            }
        }
        None
    }
}

impl Tokens<'_> {
    /// They lie in the order of their ids.
    pub(super) fn last_id(&self) -> Option<u32> {
        let last = (self.tokens.len() / 3).checked_sub(1)?;
        let [_, _, id] = self.tokens.entry(last);
        Some(id)
    }
}

/// Texts differ from each other, and come in the order of their ids.
pub(in crate::tokenizer) fn write_tokens<'t>(
    tokens: impl Iterator<Item = (&'t [u8], u32)>,
    to: &mut Writer,
) {
    let (mut text, mut entries, mut hashes) = (Vec::new(), Vec::new(), Vec::new());
    for (token, id) in tokens {
        entries.extend([text.len() as u32, token.len() as u32, id]);
        text.extend_from_slice(token);
        hashes.push(Hash::EMPTY.with_all(token));
    }
    let slots = room(hashes.len());
    let mut table = vec![0u32; slots * 2];
    for (token, hash) in hashes.into_iter().enumerate() {
        let mut slot = hash.slot(slots);
        while table[slot * 2 + 1] != 0 {
            slot = (slot + 1) & (slots - 1);
        }
        table[slot * 2] = hash.tag();
        table[slot * 2 + 1] = token as u32 + 1;
    }
    to.add(Section::Text, &text);
    to.add_words(Section::Tokens, entries);
    to.add_words(Section::Slots, table);
}

/// What two neighbours become, and how early.
#[derive(Clone, Copy)]
pub(super) struct Merges<'a>(Words<'a>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tokenizer) struct Merge {
    pub(in crate::tokenizer) rank: u32,
    pub(in crate::tokenizer) id: u32,
}

/// No token has this id: the slot is free.
const FREE: u32 = u32::MAX;

impl<'a> Merges<'a> {
    #[inline]
    pub(super) fn of(blob: &'a Blob) -> Self {
        Merges(blob.words(Section::Merges))
    }

    #[inline]
    pub(super) fn find(&self, left: u32, right: u32) -> Option<Merge> {
        let slots = self.0.len() / 4;
        let mut slot = pair_slot(left, right, slots);
        for _ in 0..slots {
            let [found_left, found_right, rank, id] = self.0.entry(slot);
            if (found_left, found_right) == (left, right) {
                return Some(Merge { rank, id });
            }
            if found_left == FREE {
                return None;
            }
            slot = (slot + 1) & (slots - 1);
        }
        None
    }
}

pub(in crate::tokenizer) fn write_merges(
    merges: impl ExactSizeIterator<Item = ((u32, u32), Merge)>,
    to: &mut Writer,
) {
    let slots = room(merges.len());
    let mut table = vec![FREE; slots * 4];
    for ((left, right), Merge { rank, id }) in merges {
        let mut slot = pair_slot(left, right, slots);
        while table[slot * 4] != FREE && table[slot * 4..][..2] != [left, right] {
            slot = (slot + 1) & (slots - 1);
        }
        table[slot * 4..][..4].copy_from_slice(&[left, right, rank, id]);
    }
    to.add_words(Section::Merges, table);
}

fn pair_slot(left: u32, right: u32, slots: usize) -> usize {
    let pair = u64::from(left) << 32 | u64::from(right);
    (pair.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & slots.wrapping_sub(1)
}

/// At most half of the slots are taken, so that searches end soon.
fn room(entries: usize) -> usize {
    (entries * 2 + 2).next_power_of_two()
}
