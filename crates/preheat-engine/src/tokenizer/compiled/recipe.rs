//! What a compiled tokenizer does to a text, step by step. Small: read once, when it is opened.

use super::blob::{Section, Words, Writer};
use crate::tokenizer::pair::Pair;

#[derive(Debug, Clone, PartialEq)]
pub(in crate::tokenizer) struct Recipe {
    pub(in crate::tokenizer) normalizers: Vec<Normalizer>,
    pub(in crate::tokenizer) splits: Vec<Split>,
    pub(in crate::tokenizer) model: Model,
    /// Special tokens before the text and behind it.
    pub(in crate::tokenizer) before: Vec<u32>,
    pub(in crate::tokenizer) after: Vec<u32>,
    /// None: it has no form for two texts.
    pub(in crate::tokenizer) pair: Option<Pair>,
    /// Whether tokens never reach over a space, so that the tokens of a text up to a space are the
    /// first tokens of the whole text.
    pub(in crate::tokenizer) stops_at_spaces: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tokenizer) enum Normalizer {
    Bert(Bert),
    /// Replacements that sentencepiece compiled.
    Charsmap,
    Nfc,
    Nfd,
    Nfkc,
    Nfkd,
    Lowercase,
    StripAccents,
    Trim {
        left: bool,
        right: bool,
    },
    /// Two spaces or more become one.
    Squeeze,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tokenizer) struct Bert {
    pub(in crate::tokenizer) clean: bool,
    pub(in crate::tokenizer) chinese: bool,
    pub(in crate::tokenizer) accents: bool,
    pub(in crate::tokenizer) lowercase: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tokenizer) enum Split {
    /// At white space, and around punctuation.
    Bert,
    Whitespace,
    /// Spaces become another character, which every piece begins with.
    Metaspace {
        space: char,
        prepend: bool,
        split: bool,
    },
    /// Pieces as GPT-2 has them, and bytes as what they are made of.
    ByteLevel {
        prepend: bool,
        split: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::tokenizer) enum Model {
    WordPiece {
        unknown: u32,
        most_chars: u32,
        longest: u32,
    },
    Bpe {
        whole_words: bool,
    },
    Unigram {
        unknown: u32,
        unknown_score: f64,
        longest: u32,
    },
}

impl Recipe {
    pub(in crate::tokenizer) fn write(&self, to: &mut Writer) {
        let mut words = vec![u32::from(self.stops_at_spaces)];
        let mut list = |items: Vec<[u32; 5]>| {
            words.push(items.len() as u32);
            words.extend(items.into_iter().flatten());
        };
        list(self.normalizers.iter().map(|step| step.code()).collect());
        list(self.splits.iter().map(|split| split.code()).collect());
        words.extend(self.model.code());
        let mut ids = |ids: &[u32]| {
            words.push(ids.len() as u32);
            words.extend(ids);
        };
        ids(&self.before);
        ids(&self.after);
        if let Some(pair) = &self.pair {
            ids(&pair.before);
            ids(&pair.between);
            ids(&pair.after);
            words.push(u32::from(pair.marked));
        }
        to.add_words(Section::Recipe, words);
    }

    /// None when it is not one.
    pub(in crate::tokenizer) fn read(words: Words<'_>) -> Option<Self> {
        let mut words = words.iter();
        let stops_at_spaces = words.next()? == 1;
        let normalizers = list(&mut words, Normalizer::decode)?;
        let splits = list(&mut words, Split::decode)?;
        let model = Model::decode(words.next_chunk_of()?)?;
        let (before, after) = (ids(&mut words)?, ids(&mut words)?);
        Some(Recipe {
            normalizers,
            splits,
            model,
            before,
            after,
            pair: pair(&mut words),
            stops_at_spaces,
        })
    }
}

fn ids(words: &mut impl Iterator<Item = u32>) -> Option<Vec<u32>> {
    let count = words.next()?;
    (0..count).map(|_| words.next()).collect()
}

fn pair(words: &mut impl Iterator<Item = u32>) -> Option<Pair> {
    Some(Pair {
        before: ids(words)?,
        between: ids(words)?,
        after: ids(words)?,
        marked: words.next()? == 1,
    })
}

fn list<T>(
    words: &mut impl Iterator<Item = u32>,
    decode: impl Fn([u32; 5]) -> Option<T>,
) -> Option<Vec<T>> {
    let count = words.next()?;
    (0..count).map(|_| decode(words.next_chunk_of()?)).collect()
}

trait NextChunk: Iterator<Item = u32> {
    fn next_chunk_of<const N: usize>(&mut self) -> Option<[u32; N]> {
        let mut chunk = [0; N];
        for word in &mut chunk {
            *word = self.next()?;
        }
        Some(chunk)
    }
}
impl<I: Iterator<Item = u32>> NextChunk for I {}

impl Normalizer {
    fn code(self) -> [u32; 5] {
        let flags = |flags: [bool; 4]| flags.map(u32::from);
        let (kind, [a, b, c, d]) = match self {
            Normalizer::Bert(bert) => {
                let Bert {
                    clean,
                    chinese,
                    accents,
                    lowercase,
                } = bert;
                (0, flags([clean, chinese, accents, lowercase]))
            }
            Normalizer::Charsmap => (1, [0; 4]),
            Normalizer::Nfc => (2, [0; 4]),
            Normalizer::Nfd => (3, [0; 4]),
            Normalizer::Nfkc => (4, [0; 4]),
            Normalizer::Nfkd => (5, [0; 4]),
            Normalizer::Lowercase => (6, [0; 4]),
            Normalizer::StripAccents => (7, [0; 4]),
            Normalizer::Trim { left, right } => (8, flags([left, right, false, false])),
            Normalizer::Squeeze => (9, [0; 4]),
        };
        [kind, a, b, c, d]
    }

    fn decode([kind, rest @ ..]: [u32; 5]) -> Option<Self> {
        let [clean, chinese, accents, lowercase] = rest.map(|flag| flag == 1);
        Some(match kind {
            0 => Normalizer::Bert(Bert {
                clean,
                chinese,
                accents,
                lowercase,
            }),
            1 => Normalizer::Charsmap,
            2 => Normalizer::Nfc,
            3 => Normalizer::Nfd,
            4 => Normalizer::Nfkc,
            5 => Normalizer::Nfkd,
            6 => Normalizer::Lowercase,
            7 => Normalizer::StripAccents,
            8 => Normalizer::Trim {
                left: clean,
                right: chinese,
            },
            9 => Normalizer::Squeeze,
            _ => return None,
        })
    }
}

impl Split {
    fn code(self) -> [u32; 5] {
        match self {
            Split::Bert => [0; 5],
            Split::Whitespace => [1, 0, 0, 0, 0],
            Split::Metaspace {
                space,
                prepend,
                split,
            } => [2, u32::from(space), u32::from(prepend), u32::from(split), 0],
            Split::ByteLevel { prepend, split } => [3, u32::from(prepend), u32::from(split), 0, 0],
        }
    }

    fn decode([kind, a, b, c, _]: [u32; 5]) -> Option<Self> {
        Some(match kind {
            0 => Split::Bert,
            1 => Split::Whitespace,
            2 => Split::Metaspace {
                space: char::from_u32(a)?,
                prepend: b == 1,
                split: c == 1,
            },
            3 => Split::ByteLevel {
                prepend: a == 1,
                split: b == 1,
            },
            _ => return None,
        })
    }
}

impl Model {
    fn code(self) -> [u32; 5] {
        match self {
            Model::WordPiece {
                unknown,
                most_chars,
                longest,
            } => [0, unknown, most_chars, longest, 0],
            Model::Bpe { whole_words } => [1, u32::from(whole_words), 0, 0, 0],
            Model::Unigram {
                unknown,
                unknown_score,
                longest,
            } => {
                let bits = unknown_score.to_bits();
                [2, unknown, bits as u32, (bits >> 32) as u32, longest]
            }
        }
    }

    fn decode([kind, a, b, c, d]: [u32; 5]) -> Option<Self> {
        Some(match kind {
            0 => Model::WordPiece {
                unknown: a,
                most_chars: b,
                longest: c,
            },
            1 => Model::Bpe {
                whole_words: a == 1,
            },
            2 => Model::Unigram {
                unknown: a,
                unknown_score: f64::from_bits(u64::from(c) << 32 | u64::from(b)),
                longest: d,
            },
            _ => return None,
        })
    }
}
