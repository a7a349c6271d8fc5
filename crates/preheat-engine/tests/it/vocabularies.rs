//! Small tokenizers of other kinds, learnt from a few sentences.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::models::unigram::{Unigram, UnigramTrainer};
use tokenizers::normalizers::{NFKC, Sequence};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::{AddedToken, NormalizerWrapper, PreTokenizerWrapper, Tokenizer};

const TEXTS: [&str; 8] = [
    "no request ever meets a cold model; the model is warm before the first request comes",
    "Warming a model means running it, again and again, until it does not get any faster.",
    "It's cold, isn't it? We'll warm it, they've warmed it, I'd say it's warmer than yesterday.",
    "unaffable unaffordable unbelievable believable affordable able ability abilities",
    "Das Modell ist warm, bevor die erste Anfrage kommt; le modèle est déjà chaud, voilà.",
    "1234 5678 12 34 56 78 90 2026 2027 100 200 300 1,000,000 3.14159",
    "Привет мир привет модель тёплая модель; 模型 是 热 的 模型; 모델은 따뜻하다",
    "naïve café über Straße Ærø señor façade coöperate résumé",
];

fn special(text: &str) -> AddedToken {
    AddedToken::from(text, true)
}

/// As RoBERTa has them.
pub(crate) fn byte_pairs() -> Value {
    let mut tokenizer = Tokenizer::new(BPE::default());
    tokenizer.with_pre_tokenizer(Some(PreTokenizerWrapper::from(ByteLevel::new(
        false, true, true,
    ))));
    let trainer = BpeTrainer::builder()
        .show_progress(false)
        .vocab_size(700)
        .min_frequency(1)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(["<s>", "<pad>", "</s>", "<unk>"].map(special).to_vec())
        .build();
    let mut trainer = TrainerWrapper::from(trainer);
    tokenizer.train(&mut trainer, TEXTS.into_iter()).unwrap();
    tokenizer
        .add_special_tokens([special("<mask>").lstrip(true)])
        .unwrap();
    let mut json = serde_json::to_value(&tokenizer).unwrap();
    json["post_processor"] = json!({
        "type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0],
        "trim_offsets": true, "add_prefix_space": false,
    });
    json
}

/// As XLM-R has them.
pub(crate) fn unigrams() -> Value {
    let mut tokenizer = Tokenizer::new(Unigram::default());
    let normalizers = vec![NormalizerWrapper::NFKC(NFKC)];
    tokenizer
        .with_normalizer(Some(NormalizerWrapper::Sequence(Sequence::new(
            normalizers,
        ))))
        .unwrap();
    let metaspace = Metaspace::new('▁', PrependScheme::Always, true);
    tokenizer.with_pre_tokenizer(Some(PreTokenizerWrapper::from(metaspace)));
    let mut trainer = UnigramTrainer::builder();
    let trainer = trainer
        .show_progress(false)
        .vocab_size(400)
        .unk_token(Some("<unk>".to_owned()))
        .special_tokens(["<s>", "<pad>", "</s>", "<unk>"].map(special).to_vec())
        .build()
        .unwrap();
    let mut trainer = TrainerWrapper::from(trainer);
    tokenizer.train(&mut trainer, TEXTS.into_iter()).unwrap();
    let mask = AddedToken::from("<mask>", true).lstrip(true);
    let word = AddedToken::from("Kalt Start", false);
    tokenizer.add_special_tokens([mask, word]).unwrap();
    let mut json = serde_json::to_value(&tokenizer).unwrap();
    json["post_processor"] = json!({
        "type": "TemplateProcessing",
        "single": [
            { "SpecialToken": { "id": "<s>", "type_id": 0 } },
            { "Sequence": { "id": "A", "type_id": 0 } },
            { "SpecialToken": { "id": "</s>", "type_id": 0 } },
        ],
        "pair": [
            { "Sequence": { "id": "A", "type_id": 0 } },
            { "Sequence": { "id": "B", "type_id": 1 } },
        ],
        "special_tokens": {
            "<s>": { "id": "<s>", "ids": [0], "tokens": ["<s>"] },
            "</s>": { "id": "</s>", "ids": [2], "tokens": ["</s>"] },
        },
    });
    json
}

const REPLACED: [(&str, &str); 10] = [
    ("ﬁ", "fi"),
    ("Ａ", "A"),
    ("ｂ", "b"),
    ("①", "1"),
    ("②", "2"),
    ("ℌ", "H"),
    ("\u{a0}", " "),
    ("\u{200b}", ""),
    ("e\u{301}", "é"),
    ("\r\n", " "),
];

/// A character map as sentencepiece writes it, in base64.
pub(crate) fn charsmap() -> String {
    let (mut text, mut keys) = (Vec::new(), Vec::new());
    for (from, to) in REPLACED {
        keys.push((from.as_bytes(), text.len() as u32));
        text.extend(to.bytes().chain([0]));
    }
    keys.sort();
    let mut units = vec![None; 1 << 16];
    units[0] = Some(0);
    place(&keys, 0, 0, &mut units);
    let used = units.iter().rposition(Option::is_some).unwrap() + 257;
    let units: Vec<u8> = units[..used]
        .iter()
        .flat_map(|unit| unit.unwrap_or(0).to_le_bytes())
        .collect();
    let length = (units.len() as u32).to_le_bytes();
    BASE64_STANDARD.encode([&length[..], &units, &text].concat())
}

/// Puts what follows the first `depth` bytes of these keys below the unit at `at`.
fn place(keys: &[(&[u8], u32)], depth: usize, at: usize, units: &mut Vec<Option<u32>>) {
    let mut labels: Vec<usize> = keys.iter().map(|(key, _)| label(key, depth)).collect();
    labels.dedup();
    let is_free = |base: &usize| labels.iter().all(|label| units[base ^ label].is_none());
    let mut bases = (1..units.len() - 256)
        .map(|base| base ^ at)
        .filter(|base| *base < units.len() - 256);
    let base = bases.find(is_free).unwrap();
    let has_leaf = labels.contains(&0);
    let unit = units[at].unwrap() | ((at ^ base) as u32) << 10 | u32::from(has_leaf) << 8;
    units[at] = Some(unit);
    for label in &labels {
        units[base ^ label] = Some(*label as u32);
    }
    for next in labels {
        let is_below = |(key, _): &(&[u8], u32)| label(key, depth) == next;
        let below: Vec<_> = keys.iter().copied().filter(is_below).collect();
        match next {
            0 => units[base] = Some(1 << 31 | below[0].1),
            _ => place(&below, depth + 1, base ^ next, units),
        }
    }
}

fn label(key: &[u8], depth: usize) -> usize {
    key.get(depth).copied().map_or(0, usize::from)
}
