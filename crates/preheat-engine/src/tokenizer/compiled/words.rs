//! Cuts normalised text into the pieces that the model turns into tokens, one by one.

use std::borrow::Cow;

use unicode_categories::UnicodeCategories;

use super::added::Enough;
use super::blob::{Blob, Section, Words};
use super::recipe::Split;

/// Calls `each` for every piece, in order, until it says that it has enough. No piece is empty.
pub(in crate::tokenizer) fn pieces(
    splits: &[Split],
    blob: &Blob,
    text: &str,
    each: &mut dyn FnMut(&str) -> Enough,
) -> Enough {
    if text.is_empty() {
        return Enough::No;
    }
    let Some((split, rest)) = splits.split_first() else {
        return each(text);
    };
    let mut next = |piece: &str| pieces(rest, blob, piece, each);
    match split {
        Split::Bert => bert(text, &mut next),
        Split::Whitespace => all(text.split(char::is_whitespace), &mut next),
        Split::Metaspace {
            space,
            prepend,
            split,
        } => {
            let mut text = text.replace(' ', space.encode_utf8(&mut [0; 4]));
            if *prepend && !text.starts_with(*space) {
                text.insert(0, *space);
            }
            match split {
                true => all(before_each(&text, *space), &mut next),
                false => next(&text),
            }
        }
        Split::ByteLevel { prepend, split } => {
            let text = match *prepend && !text.starts_with(' ') {
                true => Cow::Owned(format!(" {text}")),
                false => Cow::Borrowed(text),
            };
            match split {
                true => all(Gpt2::over(&text, blob), &mut next),
                false => next(&text),
            }
        }
    }
}

fn all<'t>(pieces: impl Iterator<Item = &'t str>, each: &mut dyn FnMut(&str) -> Enough) -> Enough {
    for piece in pieces {
        if each(piece) == Enough::Yes {
            return Enough::Yes;
        }
    }
    Enough::No
}

/// Words end at white space, and punctuation stands alone.
fn bert(text: &str, each: &mut dyn FnMut(&str) -> Enough) -> Enough {
    let mut start = 0;
    for (at, c) in text.char_indices() {
        let is_space = c.is_whitespace();
        if !is_space && !is_punctuation(c) {
            continue;
        }
        let stop = at + c.len_utf8();
        let mark = if is_space { "" } else { &text[at..stop] };
        if all([&text[start..at], mark].into_iter(), each) == Enough::Yes {
            return Enough::Yes;
        }
        start = stop;
    }
    each(&text[start..])
}

fn is_punctuation(c: char) -> bool {
    match c.is_ascii() {
        true => c.is_ascii_punctuation(),
        false => c.is_punctuation(),
    }
}

/// A piece begins at each of these characters.
fn before_each(text: &str, start: char) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let mut chars = rest.char_indices().skip(1);
        let end = chars
            .find(|(_, c)| *c == start)
            .map_or(rest.len(), |(at, _)| at);
        let (piece, behind) = rest.split_at(end);
        rest = behind;
        (!piece.is_empty()).then_some(piece)
    })
}

/// GPT-2's pieces: English contractions, then runs of letters, of digits and of anything else, each
/// with the space before it; white space, of which the last one belongs to what follows.
struct Gpt2<'t> {
    rest: &'t str,
    letters: Words<'t>,
    numbers: Words<'t>,
}

const CONTRACTIONS: [&str; 7] = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Space,
    Letter,
    Number,
    Other,
}

impl<'t> Gpt2<'t> {
    fn over(text: &'t str, blob: &'t Blob) -> Self {
        Gpt2 {
            rest: text,
            letters: blob.words(Section::Letters),
            numbers: blob.words(Section::Numbers),
        }
    }

    fn class(&self, c: char) -> Class {
        match c {
            'a'..='z' | 'A'..='Z' => Class::Letter,
            '0'..='9' => Class::Number,
            _ if c.is_whitespace() => Class::Space,
            _ if c.is_ascii() => Class::Other,
            _ if is_within(self.letters, c) => Class::Letter,
            _ if is_within(self.numbers, c) => Class::Number,
            _ => Class::Other,
        }
    }

    /// Bytes of the piece that begins here.
    fn piece(&self) -> usize {
        let starts = |contraction: &&str| self.rest.starts_with(*contraction);
        if let Some(contraction) = CONTRACTIONS.into_iter().find(starts) {
            return contraction.len();
        }
        let word = self.rest.strip_prefix(' ').unwrap_or(self.rest);
        match word.chars().next().map(|c| self.class(c)) {
            None | Some(Class::Space) => self.space(),
            Some(class) => {
                let end = word.find(|c| self.class(c) != class).unwrap_or(word.len());
                self.rest.len() - word.len() + end
            }
        }
    }

    fn space(&self) -> usize {
        let run = self.rest.len() - self.rest.trim_start().len();
        let last = self.rest[..run]
            .chars()
            .next_back()
            .map_or(0, char::len_utf8);
        match run {
            _ if run == self.rest.len() || run == last => run,
            _ => run - last,
        }
    }
}

impl<'t> Iterator for Gpt2<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        if self.rest.is_empty() {
            return None;
        }
        let (piece, rest) = self.rest.split_at(self.piece());
        self.rest = rest;
        Some(piece)
    }
}

fn is_within(ranges: Words<'_>, c: char) -> bool {
    let (mut low, mut high) = (0, ranges.len() / 2);
    while low < high {
        let middle = low + (high - low) / 2;
        let [first, last] = ranges.entry(middle);
        match u32::from(c) {
            c if c < first => high = middle,
            c if c > last => low = middle + 1,
            _ => return true,
        }
    }
    false
}
