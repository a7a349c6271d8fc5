//! What a model's other files change about its `tokenizer.json`. The reference libraries change the
//! normaliser after they have read it; so do we, and the compiled form is made of what comes out.

use tokenizers::NormalizerWrapper;
use tokenizers::Tokenizer as Library;
use tokenizers::normalizers::{BertNormalizer, Lowercase, Sequence};

/// Changes to the normaliser; the default is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Adjust {
    /// How BERT's normaliser is set, where there is one.
    pub(crate) bert: Option<Bert>,
    /// Texts are lower case before anything else is done to them.
    pub(crate) lowercase: bool,
}

/// What transformers sets in BERT's normaliser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bert {
    pub(crate) lowercase: bool,
    /// None: as `lowercase` is.
    pub(crate) strip_accents: Option<bool>,
    pub(crate) chinese: bool,
}

impl Adjust {
    pub(super) fn apply(&self, library: &mut Library) -> tokenizers::Result<()> {
        if let (Some(bert), Some(NormalizerWrapper::BertNormalizer(own))) =
            (self.bert, library.get_normalizer())
            && !bert.is(own)
        {
            library.with_normalizer(Some(bert.normalizer()))?;
        }
        let own = library.get_normalizer().cloned();
        if self.lowercase && !own.as_ref().is_some_and(lowers) {
            let first = NormalizerWrapper::Lowercase(Lowercase);
            let steps = [first].into_iter().chain(own).collect();
            library.with_normalizer(Some(Sequence::new(steps)))?;
        }
        Ok(())
    }

    /// A part of what a compiled form is known by; nothing where nothing is changed, so that forms
    /// of other versions stay good.
    pub(super) fn text(&self) -> String {
        match self {
            Adjust {
                bert: None,
                lowercase: false,
            } => String::new(),
            changed => format!(" with {changed:?}"),
        }
    }
}

impl Bert {
    fn normalizer(self) -> BertNormalizer {
        BertNormalizer::new(true, self.chinese, self.strip_accents, self.lowercase)
    }

    fn is(self, own: &BertNormalizer) -> bool {
        own.clean_text
            && own.handle_chinese_chars == self.chinese
            && own.strip_accents == self.strip_accents
            && own.lowercase == self.lowercase
    }
}

fn lowers(normalizer: &NormalizerWrapper) -> bool {
    match normalizer {
        NormalizerWrapper::BertNormalizer(bert) => bert.lowercase,
        NormalizerWrapper::Lowercase(_) => true,
        NormalizerWrapper::Sequence(steps) => steps.as_ref().iter().any(lowers),
        _ => false,
    }
}
