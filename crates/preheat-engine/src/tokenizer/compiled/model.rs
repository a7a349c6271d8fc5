//! Pieces of text to token ids: WordPiece, byte pairs, and unigrams.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::blob::{Blob, Section};
use super::recipe::Model;
use super::table::{Hash, Merge, Merges, Tokens};

/// Takes the tokens of a piece, in order. Without [`Span`]s, ids alone are written: most requests need
/// no more.
pub(in crate::tokenizer) trait Found {
    fn count(&self) -> usize;

    /// `len`: bytes of the piece that the token stands for.
    fn add(&mut self, id: u32, len: usize);

    /// All but the first `count`.
    fn forget(&mut self, count: usize);

    /// The same, the last one first.
    fn turn(&mut self, count: usize);
}

impl Found for Vec<u32> {
    fn count(&self) -> usize {
        self.len()
    }

    fn add(&mut self, id: u32, _: usize) {
        self.push(id);
    }

    fn forget(&mut self, count: usize) {
        self.truncate(count);
    }

    fn turn(&mut self, count: usize) {
        self[count..].reverse();
    }
}

/// A token, and how many bytes of the piece it stands for.
#[derive(Debug, Clone, Copy)]
pub(in crate::tokenizer) struct Span {
    pub(in crate::tokenizer) id: u32,
    pub(in crate::tokenizer) len: usize,
}

impl Found for Vec<Span> {
    fn count(&self) -> usize {
        self.len()
    }

    fn add(&mut self, id: u32, len: usize) {
        self.push(Span { id, len });
    }

    fn forget(&mut self, count: usize) {
        self.truncate(count);
    }

    fn turn(&mut self, count: usize) {
        self[count..].reverse();
    }
}

impl Model {
    /// Adds the tokens of a piece, which is not empty.
    pub(in crate::tokenizer) fn encode(self, blob: &Blob, piece: &str, out: &mut impl Found) {
        match self {
            Model::WordPiece {
                unknown,
                most_chars,
                longest,
            } => {
                let mark = out.count();
                let words = WordPiece::of(blob, longest as usize);
                let short = piece.len() <= most_chars as usize
                    || piece.chars().count() <= most_chars as usize;
                if !short || words.encode(piece, out).is_none() {
                    out.forget(mark);
                    out.add(unknown, piece.len());
                }
            }
            Model::Bpe { whole_words } => {
                byte_pairs(blob, piece.as_bytes(), whole_words, out);
            }
            Model::Unigram {
                unknown,
                unknown_score,
                longest,
            } => {
                let model = Unigram {
                    unknown,
                    unknown_score,
                    longest: longest as usize,
                };
                model.encode(blob, piece, out);
            }
        }
    }
}

/// Always the longest token that fits, from the beginning of the word on.
struct WordPiece<'a> {
    tokens: Tokens<'a>,
    /// What all tokens but the first of a word begin with, and its hash.
    prefix: &'a [u8],
    prefix_hash: Hash,
    longest: usize,
}

impl<'a> WordPiece<'a> {
    fn of(blob: &'a Blob, longest: usize) -> Self {
        let prefix = blob.section(Section::Prefix);
        WordPiece {
            tokens: Tokens::of(blob),
            prefix,
            prefix_hash: Hash::EMPTY.with_all(prefix),
            longest,
        }
    }

    /// None when a part of the word has no token.
    fn encode(&self, word: &str, out: &mut impl Found) -> Option<()> {
        let (mut prefix, mut hash): (&[u8], Hash) = (b"", Hash::EMPTY);
        let mut rest = word;
        while !rest.is_empty() {
            let (id, len) = self.first(prefix, hash, rest)?;
            out.add(id, len);
            rest = &rest[len..];
            (prefix, hash) = (self.prefix, self.prefix_hash);
        }
        Some(())
    }

    /// The longest token that `rest` begins with, and its bytes.
    fn first(&self, prefix: &[u8], start: Hash, rest: &str) -> Option<(u32, usize)> {
        let (mut hash, mut longest) = (start, None);
        for (at, byte) in rest.bytes().enumerate().take(self.longest) {
            hash = hash.with(byte);
            let end = at + 1;
            if rest.is_char_boundary(end)
                && let Some(id) = self.tokens.find(hash, prefix, &rest.as_bytes()[..end])
            {
                longest = Some((id, end));
            }
        }
        longest
    }
}

/// Adds the tokens of a piece of bytes, which need not be a text; it is not empty.
pub(in crate::tokenizer) fn byte_pairs(
    blob: &Blob,
    piece: &[u8],
    whole_words: bool,
    out: &mut impl Found,
) {
    let whole = whole_words.then(|| Tokens::of(blob).id(piece)).flatten();
    match whole {
        Some(id) => out.add(id, piece.len()),
        None => join(blob, piece, out),
    }
}

/// One symbol of a word that is being joined.
#[derive(Debug, Clone, Copy)]
struct Symbol {
    id: u32,
    /// Neighbours that are still there.
    left: usize,
    right: usize,
    is_gone: bool,
}

const NONE: usize = usize::MAX;

/// Joins neighbours, of all pairs the one that was learnt first, the leftmost of equal ones, until
/// no two can be joined.
fn join(blob: &Blob, piece: &[u8], out: &mut impl Found) {
    let (merges, bytes) = (Merges::of(blob), blob.words(Section::Bytes));
    let last = piece.len() - 1;
    let symbols = piece.iter().enumerate().map(|(at, byte)| Symbol {
        id: bytes.get(usize::from(*byte)),
        left: if at == 0 { NONE } else { at - 1 },
        right: if at == last { NONE } else { at + 1 },
        is_gone: false,
    });
    let mut symbols: Vec<Symbol> = symbols.collect();
    let pair = |symbols: &[Symbol], at: usize| {
        let left = symbols.get(at)?;
        let right = symbols.get(left.right)?;
        let Merge { rank, id } = merges.find(left.id, right.id)?;
        Some(Reverse((rank, at, id)))
    };
    let mut queue: BinaryHeap<_> = (0..last).filter_map(|at| pair(&symbols, at)).collect();
    while let Some(Reverse((_, at, id))) = queue.pop() {
        let Symbol { right, is_gone, .. } = symbols[at];
        let still = !is_gone && pair(&symbols, at).is_some_and(|Reverse((_, _, now))| now == id);
        if !still {
            continue;
        }
        let behind = symbols[right].right;
        symbols[right].is_gone = true;
        symbols[at].id = id;
        symbols[at].right = behind;
        if let Some(behind) = symbols.get_mut(behind) {
            behind.left = at;
        }
        let left = symbols[at].left;
        queue.extend([left, at].into_iter().filter_map(|at| pair(&symbols, at)));
    }
    for (at, symbol) in symbols.iter().enumerate() {
        if !symbol.is_gone {
            out.add(symbol.id, symbol.right.min(piece.len()) - at);
        }
    }
}

/// The way through a piece whose tokens have the best scores together.
struct Unigram {
    unknown: u32,
    unknown_score: f64,
    longest: usize,
}

/// The best way to a place in the piece.
#[derive(Debug, Clone, Copy)]
struct Best {
    score: f64,
    /// The last token of the way, and where it begins.
    id: u32,
    start: usize,
}

impl Unigram {
    fn encode(&self, blob: &Blob, piece: &str, out: &mut impl Found) {
        let best = self.ways(blob, piece);
        let mark = out.count();
        // From the end to the beginning; unknown tokens that follow each other are one.
        let (mut end, mut unknown_until) = (piece.len(), None);
        while end > 0 {
            let way = best.get(end).copied().flatten();
            let (id, start) = way.map_or((self.unknown, 0), |way| (way.id, way.start.min(end - 1)));
            if id == self.unknown {
                unknown_until.get_or_insert(end);
            } else {
                if let Some(until) = unknown_until.take() {
                    out.add(self.unknown_id(blob, piece, end..until), until - end);
                }
                out.add(id, end - start);
            }
            end = start;
        }
        if let Some(until) = unknown_until {
            out.add(self.unknown_id(blob, piece, 0..until), until);
        }
        out.turn(mark);
    }

    /// The text of several unknown tokens together may be a token that was not the best way.
    fn unknown_id(&self, blob: &Blob, piece: &str, place: std::ops::Range<usize>) -> u32 {
        let text = piece.as_bytes().get(place).unwrap_or_default();
        Tokens::of(blob).id(text).unwrap_or(self.unknown)
    }

    fn ways(&self, blob: &Blob, piece: &str) -> Vec<Option<Best>> {
        let (tokens, scores) = (Tokens::of(blob), blob.words(Section::Scores));
        let mut best: Vec<Option<Best>> = vec![None; piece.len() + 1];
        for (start, c) in piece.char_indices() {
            let so_far = match start {
                0 => 0.0,
                _ => best[start].map_or(0.0, |best| best.score),
            };
            let rest = &piece[start..];
            let (mut hash, mut has_single) = (Hash::EMPTY, false);
            for (at, byte) in rest.bytes().enumerate().take(self.longest) {
                hash = hash.with(byte);
                let len = at + 1;
                if !rest.is_char_boundary(len) {
                    continue;
                }
                let Some(id) = tokens.find(hash, b"", &rest.as_bytes()[..len]) else {
                    continue;
                };
                let [low, high] = scores.entry::<2>(id as usize);
                let score = f64::from_bits(u64::from(high) << 32 | u64::from(low)) + so_far;
                improve(&mut best[start + len], Best { score, id, start });
                has_single |= len == c.len_utf8();
            }
            if !has_single {
                let score = self.unknown_score + so_far;
                let id = self.unknown;
                improve(&mut best[start + c.len_utf8()], Best { score, id, start });
            }
        }
        best
    }
}

fn improve(place: &mut Option<Best>, way: Best) {
    if place.is_none_or(|best| way.score > best.score) {
        *place = Some(way);
    }
}
