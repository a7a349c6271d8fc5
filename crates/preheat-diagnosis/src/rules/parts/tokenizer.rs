//! A tokenizer is loaded, or used.

use super::super::{Beside, Meaning, Part, Rule};

pub(super) const RULE: Rule = Rule {
    means: Meaning::Does(Part::Tokenizer),
    confidence: 0.9,
    says: &[
        "tokenizer",
        "tokeniser",
        "vocab + load",
        "vocabulary + load",
        "sentencepiece",
        "wordpiece",
        "bpe merges",
        "merges.txt",
    ],
    pairs: &[],
    except: &[
        "parallelism",
        "special tokens",
        "fork",
        "longer than",
        "fail",
        "error",
        "exception",
        "traceback",
        "could not",
        "cannot",
        "no such",
        "tokenizer mode",
        "skip",
        "tokenizer.json:",
        "tokenizer config",
        "download",
    ],
    beside: Beside::Anything,
    example: "INFO tokenizer init 0.7s",
    counter: "huggingface/tokenizers: The current process just got forked, after parallelism has already been used.",
};
