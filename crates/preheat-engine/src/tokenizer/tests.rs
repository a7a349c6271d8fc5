//! What is not to be seen from outside: that a difference is found, and what damaged bytes do.

use serde_json::{Value, json};

use super::compile::Details;
use super::compiled::Compiled;
use super::compiled::blob::{Blob, Bytes};
use super::{Adjust, Special, compile, library, proof};
use crate::store::{Content, HEADER, Made};

fn special(id: u32, content: &str, normalized: bool) -> Value {
    json!({ "id": id, "content": content, "special": true, "single_word": false,
            "lstrip": true, "rstrip": false, "normalized": normalized })
}

fn template() -> Value {
    json!({
        "type": "TemplateProcessing",
        "single": [{ "SpecialToken": { "id": "[A]", "type_id": 0 } }, { "Sequence": { "id": "A", "type_id": 0 } }],
        "pair": [{ "Sequence": { "id": "A", "type_id": 0 } }, { "Sequence": { "id": "B", "type_id": 0 } }],
        "special_tokens": { "[A]": { "id": "[A]", "ids": [1], "tokens": ["[A]"] } },
    })
}

fn word_piece() -> Value {
    let words = [
        "[U]", "[A]", "warm", "##ing", "cold", "a", "##a", "!", "é", "中",
    ];
    let vocab: serde_json::Map<String, Value> = words
        .iter()
        .enumerate()
        .map(|(id, word)| ((*word).to_owned(), json!(id)))
        .collect();
    json!({
        "version": "1.0",
        "added_tokens": [special(1, "[A]", false), special(10, "Kalt", true)],
        "normalizer": { "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                        "strip_accents": null, "lowercase": true },
        "pre_tokenizer": { "type": "BertPreTokenizer" },
        "post_processor": template(),
        "model": { "type": "WordPiece", "unk_token": "[U]", "continuing_subword_prefix": "##",
                   "max_input_chars_per_word": 20, "vocab": vocab },
    })
}

fn byte_pairs() -> Value {
    let letters = (0x21..0x7f)
        .chain(0xa1..0xad)
        .chain(0xae..0x144)
        .filter_map(char::from_u32);
    let mut vocab: serde_json::Map<String, Value> = letters
        .enumerate()
        .map(|(id, letter)| (letter.to_string(), json!(id)))
        .collect();
    for token in ["wa", "rm", "warm", "Ġwarm"] {
        vocab.insert(token.to_owned(), json!(vocab.len()));
    }
    json!({
        "version": "1.0",
        "added_tokens": [special(300, "[A]", false)],
        "pre_tokenizer": { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true },
        "post_processor": template(),
        "model": { "type": "BPE", "ignore_merges": true, "vocab": vocab,
                   "merges": [["w", "a"], ["r", "m"], ["wa", "rm"], ["Ġ", "warm"]] },
    })
}

fn unigrams() -> Value {
    json!({
        "version": "1.0",
        "added_tokens": [special(1, "[A]", false)],
        "normalizer": { "type": "NFKC" },
        "pre_tokenizer": { "type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true },
        "post_processor": template(),
        "model": { "type": "Unigram", "unk_id": 0, "vocab": [
            ["<unk>", 0.0], ["[A]", 0.0], ["▁", -2.0], ["▁warm", -3.0], ["w", -5.0], ["a", -4.5], ["ar", -4.0],
            ["m", -5.0], ["cold", -6.0], ["!", -3.5], ["é", -7.0],
        ] },
    })
}

fn compiled(json: &Value) -> Bytes {
    let library = library::parse(json.to_string().as_bytes(), Adjust::default()).unwrap();
    compile::compile(&library, Details::With).unwrap()
}

fn open(bytes: Bytes) -> Option<Compiled> {
    Compiled::open(Blob::open(Content::Private(bytes))?).ok()
}

#[test]
fn a_difference_is_found_before_it_is_used() {
    for json in [word_piece(), byte_pairs(), unigrams()] {
        let library = library::parse(json.to_string().as_bytes(), Adjust::default()).unwrap();
        let same = open(compiled(&json)).unwrap();
        assert_eq!(proof::equal(&same, &library), Ok(()));
        assert!(proof::tells_details(&same, &library));
        let mut other = json.clone();
        match other["model"]["type"].as_str() {
            Some("WordPiece") => other["normalizer"]["lowercase"] = json!(false),
            Some("BPE") => other["pre_tokenizer"]["add_prefix_space"] = json!(false),
            _ => other["model"]["vocab"][3][1] = json!(-90.0),
        }
        let other = open(compiled(&other)).unwrap();
        let reason = proof::equal(&other, &library).unwrap_err();
        assert!(reason.contains("other tokens"), "{reason}");
        assert!(!proof::tells_details(&other, &library));
    }
}

/// Tokens of the text, or an error: no more than there is to tell.
fn tell(compiled: &Compiled, text: &str) {
    let Some(pipeline) = compiled.details() else {
        return;
    };
    for token in library::details(pipeline, text, Special::Add).unwrap_or_default() {
        assert!(token.start <= token.stop && token.stop <= text.chars().count());
    }
}

/// Behind the checksum, as if it had let the damage through.
#[test]
fn damaged_bytes_give_other_ids_and_nothing_worse() {
    let texts = [
        "Kalt warming [A] a!é 中",
        "",
        "warm warmwarm\n\n cold's 12 x",
        "[A][A]  Kalt",
    ];
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % below.max(1)
    };
    let mut opened = 0;
    for json in [word_piece(), byte_pairs(), unigrams()] {
        let whole = compiled(&json);
        for _ in 0..1500 {
            let mut bytes = whole.clone();
            let body = &mut bytes.bytes_mut()[HEADER..];
            for _ in 0..=random(3) {
                // The table of sections and the recipe are small, and matter most.
                let within = if random(2) == 0 {
                    body.len().min(400)
                } else {
                    body.len()
                };
                let at = random(within);
                body[at] = match random(4) {
                    0 => 0xff,
                    1 => 0,
                    2 => body[at] ^ (1 << random(8)),
                    _ => random(256) as u8,
                };
            }
            let Some(compiled) = open(bytes) else {
                continue;
            };
            opened += 1;
            for text in texts {
                assert!(compiled.encode(text, 50).len() <= 50.max(compiled.specials()));
                tell(&compiled, text);
            }
        }
        for len in (0..whole.bytes().len()).step_by(whole.bytes().len() / 200 + 1) {
            let mut cut = whole.clone();
            cut.cut(len);
            if let Some(compiled) = open(cut) {
                for text in texts {
                    compiled.encode(text, 50);
                    tell(&compiled, text);
                }
            }
        }
    }
    assert!(opened > 1000, "only {opened} were opened at all");
}
