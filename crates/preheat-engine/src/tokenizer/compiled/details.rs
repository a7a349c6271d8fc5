//! Where in a text each token came from, and how it is spelled: told by the `tokenizers` crate's own
//! pipeline, which runs here over the mapped vocabulary. What it is made of besides is small, and
//! made when the tokenizer is opened, so that nobody who asks waits for a file to be parsed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokenizers::models::wordpiece::WordPieceTrainer;
use tokenizers::{
    AddedToken, Model, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper, Result, Token,
    Tokenizer as Library,
};

use super::blob::{Blob, Section, Writer};
use super::letters::{byte_of, letters_of};
use super::model::{Span, byte_pairs};
use super::recipe;
use super::table::Tokens;
use crate::digest;
use crate::tokenizer::library::Pipeline;

/// Characters of a digest.
const HEX: usize = 64;

/// Everything but the vocabulary.
type Parts = (
    Option<NormalizerWrapper>,
    Option<PreTokenizerWrapper>,
    Option<PostProcessorWrapper>,
    Vec<(u32, AddedToken)>,
);

/// # Errors
/// Those of the crate, which writes its own parts.
pub(in crate::tokenizer) fn write(library: &Library, to: &mut Writer) -> serde_json::Result<()> {
    let mut added: Vec<_> = library.get_added_tokens_decoder().into_iter().collect();
    added.sort_unstable_by_key(|(id, _)| *id);
    let parts = (
        library.get_normalizer(),
        library.get_pre_tokenizer(),
        library.get_post_processor(),
        added,
    );
    let parts = serde_json::to_vec(&parts)?;
    to.add(
        Section::Pipeline,
        &[digest::of_bytes(&parts).as_bytes(), &parts].concat(),
    );
    Ok(())
}

/// None: it was not written, or is not what was written. The crate trusts its parts: of damaged ones
/// it may make anything.
pub(super) fn read(blob: &Arc<Blob>, model: recipe::Model) -> Option<Pipeline<Mapped>> {
    let (digest, parts) = blob.section(Section::Pipeline).split_at_checked(HEX)?;
    if digest != digest::of_bytes(parts).as_bytes() {
        return None;
    }
    let (normalizer, splits, processor, added): Parts = serde_json::from_slice(parts).ok()?;
    let (ids, tokens): (Vec<u32>, Vec<AddedToken>) = added.into_iter().unzip();
    let contents = tokens.iter().map(|token| token.content.clone());
    let mut pipeline = Pipeline::new(Mapped {
        blob: Arc::clone(blob),
        model,
        added: contents.zip(ids).collect(),
    });
    pipeline.with_normalizer(normalizer).ok()?;
    pipeline.with_pre_tokenizer(splits);
    pipeline.with_post_processor(processor);
    pipeline.add_tokens(tokens).ok()?;
    Some(pipeline)
}

/// A vocabulary that is used where it lies, as the crate asks for one.
#[derive(Clone)]
pub(in crate::tokenizer) struct Mapped {
    blob: Arc<Blob>,
    model: recipe::Model,
    /// Tokens that the pipeline looks for by itself.
    added: HashMap<String, u32>,
}

impl Mapped {
    /// None where a damaged file says that a token ends within a character.
    fn tokens(&self, piece: &str) -> Option<Vec<Token>> {
        let mut start = 0;
        let tokens = self.spans(piece)?.into_iter().map(|Span { id, len }| {
            let offsets = (start, start + len);
            let text = piece.get(start..start + len)?;
            start += len;
            let value = self.spelled(id, text, offsets.0 > 0)?;
            Some(Token { id, value, offsets })
        });
        tokens.collect()
    }

    /// A token as the vocabulary spells it. `goes_on`: it does not begin its word.
    fn spelled(&self, id: u32, text: &str, goes_on: bool) -> Option<String> {
        match self.model {
            recipe::Model::WordPiece { unknown, .. } if id == unknown => self.id_to_token(id),
            recipe::Model::WordPiece { .. } if goes_on => {
                let prefix = str::from_utf8(self.blob.section(Section::Prefix)).ok()?;
                Some([prefix, text].concat())
            }
            _ => Some(text.to_owned()),
        }
    }

    /// In bytes of the piece.
    fn spans(&self, piece: &str) -> Option<Vec<Span>> {
        let mut spans = Vec::new();
        if piece.is_empty() {
            return Some(spans);
        }
        let recipe::Model::Bpe { whole_words } = self.model else {
            self.model.encode(&self.blob, piece, &mut spans);
            return Some(spans);
        };
        // The pipeline writes bytes as letters, of which some take two bytes.
        let bytes: Vec<u8> = piece.chars().map(byte_of).collect::<Option<_>>()?;
        byte_pairs(&self.blob, &bytes, whole_words, &mut spans);
        let mut rest = &bytes[..];
        for span in &mut spans {
            let (token, behind) = rest.split_at_checked(span.len)?;
            span.len = letters_of(token).map(char::len_utf8).sum();
            rest = behind;
        }
        Some(spans)
    }
}

impl Model for Mapped {
    /// Nothing is trained here; the crate wants the name of one.
    type Trainer = WordPieceTrainer;

    fn tokenize(&self, sequence: &str) -> Result<Vec<Token>> {
        self.tokens(sequence)
            .ok_or_else(|| "the compiled tokenizer is damaged".into())
    }

    /// Asked for tokens that are added, and only while they are.
    fn token_to_id(&self, token: &str) -> Option<u32> {
        self.added.get(token).copied()
    }

    fn id_to_token(&self, id: u32) -> Option<String> {
        Tokens::of(&self.blob).text(id).map(str::to_owned)
    }

    /// That of the model's own tokens is not asked for where texts are encoded, and stays where it
    /// lies.
    fn get_vocab(&self) -> HashMap<String, u32> {
        self.added.clone()
    }

    fn get_vocab_size(&self) -> usize {
        self.added.len()
    }

    fn save(&self, _: &Path, _: Option<&str>) -> Result<Vec<PathBuf>> {
        Err("a compiled tokenizer is saved by the artefact store".into())
    }

    fn get_trainer(&self) -> WordPieceTrainer {
        WordPieceTrainer::default()
    }
}
