//! What each family calls its tensors. Data only.

use crate::load::{Activation, Family};

/// Tensor names of one family. Names of a layer follow [`Names::layer`]; a linear step has a
/// `.weight` and a `.bias` under its name, and so has a norm.
pub(super) struct Names {
    /// What checkpoints may put before every name.
    pub(super) prefixes: &'static [&'static str],
    layer: &'static str,
    pub(super) query: &'static str,
    pub(super) key: &'static str,
    pub(super) value: &'static str,
    pub(super) attention_out: &'static str,
    pub(super) attention_norm: &'static str,
    pub(super) up: &'static str,
    pub(super) down: &'static str,
    pub(super) output_norm: &'static str,
    /// The two steps of a classifier.
    pub(super) head: [Place; 2],
    pub(super) head_activation: Activation,
}

/// Where a step of a classifier is named.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// As a part of the encoder.
    Inside(&'static str),
    Beside(&'static str),
}

pub(super) const WORDS: &str = "embeddings.word_embeddings.weight";
pub(super) const POSITIONS: &str = "embeddings.position_embeddings.weight";
pub(super) const TOKEN_TYPES: &str = "embeddings.token_type_embeddings.weight";
pub(super) const EMBEDDING_NORM: &str = "embeddings.LayerNorm";
/// A row for each class of distances, a number for each head.
pub(super) const DISTANCES: &str = "encoder.relative_attention_bias.weight";

impl Names {
    pub(super) fn of(family: Family) -> &'static Names {
        match family {
            Family::Bert => &BERT,
            Family::DistilBert => &DISTILBERT,
            Family::Roberta => &ROBERTA,
            Family::MpNet => &MPNET,
        }
    }

    /// The name of `part` in layer `index`.
    pub(super) fn in_layer(&self, index: usize, part: &str) -> String {
        format!("{}.{index}.{part}", self.layer)
    }
}

const BERT: Names = Names {
    prefixes: &["", "bert."],
    layer: "encoder.layer",
    query: "attention.self.query",
    key: "attention.self.key",
    value: "attention.self.value",
    attention_out: "attention.output.dense",
    attention_norm: "attention.output.LayerNorm",
    up: "intermediate.dense",
    down: "output.dense",
    output_norm: "output.LayerNorm",
    head: [Place::Inside("pooler.dense"), Place::Beside("classifier")],
    head_activation: Activation::Tanh,
};

const ROBERTA: Names = Names {
    prefixes: &["", "roberta."],
    head: SEPARATE,
    ..BERT
};

/// Both steps in one part of their own.
const SEPARATE: [Place; 2] = [
    Place::Beside("classifier.dense"),
    Place::Beside("classifier.out_proj"),
];

const MPNET: Names = Names {
    prefixes: &["", "mpnet."],
    query: "attention.attn.q",
    key: "attention.attn.k",
    value: "attention.attn.v",
    attention_out: "attention.attn.o",
    attention_norm: "attention.LayerNorm",
    head: SEPARATE,
    ..BERT
};

const DISTILBERT: Names = Names {
    prefixes: &["", "distilbert."],
    layer: "transformer.layer",
    query: "attention.q_lin",
    key: "attention.k_lin",
    value: "attention.v_lin",
    attention_out: "attention.out_lin",
    attention_norm: "sa_layer_norm",
    up: "ffn.lin1",
    down: "ffn.lin2",
    output_norm: "output_layer_norm",
    head: [Place::Beside("pre_classifier"), Place::Beside("classifier")],
    head_activation: Activation::Relu,
};
