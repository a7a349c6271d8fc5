//! Vocabularies, merges and scores.

use std::collections::HashMap;

use regex_syntax::hir::{Class, HirKind};
use serde_json::Value;
use tokenizers::Model as _;
use tokenizers::models::bpe::BPE;
use tokenizers::models::unigram::Unigram;
use tokenizers::models::wordpiece::WordPiece;

use super::Refusal;
use crate::tokenizer::compiled::blob::{Section, Writer};
use crate::tokenizer::compiled::letters::byte_letters;
use crate::tokenizer::compiled::recipe::Model;
use crate::tokenizer::compiled::table::{self, Merge};

/// So that the same vocabulary always gives the same bytes.
fn sorted(vocab: &HashMap<String, u32>) -> Vec<(&[u8], u32)> {
    let mut tokens: Vec<_> = vocab
        .iter()
        .map(|(token, id)| (token.as_bytes(), *id))
        .collect();
    tokens.sort_unstable_by_key(|(token, id)| (*id, *token));
    tokens
}

pub(super) fn word_piece(model: &WordPiece, to: &mut Writer) -> Result<Model, Refusal> {
    let vocab = model.get_vocab();
    let unknown = vocab.get(&model.unk_token);
    let unknown = *unknown.ok_or("a vocabulary without its unknown token")?;
    let prefix = &model.continuing_subword_prefix;
    let longest = vocab.keys().map(String::len).max().unwrap_or(0);
    table::write_tokens(sorted(&vocab).into_iter(), to);
    to.add(Section::Prefix, prefix.as_bytes());
    Ok(Model::WordPiece {
        unknown,
        most_chars: u32::try_from(model.max_input_chars_per_word).unwrap_or(u32::MAX),
        longest: longest as u32,
    })
}

pub(super) fn unigram(model: &Unigram, to: &mut Writer) -> Result<Model, Refusal> {
    if model.byte_fallback() {
        return Err("bytes in place of unknown characters".to_owned());
    }
    if model.alpha.is_some() || model.nbest_size.is_some() {
        return Err("sampling".to_owned());
    }
    let written = serde_json::to_value(model).map_err(|error| error.to_string())?;
    let unknown = written["unk_id"]
        .as_u64()
        .and_then(|id| u32::try_from(id).ok());
    let vocab = model.get_vocab();
    table::write_tokens(sorted(&vocab).into_iter(), to);
    let scores: Vec<u8> = model
        .iter()
        .flat_map(|(_, score)| score.to_le_bytes())
        .collect();
    to.add(Section::Scores, &scores);
    Ok(Model::Unigram {
        unknown: unknown.ok_or("a vocabulary without an unknown token")?,
        // What the crate takes off for a character that it does not know.
        unknown_score: model.min_score - 10.0,
        longest: vocab.keys().map(String::len).max().unwrap_or(0) as u32,
    })
}

pub(super) fn bpe(model: &BPE, to: &mut Writer) -> Result<Model, Refusal> {
    let is_empty = |text: &Option<String>| text.as_deref().unwrap_or_default().is_empty();
    if model.dropout.is_some_and(|dropout| dropout != 0.0) {
        return Err("dropout".to_owned());
    }
    if !is_empty(&model.continuing_subword_prefix) || !is_empty(&model.end_of_word_suffix) {
        return Err("byte pairs that know where a word ends".to_owned());
    }
    let vocab = model.get_vocab();
    let letters = byte_letters();
    let ids = letters
        .iter()
        .map(|letter| vocab.get(&letter.to_string()).copied());
    let ids: Option<Vec<u32>> = ids.collect();
    to.add_words(
        Section::Bytes,
        ids.ok_or("a vocabulary without every byte")?,
    );
    write_merges(model, &vocab, to)?;
    if model.ignore_merges {
        let bytes: HashMap<char, u8> = letters.iter().copied().zip(0..=u8::MAX).collect();
        let in_bytes = |token: &String| -> Option<Vec<u8>> {
            token.chars().map(|c| bytes.get(&c).copied()).collect()
        };
        let mut tokens: Vec<(Vec<u8>, u32)> = vocab
            .iter()
            .filter_map(|(token, id)| Some((in_bytes(token)?, *id)))
            .collect();
        tokens.sort_unstable_by_key(|(_, id)| *id);
        table::write_tokens(tokens.iter().map(|(token, id)| (&token[..], *id)), to);
    }
    for (section, class) in [(Section::Letters, r"\p{L}"), (Section::Numbers, r"\p{N}")] {
        to.add_words(section, characters(class)?);
    }
    Ok(Model::Bpe {
        whole_words: model.ignore_merges,
    })
}

fn write_merges(model: &BPE, vocab: &HashMap<String, u32>, to: &mut Writer) -> Result<(), Refusal> {
    let written = serde_json::to_value(model).map_err(|error| error.to_string())?;
    let merges = written["merges"].as_array().map_or(&[][..], Vec::as_slice);
    let read = |rank: usize, merge: &Value| {
        let (left, right) = (merge[0].as_str()?, merge[1].as_str()?);
        let id = vocab.get(&format!("{left}{right}"))?;
        let rank = u32::try_from(rank).ok()?;
        Some((
            (*vocab.get(left)?, *vocab.get(right)?),
            Merge { rank, id: *id },
        ))
    };
    let merges = merges
        .iter()
        .enumerate()
        .map(|(rank, merge)| read(rank, merge));
    let merges: Option<Vec<_>> = merges.collect();
    let merges = merges.ok_or("merges of tokens that are not in the vocabulary")?;
    table::write_merges(merges.into_iter(), to);
    Ok(())
}

/// The ranges of a class of characters, as the crate's regular expressions have them.
fn characters(class: &str) -> Result<Vec<u32>, Refusal> {
    let hir = regex_syntax::parse(class).map_err(|error| error.to_string())?;
    match hir.kind() {
        HirKind::Class(Class::Unicode(class)) => {
            let ranges = class.ranges().iter();
            Ok(ranges
                .flat_map(|range| [range.start(), range.end()].map(u32::from))
                .collect())
        }
        _ => Err(format!("the class {class}")),
    }
}
