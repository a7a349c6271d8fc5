//! What is done to a text before it is split. Characters are judged by the very tables that the
//! `tokenizers` crate judges them by.

use std::borrow::Cow;
use std::mem;

use unicode_categories::UnicodeCategories;
use unicode_normalization_alignments::UnicodeNormalization;

use super::blob::Blob;
use super::charsmap::Charsmap;
use super::recipe::{Bert, Normalizer};

pub(in crate::tokenizer) fn normalized<'t>(
    steps: &[Normalizer],
    blob: &Blob,
    text: &'t str,
) -> Cow<'t, str> {
    let mut text = Cow::Borrowed(text);
    for step in steps {
        let mut out = String::with_capacity(text.len() + 8);
        match step {
            Normalizer::Bert(bert) => bert.apply(&text, &mut out),
            Normalizer::Charsmap => Charsmap::of(blob).apply(&text, &mut out),
            Normalizer::Nfc => out.extend(text.nfc().map(|(c, _)| c)),
            Normalizer::Nfd => out.extend(text.nfd().map(|(c, _)| c)),
            Normalizer::Nfkc => out.extend(text.nfkc().map(|(c, _)| c)),
            Normalizer::Nfkd => out.extend(text.nfkd().map(|(c, _)| c)),
            Normalizer::Lowercase => out.extend(text.chars().flat_map(char::to_lowercase)),
            Normalizer::StripAccents => out.extend(text.chars().filter(|c| !is_combining(*c))),
            Normalizer::Trim { left, right } => out.push_str(trimmed(&text, *left, *right)),
            Normalizer::Squeeze => squeeze(&text, &mut out),
        }
        text = Cow::Owned(out);
    }
    text
}

impl Bert {
    fn apply(self, text: &str, out: &mut String) {
        for c in text.chars() {
            let c = match c {
                _ if !self.clean => c,
                '\t' | '\n' | '\r' => ' ',
                '\0' | '\u{fffd}' => continue,
                _ if c.is_other() => continue,
                _ if c.is_whitespace() => ' ',
                _ => c,
            };
            if self.chinese && is_chinese(c) {
                out.extend([' ', c, ' ']);
            } else {
                out.push(c);
            }
        }
        if out.is_ascii() {
            if self.lowercase {
                out.make_ascii_lowercase();
            }
            return;
        }
        if self.accents {
            let whole = mem::take(out);
            let parts = whole.nfd().map(|(c, _)| c);
            out.extend(parts.filter(|c| !c.is_mark_nonspacing()));
        }
        if self.lowercase {
            let whole = mem::take(out);
            out.extend(whole.chars().flat_map(char::to_lowercase));
        }
    }
}

fn is_chinese(c: char) -> bool {
    matches!(
        u32::from(c),
        0x4e00..=0x9fff
            | 0x3400..=0x4dbf
            | 0x2_0000..=0x2_a6df
            | 0x2_a700..=0x2_b73f
            | 0x2_b740..=0x2_b81f
            | 0x2_b920..=0x2_ceaf
            | 0xf900..=0xfaff
            | 0x2_f800..=0x2_fa1f
    )
}

fn is_combining(c: char) -> bool {
    unicode_normalization_alignments::char::is_combining_mark(c)
}

fn trimmed(text: &str, left: bool, right: bool) -> &str {
    let text = if left { text.trim_start() } else { text };
    if right { text.trim_end() } else { text }
}

fn squeeze(text: &str, out: &mut String) {
    let mut was_space = false;
    for c in text.chars() {
        if !(was_space && c == ' ') {
            out.push(c);
        }
        was_space = c == ' ';
    }
}
