//! What each family calls its tensors. Data only.

use crate::load::Family;

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
}

pub(super) const WORDS: &str = "embeddings.word_embeddings.weight";
pub(super) const POSITIONS: &str = "embeddings.position_embeddings.weight";
pub(super) const TOKEN_TYPES: &str = "embeddings.token_type_embeddings.weight";
pub(super) const EMBEDDING_NORM: &str = "embeddings.LayerNorm";

impl Names {
    pub(super) fn of(family: Family) -> &'static Names {
        match family {
            Family::Bert => &BERT,
            Family::DistilBert => &DISTILBERT,
            Family::Roberta => &ROBERTA,
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
};

const ROBERTA: Names = Names {
    prefixes: &["", "roberta."],
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
};
