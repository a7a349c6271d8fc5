//! Tiny models of every family with random weights, written to a directory. Their sizes divide
//! nothing: not a vector, not a panel, not a power of two.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize_to_file};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const HIDDEN: usize = 21;
pub(crate) const HEADS: usize = 3;
pub(crate) const INNER: usize = 37;
pub(crate) const LAYERS: usize = 2;
pub(crate) const POSITIONS: usize = 70;
/// Of distances.
const CLASSES: usize = 8;

/// A model that has not been written yet; tests change what they like.
pub(crate) struct Tiny {
    pub(crate) config: Value,
    pub(crate) tokenizer: Value,
    pub(crate) modules: Value,
    pub(crate) pooling: Value,
    pub(crate) max_seq_length: Option<usize>,
    pub(crate) tensors: BTreeMap<String, Values>,
}

#[derive(Clone)]
pub(crate) struct Values {
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Vec<f32>,
}

pub(crate) const WORDS: &[&str] = &[
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "cold", "model", "never", "meets", "request", "warm",
    "the", "##s", "##ing", "load", "test", "!", ".", "好", "cafe",
];

impl Tiny {
    pub(crate) fn bert() -> Self {
        let mut tiny = Tiny::with(json!({
            "model_type": "bert",
            "hidden_size": HIDDEN,
            "num_attention_heads": HEADS,
            "num_hidden_layers": LAYERS,
            "intermediate_size": INNER,
            "max_position_embeddings": POSITIONS,
            "type_vocab_size": 2,
            "vocab_size": WORDS.len(),
            "hidden_act": "gelu",
            "layer_norm_eps": 1e-12,
        }));
        tiny.add_layers("encoder.layer", &BERT_NAMES);
        tiny.add("embeddings.token_type_embeddings.weight", &[2, HIDDEN]);
        tiny
    }

    pub(crate) fn roberta() -> Self {
        let mut tiny = Tiny::bert();
        tiny.config["model_type"] = json!("roberta");
        tiny.config["type_vocab_size"] = json!(1);
        tiny.config["pad_token_id"] = json!(1);
        tiny.config["layer_norm_eps"] = json!(1e-5);
        tiny.add("embeddings.token_type_embeddings.weight", &[1, HIDDEN]);
        tiny
    }

    pub(crate) fn distilbert() -> Self {
        let mut tiny = Tiny::with(json!({
            "model_type": "distilbert",
            "dim": HIDDEN,
            "n_heads": HEADS,
            "n_layers": LAYERS,
            "hidden_dim": INNER,
            "max_position_embeddings": POSITIONS,
            "vocab_size": WORDS.len(),
            "activation": "relu",
        }));
        tiny.add_layers("transformer.layer", &DISTILBERT_NAMES);
        tiny
    }

    pub(crate) fn mpnet() -> Self {
        let mut tiny = Tiny::bert();
        tiny.config["model_type"] = json!("mpnet");
        tiny.config["pad_token_id"] = json!(1);
        tiny.config["relative_attention_num_buckets"] = json!(CLASSES);
        tiny.tensors
            .retain(|name, _| !name.contains("encoder.layer") && !name.contains("type"));
        tiny.add_layers("encoder.layer", &MPNET_NAMES);
        tiny.add("encoder.relative_attention_bias.weight", &[CLASSES, HEADS]);
        tiny
    }

    /// The same with a classifier in the manner of its family. The encoder's own tensors get the
    /// prefix that such checkpoints give them.
    pub(crate) fn classifying(mut self, labels: usize) -> Self {
        let family = self.config["model_type"].as_str().unwrap().to_owned();
        let (prefix, inner, outer) = match &family[..] {
            "bert" => ("bert", "pooler.dense", "classifier"),
            "distilbert" => ("distilbert", "pre_classifier", "classifier"),
            "mpnet" => ("mpnet", "classifier.dense", "classifier.out_proj"),
            _ => ("roberta", "classifier.dense", "classifier.out_proj"),
        };
        let inside = |name: &str| !name.contains("classifier");
        self.add(&format!("{inner}.weight"), &[HIDDEN, HIDDEN]);
        self.add(&format!("{inner}.bias"), &[HIDDEN]);
        self.add(&format!("{outer}.weight"), &[labels, HIDDEN]);
        self.add(&format!("{outer}.bias"), &[labels]);
        let names = std::mem::take(&mut self.tensors).into_iter();
        self.tensors = names
            .map(|(name, values)| match inside(&name) {
                true => (format!("{prefix}.{name}"), values),
                false => (name, values),
            })
            .collect();
        self.config["architectures"] = json!(["SomethingForSequenceClassification"]);
        let label = |index: usize| (index.to_string(), json!(format!("label {index}")));
        let labels: serde_json::Map<String, Value> = (0..labels).map(label).collect();
        self.config["id2label"] = Value::Object(labels);
        self.tokenizer["post_processor"]["pair"] = json!([
            { "SpecialToken": { "id": "[CLS]", "type_id": 0 } },
            { "Sequence": { "id": "A", "type_id": 0 } },
            { "SpecialToken": { "id": "[SEP]", "type_id": 0 } },
            { "Sequence": { "id": "B", "type_id": 1 } },
            { "SpecialToken": { "id": "[SEP]", "type_id": 1 } },
        ]);
        self
    }

    fn with(config: Value) -> Self {
        let mut tiny = Tiny {
            config,
            tokenizer: tokenizer(),
            modules: json!([
                { "type": "sentence_transformers.models.Transformer", "path": "" },
                { "type": "sentence_transformers.models.Pooling", "path": "1_Pooling" },
                { "type": "sentence_transformers.models.Normalize", "path": "2_Normalize" },
            ]),
            pooling: json!({ "word_embedding_dimension": HIDDEN, "pooling_mode_mean_tokens": true }),
            max_seq_length: None,
            tensors: BTreeMap::new(),
        };
        tiny.add("embeddings.word_embeddings.weight", &[WORDS.len(), HIDDEN]);
        tiny.add(
            "embeddings.position_embeddings.weight",
            &[POSITIONS, HIDDEN],
        );
        tiny.add_norm("embeddings.LayerNorm");
        tiny
    }

    fn add_layers(&mut self, layer: &str, names: &[(&str, usize, usize)]) {
        for index in 0..LAYERS {
            for (name, outputs, inputs) in names {
                let name = format!("{layer}.{index}.{name}");
                match inputs {
                    0 => self.add_norm(&name),
                    _ => {
                        self.add(&format!("{name}.weight"), &[*outputs, *inputs]);
                        self.add(&format!("{name}.bias"), &[*outputs]);
                    }
                }
            }
        }
    }

    fn add_norm(&mut self, name: &str) {
        self.add(&format!("{name}.weight"), &[HIDDEN]);
        self.add(&format!("{name}.bias"), &[HIDDEN]);
    }

    /// With a vector for each token of this tokenizer.
    pub(crate) fn reading(mut self, tokenizer: Value) -> Self {
        let model = match &tokenizer["model"]["vocab"] {
            Value::Object(ids) => ids.values().filter_map(Value::as_u64).max(),
            pieces => pieces.as_array().map(|pieces| pieces.len() as u64),
        };
        let added = tokenizer["added_tokens"].as_array().into_iter().flatten();
        let added = added.filter_map(|token| token["id"].as_u64());
        let count = added.chain(model).max().map_or(0, |last| last as usize + 1);
        self.config["vocab_size"] = json!(count);
        self.add("embeddings.word_embeddings.weight", &[count, HIDDEN]);
        self.tokenizer = tokenizer;
        self
    }

    /// Random numbers that depend on the name alone.
    pub(crate) fn add(&mut self, name: &str, shape: &[usize]) {
        let mut state = name.bytes().fold(0x9e37_79b9_7f4a_7c15u64, |state, byte| {
            (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
        };
        let data = (0..shape.iter().product()).map(|_| next()).collect();
        self.tensors.insert(
            name.to_owned(),
            Values {
                shape: shape.to_vec(),
                data,
            },
        );
    }

    pub(crate) fn write(&self) -> TempDir {
        let dir = TempDir::new().unwrap();
        self.write_to(dir.path());
        dir
    }

    pub(crate) fn write_to(&self, dir: &Path) {
        fs::create_dir_all(dir.join("1_Pooling")).unwrap();
        for (name, value) in [
            ("config.json", &self.config),
            ("tokenizer.json", &self.tokenizer),
            ("modules.json", &self.modules),
            ("1_Pooling/config.json", &self.pooling),
        ] {
            fs::write(dir.join(name), value.to_string()).unwrap();
        }
        if let Some(max) = self.max_seq_length {
            let json = json!({ "max_seq_length": max }).to_string();
            fs::write(dir.join("sentence_bert_config.json"), json).unwrap();
        }
        self.write_weights(&dir.join("model.safetensors"), Dtype::F32, |x| {
            x.to_le_bytes().to_vec()
        });
    }

    pub(crate) fn write_weights(&self, path: &Path, dtype: Dtype, bytes: impl Fn(f32) -> Vec<u8>) {
        let encoded: Vec<_> = self
            .tensors
            .iter()
            .map(|(name, values)| {
                (
                    name,
                    &values.shape,
                    values
                        .data
                        .iter()
                        .flat_map(|x| bytes(*x))
                        .collect::<Vec<_>>(),
                )
            })
            .collect();
        let views = encoded.iter().map(|(name, shape, data)| {
            (
                name.as_str(),
                TensorView::new(dtype, shape.to_vec(), data).unwrap(),
            )
        });
        serialize_to_file(views, None, path).unwrap();
    }
}

/// Name, outputs, inputs; a norm has no inputs.
const BERT_NAMES: [(&str, usize, usize); 8] = [
    ("attention.self.query", HIDDEN, HIDDEN),
    ("attention.self.key", HIDDEN, HIDDEN),
    ("attention.self.value", HIDDEN, HIDDEN),
    ("attention.output.dense", HIDDEN, HIDDEN),
    ("attention.output.LayerNorm", HIDDEN, 0),
    ("intermediate.dense", INNER, HIDDEN),
    ("output.dense", HIDDEN, INNER),
    ("output.LayerNorm", HIDDEN, 0),
];

const MPNET_NAMES: [(&str, usize, usize); 8] = [
    ("attention.attn.q", HIDDEN, HIDDEN),
    ("attention.attn.k", HIDDEN, HIDDEN),
    ("attention.attn.v", HIDDEN, HIDDEN),
    ("attention.attn.o", HIDDEN, HIDDEN),
    ("attention.LayerNorm", HIDDEN, 0),
    ("intermediate.dense", INNER, HIDDEN),
    ("output.dense", HIDDEN, INNER),
    ("output.LayerNorm", HIDDEN, 0),
];

const DISTILBERT_NAMES: [(&str, usize, usize); 8] = [
    ("attention.q_lin", HIDDEN, HIDDEN),
    ("attention.k_lin", HIDDEN, HIDDEN),
    ("attention.v_lin", HIDDEN, HIDDEN),
    ("attention.out_lin", HIDDEN, HIDDEN),
    ("sa_layer_norm", HIDDEN, 0),
    ("ffn.lin1", INNER, HIDDEN),
    ("ffn.lin2", HIDDEN, INNER),
    ("output_layer_norm", HIDDEN, 0),
];

fn tokenizer() -> Value {
    let vocab: serde_json::Map<String, Value> = WORDS
        .iter()
        .enumerate()
        .map(|(id, word)| ((*word).to_owned(), json!(id)))
        .collect();
    let special = |id: usize| {
        json!({ "id": id, "content": WORDS[id], "special": true, "single_word": false,
                "lstrip": false, "rstrip": false, "normalized": false })
    };
    json!({
        "version": "1.0",
        // Advice that must be ignored.
        "truncation": { "max_length": 5, "strategy": "LongestFirst", "stride": 0, "direction": "Right" },
        "padding": { "strategy": { "Fixed": 16 }, "direction": "Right", "pad_to_multiple_of": null,
                     "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]" },
        "added_tokens": [special(0), special(1), special(2), special(3)],
        "normalizer": { "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                        "strip_accents": null, "lowercase": true },
        "pre_tokenizer": { "type": "BertPreTokenizer" },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                { "SpecialToken": { "id": "[CLS]", "type_id": 0 } },
                { "Sequence": { "id": "A", "type_id": 0 } },
                { "SpecialToken": { "id": "[SEP]", "type_id": 0 } },
            ],
            "pair": [
                { "Sequence": { "id": "A", "type_id": 0 } },
                { "Sequence": { "id": "B", "type_id": 1 } },
            ],
            "special_tokens": {
                "[CLS]": { "id": "[CLS]", "ids": [2], "tokens": ["[CLS]"] },
                "[SEP]": { "id": "[SEP]", "ids": [3], "tokens": ["[SEP]"] },
            },
        },
        "decoder": null,
        "model": { "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                   "max_input_chars_per_word": 100, "vocab": vocab },
    })
}
