//! The compiled tokenizer gives the ids of the `tokenizers` crate, for every text, or is not used.

use std::sync::{Arc, OnceLock};

use preheat_engine::load::ArtefactState;
use preheat_engine::{LoadSpec, LoadedModel, Special, Tokenizer, TokenizerForm, load};
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::model;
use crate::tiny::Tiny;
use crate::vocabularies::{byte_pairs, charsmap, unigrams};

/// The same tokenizer twice: as it is compiled, and as the crate reads it.
struct Pair {
    compiled: Arc<Tokenizer>,
    library: Arc<Tokenizer>,
}

impl Pair {
    fn of(tokenizer: &Value, max_tokens: usize) -> Self {
        let mut tiny = Tiny::bert().reading(tokenizer.clone());
        tiny.config["max_position_embeddings"] = json!(max_tokens);
        tiny.add(
            "embeddings.position_embeddings.weight",
            &[max_tokens, crate::tiny::HIDDEN],
        );
        let (dir, artefacts) = (tiny.write(), TempDir::new().unwrap());
        let model = load_with(&dir, &artefacts);
        assert_eq!(
            model.tokenizer_form,
            TokenizerForm::Compiled(ArtefactState::Built)
        );
        let again = load_with(&dir, &artefacts);
        assert_eq!(
            again.tokenizer_form,
            TokenizerForm::Compiled(ArtefactState::Mapped)
        );
        assert!(again.tokenizer.has_details(), "nothing is parsed for them");
        let library = load(&LoadSpec::new(dir.path())).unwrap();
        assert_eq!(
            library.tokenizer_form,
            TokenizerForm::Library { reason: None }
        );
        Pair {
            compiled: again.tokenizer,
            library: library.tokenizer,
        }
    }

    fn check(&self, text: &str) {
        let expected = self.library.encode(text).unwrap();
        assert_eq!(self.compiled.encode(text).unwrap(), expected, "{text:?}");
        self.check_details(text);
    }

    /// Ids, spelling, and first and last character of every token.
    fn check_details(&self, text: &str) {
        for special in [Special::Add, Special::Omit] {
            let expected = self.library.encode_detail(text, special).unwrap();
            let found = self.compiled.encode_detail(text, special).unwrap();
            assert_eq!(found, expected, "{text:?}");
        }
    }
}

fn load_with(dir: &TempDir, artefacts: &TempDir) -> LoadedModel {
    load(&LoadSpec {
        artefacts: Some(artefacts.path().to_owned()),
        ..LoadSpec::new(dir.path())
    })
    .unwrap()
}

fn word_piece() -> &'static Pair {
    static PAIR: OnceLock<Pair> = OnceLock::new();
    PAIR.get_or_init(|| {
        let json = std::fs::read(model::dir().join("tokenizer.json")).unwrap();
        let mut json: Value = serde_json::from_slice(&json).unwrap();
        // One that is looked for in the normalised text, and takes the space before it along.
        json["added_tokens"].as_array_mut().unwrap().push(json!({
            "id": 30522, "content": "Kalt Start", "special": false, "single_word": false,
            "lstrip": true, "rstrip": true, "normalized": true,
        }));
        Pair::of(&json, 300)
    })
}

fn byte_pair() -> &'static Pair {
    static PAIR: OnceLock<Pair> = OnceLock::new();
    PAIR.get_or_init(|| Pair::of(&byte_pairs(), 300))
}

fn unigram() -> &'static Pair {
    static PAIR: OnceLock<Pair> = OnceLock::new();
    PAIR.get_or_init(|| Pair::of(&unigrams(), 300))
}

fn pairs() -> [&'static Pair; 3] {
    [word_piece(), byte_pair(), unigram()]
}

#[test]
fn the_reference_ids_come_from_the_compiled_form() {
    let artefacts = TempDir::new().unwrap();
    let spec = LoadSpec {
        artefacts: Some(artefacts.path().to_owned()),
        ..LoadSpec::new(model::dir())
    };
    let model = load(&spec).unwrap();
    assert!(matches!(model.tokenizer_form, TokenizerForm::Compiled(_)));
    let expected = model::expected();
    for (text, ids) in expected.texts.iter().zip(&expected.ids) {
        assert_eq!(model.tokenizer.encode(text).unwrap(), *ids, "{text:?}");
    }
    let details = model
        .tokenizer
        .encode_detail("Café 中!", Special::Add)
        .unwrap();
    assert_eq!(details.len(), model.tokenizer.count("Café 中!").unwrap());
    assert_eq!((&details[1].text[..], details[1].stop), ("cafe", 4));
    let long = "word ".repeat(1000);
    assert_eq!(model.tokenizer.count(&long).unwrap(), 1002);
}

#[test]
fn every_character_is_judged_as_the_crate_judges_it() {
    let all: Vec<char> = (0..0x11_0000).filter_map(char::from_u32).collect();
    for pair in pairs() {
        // Beside letters, beside each other; the planes that are empty by samples.
        for run in all.chunks(48) {
            let first = u32::from(run[0]);
            if (0x4_0000..0xe_0000).contains(&first) && !first.is_multiple_of(4096) {
                continue;
            }
            let text: String = run.iter().flat_map(|c| ['a', *c]).collect();
            pair.check(&text);
        }
    }
}

#[test]
fn long_texts_are_cut_alike() {
    let word = "unaffable, İstanbul! 中文 [MASK] <mask> ".repeat(400);
    let run = "a".repeat(20_000);
    let marks = "e\u{301}".repeat(3_000);
    for pair in pairs() {
        for text in [&word, &run, &marks] {
            pair.check(text);
        }
        for end in (0..word.len().min(1500)).filter(|end| word.is_char_boundary(*end)) {
            pair.check(&word[..end]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_text_has_the_same_ids(
        words in prop::collection::vec(
            prop_oneof![
                3 => "[a-zA-Z']{1,12}",
                2 => prop::sample::select(&[
                    "[SEP]", "[MASK]", "<mask>", "<s>", "Kalt Start", "kalt  start", "##s", "▁", "Ġ",
                    "'s", "'ll", "don't", "ﬁ", "Ａ", "e\u{301}", "\u{200b}",
                ][..]).prop_map(str::to_owned),
                2 => "[0-9.,!?-]{1,8}",
                3 => "\\PC{1,8}",
                1 => any::<String>(),
                1 => "[\\u{300}-\\u{36f}\\u{591}-\\u{5c7}\\u{302a}-\\u{302f}\\u{1d165}-\\u{1d172}]{1,20}",
                1 => "[一-鿿가-힣ぁ-ヿ]{1,10}",
            ],
            0..40,
        ),
        separators in prop::collection::vec(
            prop::sample::select(&[" ", "  ", "\n", "\t ", "", "", "\u{a0}", "\u{3000}", " \n\n "][..]),
            40,
        ),
    ) {
        let parts = words.iter().zip(separators);
        let text: String = parts.flat_map(|(word, space)| [word.as_str(), space]).collect();
        for pair in pairs() {
            let expected = pair.library.encode(&text).unwrap();
            prop_assert_eq!(pair.compiled.encode(&text).unwrap(), expected);
            let expected = pair.library.encode_detail(&text, Special::Add).unwrap();
            prop_assert_eq!(pair.compiled.encode_detail(&text, Special::Add).unwrap(), expected);
        }
    }
}

#[test]
fn character_maps_replace_what_the_crate_replaces() {
    let mut json = unigrams();
    json["normalizer"] = json!({
        "type": "Sequence",
        "normalizers": [
            { "type": "Precompiled", "precompiled_charsmap": charsmap() },
            { "type": "Strip", "strip_left": true, "strip_right": true },
            { "type": "Replace", "pattern": { "Regex": " {2,}" }, "content": " " },
        ],
    });
    json["added_tokens"]
        .as_array_mut()
        .unwrap()
        .retain(|token| token["normalized"] == false);
    let pair = Pair::of(&json, 300);
    for text in [
        "",
        "   ",
        "ﬁnal Ａｂ ① ℌ a\u{a0}\u{a0}b \u{200b} x",
        "e\u{301}e\u{301} \u{301} ﬁ\u{301} ①\u{200d}②",
        "  ﬁrst  last  ",
        "👨‍👩‍👧 ﬁ👍🏽 \r\n ﬁ",
    ] {
        pair.check(text);
    }
}

/// Two tokens of one id: which of them was found, the id does not tell.
#[test]
fn details_that_differ_come_from_the_file_when_somebody_asks() {
    let mut tiny = Tiny::bert();
    let vocab = &mut tiny.tokenizer["model"]["vocab"];
    vocab["warm"] = vocab["[UNK]"].clone();
    let (dir, artefacts) = (tiny.write(), TempDir::new().unwrap());
    let compiled = load_with(&dir, &artefacts);
    assert_eq!(
        compiled.tokenizer_form,
        TokenizerForm::Compiled(ArtefactState::Built)
    );
    let library = load(&LoadSpec::new(dir.path())).unwrap().tokenizer;
    for (text, is_parsed) in [("a warm model 好", false), ("Kalt", true)] {
        assert_eq!(compiled.tokenizer.has_details(), is_parsed);
        let expected = library.encode_detail(text, Special::Add).unwrap();
        let found = compiled.tokenizer.encode_detail(text, Special::Add);
        assert_eq!(found.unwrap(), expected);
    }
}

/// What a changed tokenizer file gives, and why.
fn reason(change: impl FnOnce(&mut Value), json: &Value) -> String {
    let mut json = json.clone();
    change(&mut json);
    let tiny = Tiny::bert().reading(json);
    let (dir, artefacts) = (tiny.write(), TempDir::new().unwrap());
    let [first, second] = [(); 2].map(|()| load_with(&dir, &artefacts));
    assert_eq!(first.tokenizer_form, second.tokenizer_form);
    let plain = load(&LoadSpec::new(dir.path())).unwrap();
    for text in ["a cold model", "[CLS] warm, 好!", ""] {
        let expected = plain.tokenizer.encode(text).unwrap();
        assert_eq!(second.tokenizer.encode(text).unwrap(), expected);
    }
    match first.tokenizer_form {
        TokenizerForm::Library {
            reason: Some(reason),
        } => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_not_understood_falls_back_to_the_crate_and_is_named() {
    let (tiny, bpe, unigram) = (Tiny::bert().tokenizer, byte_pairs(), unigrams());
    type Change = fn(&mut Value);
    let cases: [(&Value, Change, &str); 8] = [
        (
            &tiny,
            |json| json["normalizer"] = json!({ "type": "Nmt" }),
            "Nmt",
        ),
        (
            &tiny,
            |json| json["pre_tokenizer"] = json!({ "type": "Digits", "individual_digits": true }),
            "Digits",
        ),
        (
            &tiny,
            |json| json["added_tokens"][0]["single_word"] = json!(true),
            "whole word",
        ),
        (
            &tiny,
            |json| json["model"]["type"] = json!("WordLevel"),
            "whole words",
        ),
        (
            &bpe,
            |json| json["model"]["end_of_word_suffix"] = json!("</w>"),
            "where a word ends",
        ),
        (
            &bpe,
            |json| json["pre_tokenizer"] = json!({ "type": "WhitespaceSplit" }),
            "pairs",
        ),
        (
            &unigram,
            |json| json["model"]["byte_fallback"] = json!(true),
            "bytes",
        ),
        (
            &unigram,
            |json| json["pre_tokenizer"]["prepend_scheme"] = json!("first"),
            "first",
        ),
    ];
    for (json, change, expected) in cases {
        let reason = reason(change, json);
        assert!(reason.contains(expected), "{reason}");
    }
}

#[test]
fn a_changed_file_is_compiled_anew() {
    let (mut tiny, dir, artefacts) = (
        Tiny::bert(),
        TempDir::new().unwrap(),
        TempDir::new().unwrap(),
    );
    tiny.write_to(dir.path());
    let before = load_with(&dir, &artefacts)
        .tokenizer
        .encode("warm")
        .unwrap();
    let vocab = tiny.tokenizer["model"]["vocab"].as_object_mut().unwrap();
    let (warm, cold) = (vocab["warm"].clone(), vocab["cold"].clone());
    vocab["warm"] = cold;
    vocab["cold"] = warm;
    tiny.write_to(dir.path());
    let model = load_with(&dir, &artefacts);
    assert_eq!(
        model.tokenizer_form,
        TokenizerForm::Compiled(ArtefactState::Built)
    );
    assert_ne!(model.tokenizer.encode("warm").unwrap(), before);
}
