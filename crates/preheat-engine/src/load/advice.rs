//! What the files beside `tokenizer.json` say about texts, as sentence-transformers and transformers
//! read them: how long a sequence may be, and how the normaliser is set. Where the two of them let one
//! file win over another, so does this.

use std::path::Path;

use serde_json::Value;

use super::LoadError;
use super::files::{Json, optional};
use crate::tokenizer::{Adjust, Bert};

/// Classes of transformers that set up BERT's normaliser from their own arguments, whatever
/// `tokenizer.json` says of it.
const BERT_CLASSES: [&str; 8] = [
    "BertTokenizer",
    "DistilBertTokenizer",
    "ElectraTokenizer",
    "LayoutLMTokenizer",
    "LxmertTokenizer",
    "MPNetTokenizer",
    "MobileBertTokenizer",
    "SqueezeBertTokenizer",
];

/// Models that get one of them where no file names a class.
const BERT_MODELS: [&str; 8] = [
    "bert",
    "distilbert",
    "electra",
    "layoutlm",
    "lxmert",
    "mobilebert",
    "mpnet",
    "squeezebert",
];

/// Tokenizers that know no limit write a number with thirty digits.
const NO_LIMIT: u64 = 1 << 20;

/// The files of one directory that give advice.
#[derive(Debug)]
pub(crate) struct Advice {
    config: Option<Json>,
    tokenizer: Option<Json>,
    sentences: Option<Json>,
}

impl Advice {
    pub(crate) fn read(dir: &Path) -> Result<Self, LoadError> {
        Ok(Advice {
            config: optional(dir, "config.json")?,
            tokenizer: optional(dir, "tokenizer_config.json")?,
            sentences: optional(dir, "sentence_bert_config.json")?,
        })
    }

    /// The longest sequence, special tokens included. What sentence-transformers says takes the place
    /// of what the tokenizer says, even where it is more.
    pub(crate) fn max_tokens(&self) -> Result<Option<usize>, LoadError> {
        let own = self.sentences.as_ref();
        let own = own.map(|json| json.optional_size("max_seq_length"));
        match own.transpose()?.flatten() {
            Some(limit) => Ok(Some(limit)),
            None => Ok(self.advised()),
        }
    }

    fn advised(&self) -> Option<usize> {
        let keys = ["model_max_length", "max_len"];
        let mut limits = keys.iter().filter_map(|key| self.option(key)?.as_u64());
        let limit = limits.next().filter(|&limit| 0 < limit && limit < NO_LIMIT);
        limit.and_then(|limit| usize::try_from(limit).ok())
    }

    /// How the normaliser of `tokenizer.json` is to be changed.
    pub(crate) fn adjust(&self) -> Adjust {
        let flag = |key| self.option(key).and_then(Value::as_bool);
        let bert = self.is_bert().then(|| Bert {
            lowercase: flag("do_lower_case").unwrap_or(true),
            strip_accents: flag("strip_accents"),
            chinese: flag("tokenize_chinese_chars").unwrap_or(true),
        });
        let sentences = self.sentences.as_ref();
        let lowercase = sentences.and_then(|json| json.value.get("do_lower_case")?.as_bool());
        Adjust {
            bert,
            lowercase: lowercase.unwrap_or(false),
        }
    }

    fn is_bert(&self) -> bool {
        let text = |json: &Option<Json>, key: &str| {
            let value = json.as_ref()?.value.get(key)?;
            value.as_str().map(str::to_owned)
        };
        let class = text(&self.tokenizer, "tokenizer_class")
            .or_else(|| text(&self.config, "tokenizer_class"));
        match (class, text(&self.config, "model_type")) {
            (Some(class), _) => {
                let class = class.strip_suffix("Fast").unwrap_or(&class);
                BERT_CLASSES.contains(&class)
            }
            (None, Some(model)) => BERT_MODELS.contains(&&model[..]),
            (None, None) => false,
        }
    }

    fn option(&self, key: &str) -> Option<&Value> {
        self.tokenizer.as_ref()?.value.get(key)
    }
}
