//! Tokens that are found in a text before anything else is done to it, special ones above all.

use std::ops::Range;

use super::blob::{Blob, Section, Writer};

/// One piece of a text.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::tokenizer) enum Part<'t> {
    Token(u32),
    Text(&'t str),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::tokenizer) struct AddedToken {
    pub(in crate::tokenizer) text: String,
    pub(in crate::tokenizer) id: u32,
    /// Looked for in the normalised text instead.
    pub(in crate::tokenizer) normalized: bool,
    /// Takes the white space before it, or behind it, with it.
    pub(in crate::tokenizer) left: bool,
    pub(in crate::tokenizer) right: bool,
}

/// The longest one that begins first is found first.
#[derive(Debug, Default)]
pub(in crate::tokenizer) struct Added {
    /// Longest first.
    tokens: Vec<(Range<usize>, AddedFlags)>,
    /// Whether a token begins with that byte.
    begins: Box<[bool]>,
}

#[derive(Debug, Clone, Copy)]
struct AddedFlags {
    id: u32,
    left: bool,
    right: bool,
}

impl Added {
    /// Those that are looked for in the raw text, or those in the normalised one.
    pub(in crate::tokenizer) fn read(blob: &Blob, normalized: bool) -> Option<Self> {
        let (words, text) = (blob.words(Section::Added), blob.section(Section::AddedText));
        let mut added = Added {
            tokens: Vec::new(),
            begins: vec![false; 256].into(),
        };
        for index in 0..words.len() / FIELDS {
            let [start, len, id, flags] = words.entry::<FIELDS>(index);
            let place = start as usize..(start as usize).checked_add(len as usize)?;
            let first = *text.get(place.clone())?.first()?;
            if (flags & 1 == 1) == normalized {
                let (left, right) = (flags & 2 != 0, flags & 4 != 0);
                added.tokens.push((place, AddedFlags { id, left, right }));
                added.begins[usize::from(first)] = true;
            }
        }
        Some(added)
    }

    pub(in crate::tokenizer) fn ids(&self) -> impl Iterator<Item = u32> {
        self.tokens.iter().map(|(_, token)| token.id)
    }

    /// Calls `each` for every part, in order, until it says that it has enough.
    pub(in crate::tokenizer) fn split(
        &self,
        blob: &Blob,
        text: &str,
        mut each: impl FnMut(Part<'_>) -> Enough,
    ) -> Enough {
        let (mut done, mut at) = (0, 0);
        while !self.tokens.is_empty() && at < text.len() {
            let Some((len, token)) = self.at(blob, text, at) else {
                at += 1;
                continue;
            };
            let (mut start, mut stop) = (at, at + len);
            at = stop;
            if token.left {
                start = text[..start].trim_end().len().max(done);
            }
            if token.right {
                stop = text.len() - text[stop..].trim_start().len();
            }
            if done < start && each(Part::Text(&text[done..start])) == Enough::Yes {
                return Enough::Yes;
            }
            if each(Part::Token(token.id)) == Enough::Yes {
                return Enough::Yes;
            }
            done = stop;
        }
        match &text[done..] {
            "" => Enough::No,
            rest => each(Part::Text(rest)),
        }
    }

    fn at(&self, blob: &Blob, text: &str, at: usize) -> Option<(usize, AddedFlags)> {
        let rest = &text.as_bytes()[at..];
        if !self.begins[usize::from(rest[0])] {
            return None;
        }
        let tokens = blob.section(Section::AddedText);
        let found = self.tokens.iter().find(|(place, _)| {
            let token = tokens.get(place.clone()).unwrap_or_default();
            rest.starts_with(token)
        });
        let (place, flags) = found?;
        // Only tokens that are no text, which damage can make, match elsewhere.
        let is_text = text.is_char_boundary(at) && text.is_char_boundary(at + place.len());
        is_text.then_some((place.len(), *flags))
    }
}

/// Whether more tokens are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tokenizer) enum Enough {
    Yes,
    No,
}

const FIELDS: usize = 4;

pub(in crate::tokenizer) fn write(mut tokens: Vec<AddedToken>, to: &mut Writer) {
    tokens.sort_by(|a, b| (b.text.len(), &a.text).cmp(&(a.text.len(), &b.text)));
    let (mut words, mut text) = (Vec::new(), String::new());
    for token in tokens {
        let flags = [token.normalized, token.left, token.right];
        let flags = flags
            .iter()
            .rev()
            .fold(0, |all, flag| all << 1 | u32::from(*flag));
        words.extend([text.len() as u32, token.text.len() as u32, token.id, flags]);
        text.push_str(&token.text);
    }
    to.add_words(Section::Added, words);
    to.add(Section::AddedText, text.as_bytes());
}
