//! Token ids are those of the model's makers, whatever the tokenizer file says about padding.

use std::sync::{Arc, OnceLock};

use preheat_engine::{LoadSpec, Special, Token, Tokenizer, load};
use proptest::prelude::*;

use crate::model;
use crate::tiny::Tiny;

#[test]
fn truncation_is_at_the_models_limit_and_keeps_special_tokens() {
    let tokenizer = &model::loaded().tokenizer;
    assert_eq!(tokenizer.max_tokens(), 256);
    let short = tokenizer.encode(&"word ".repeat(254)).unwrap();
    let long = tokenizer.encode(&"word ".repeat(300)).unwrap();
    assert_eq!(short.len(), 256);
    assert_eq!(short, long, "the end of the text is dropped, [SEP] is not");
    assert_eq!((long[0], long[255]), (101, 102));
    // A special token that the text spells out is text: only the one put in at the end survives.
    let spelled = tokenizer.encode(&"[SEP] ".repeat(300)).unwrap();
    assert_eq!((spelled.len(), spelled[255]), (256, 102));
    assert_eq!(tokenizer.encode("").unwrap(), [101, 102]);
}

#[test]
fn details_name_characters_and_are_not_truncated() {
    let tokenizer = &model::loaded().tokenizer;
    let tokens = tokenizer
        .encode_detail("Café 中 warming!", Special::Add)
        .unwrap();
    let brief: Vec<_> = tokens
        .iter()
        .map(|t| (t.text.as_str(), t.start, t.stop, t.special))
        .collect();
    assert_eq!(
        brief,
        [
            ("[CLS]", 0, 0, true),
            ("cafe", 0, 4, false),
            ("中", 5, 6, false),
            ("warming", 7, 14, false),
            ("!", 14, 15, false),
            ("[SEP]", 0, 0, true),
        ]
    );
    let bare = tokenizer
        .encode_detail("Café 中 warming!", Special::Omit)
        .unwrap();
    assert_eq!(bare, tokens[1..5]);
    let long = tokenizer
        .encode_detail(&"word ".repeat(1000), Special::Add)
        .unwrap();
    assert_eq!(long.len(), 1002);
}

#[test]
fn the_smallest_limit_wins() {
    let mut tiny = Tiny::bert();
    tiny.max_seq_length = Some(12);
    let dir = tiny.write();
    for (wanted, expected) in [(None, 12), (Some(7), 7), (Some(500), 12)] {
        let model = load(&LoadSpec {
            max_tokens: wanted,
            ..LoadSpec::new(dir.path())
        })
        .unwrap();
        assert_eq!(model.engine.info().max_tokens, expected);
        assert_eq!(
            model.tokenizer.encode(&"warm ".repeat(90)).unwrap().len(),
            expected
        );
    }
    tiny.max_seq_length = None;
    let model = load(&LoadSpec::new(tiny.write().path())).unwrap();
    assert_eq!(model.engine.info().max_tokens, crate::tiny::POSITIONS);
    let roberta = load(&LoadSpec::new(Tiny::roberta().write().path())).unwrap();
    assert_eq!(roberta.engine.info().max_tokens, crate::tiny::POSITIONS - 2);
}

#[test]
fn any_text_gets_through() {
    let tokenizer = &model::loaded().tokenizer;
    let megabyte = "lorem ipsum, ".repeat(80_000);
    for text in [
        "\u{0}",
        "\u{fffd}\u{200d}",
        "🏳️‍🌈 e\u{301}",
        "a\tb\r\n",
        &"x".repeat(5000),
        &megabyte,
    ] {
        let ids = tokenizer.encode(text).unwrap();
        assert!((2..=256).contains(&ids.len()));
        assert_eq!((ids[0], ids[ids.len() - 1]), (101, 102));
    }
}

proptest! {
    /// A text is not tokenised to its end when the model does not read that far. The tokens must be
    /// those of the whole text all the same.
    #[test]
    fn cutting_early_changes_no_token(
        words in prop::collection::vec(
            prop_oneof![
                4 => "[a-e]{1,9}",
                2 => Just("[SEP]".to_owned()),
                2 => Just("warming".to_owned()),
                3 => "\\PC{1,6}",
                1 => any::<String>(),
                1 => "[\\u{300}-\\u{30a}\\u{0}-\\u{8}\\u{a0}\\u{200b}-\\u{200d}]{1,40}",
            ],
            0..80,
        ),
        separators in prop::collection::vec(prop::sample::select(&[" ", "\n", "\t ", ""][..]), 80),
    ) {
        let text: String =
            words.iter().zip(separators).flat_map(|(word, space)| [word.as_str(), space]).collect();
        let tokenizer = tiny_tokenizer();
        let all = tokenizer.encode_detail(&text, Special::Add).unwrap();
        let mut expected: Vec<u32> = all.iter().map(|token| token.id).collect();
        if expected.len() > tokenizer.max_tokens() {
            expected.truncate(tokenizer.max_tokens() - 1);
            expected.push(3);
        }
        prop_assert_eq!(tokenizer.encode(&text).unwrap(), expected);
    }
}

/// Reads 5 tokens, so that texts of 40 bytes are already cut.
fn tiny_tokenizer() -> &'static Tokenizer {
    static TOKENIZER: OnceLock<Arc<Tokenizer>> = OnceLock::new();
    TOKENIZER.get_or_init(|| {
        let mut tiny = Tiny::bert();
        tiny.max_seq_length = Some(5);
        load(&LoadSpec::new(tiny.write().path())).unwrap().tokenizer
    })
}

#[test]
fn words_stand_in_where_there_is_no_model() {
    let tokenizer = Tokenizer::whitespace(3, 100);
    let ids = tokenizer.encode("ein Wort, ein Wort, noch eins").unwrap();
    assert_eq!(ids.len(), 3);
    assert_eq!(ids[0], ids[2]);
    assert!(ids.iter().all(|id| *id < 100));
    assert_eq!(
        tokenizer.encode("  ").unwrap().len(),
        1,
        "no text is without any token"
    );
    let tokens = tokenizer.encode_detail(" ä bc", Special::Omit).unwrap();
    let places: Vec<_> = tokens
        .iter()
        .map(|Token { start, stop, .. }| (*start, *stop))
        .collect();
    assert_eq!(places, [(1, 2), (3, 5)]);
}
