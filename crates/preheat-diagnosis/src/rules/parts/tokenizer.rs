//! A tokenizer is loaded, or used.

use super::super::{Beside, Meaning, Part, Rule};
use super::FAILS;

pub(super) const RULE: Rule = Rule {
    means: Meaning::Does(Part::Tokenizer),
    confidence: 0.9,
    says: &[
        "tokenizer",
        "tokeniser",
        "vocab + load",
        "vocabulary + load",
        "sentencepiece",
        "bpe",
        "wordpiece",
        "vocab.txt",
        "merges.txt",
        "vocabulary + read",
        "vocabulary + pars",
        "spm:",
        ".spm",
        "spiece",
        "tiktoken",
        "prefix dict",
        "vocabulary + built",
        "vocabulary + building",
        "vocabulary + constructed",
        "vocabulary + ready",
        "vocab + built",
        "vocab + pars",
        "vocab + read",
        "vocabulary trie",
        "tokenisation table",
        "tokenization table",
        "merge table",
        "merges table",
        "converting slow",
    ],
    pairs: &[],
    except: both!(
        FAILS,
        &[
            "parallelism",
            "special tokens",
            "fork",
            "longer than",
            "no such",
            "tokenizer mode",
            "skip",
            "tokenizer.json:",
            "tokenizer config",
            "download",
        ]
    ),
    beside: Beside::Anything,
    example: "INFO tokenizer init 0.7s",
    counter: "huggingface/tokenizers: The current process just got forked, after parallelism has already been used.",
};
