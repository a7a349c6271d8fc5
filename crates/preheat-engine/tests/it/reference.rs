//! The encoder once more, from the formulas: double precision, one number at a time, no sharing of
//! code with the engine. Slow and plain, to compare with.

use preheat_engine::SECOND;

use crate::tiny::{HEADS, HIDDEN, LAYERS, Tiny};

type Rows = Vec<Vec<f64>>;

pub(crate) fn embed(tiny: &Tiny, ids: &[u32]) -> Vec<f64> {
    let x = encode(tiny, ids);
    let mut out = pool(&tiny.pooling, &x);
    if tiny.modules.to_string().contains("Normalize") {
        let length = out.iter().map(|x| x * x).sum::<f64>().sqrt();
        out.iter_mut().for_each(|x| *x /= length);
    }
    out
}

/// The numbers of a classifier.
pub(crate) fn classify(tiny: &Tiny, ids: &[u32]) -> Vec<f64> {
    let (inner, outer) = match tiny.config["model_type"].as_str().unwrap() {
        "bert" => ("pooler.dense", "classifier"),
        "distilbert" => ("pre_classifier", "classifier"),
        _ => ("classifier.dense", "classifier.out_proj"),
    };
    let model = Model { tiny, eps: 0.0 };
    let first = vec![encode(tiny, ids).swap_remove(0)];
    let mut between = model.linear(inner, &first);
    for x in &mut between[0] {
        *x = match inner {
            "pre_classifier" => x.max(0.0),
            _ => x.tanh(),
        };
    }
    model.linear(outer, &between).swap_remove(0)
}

/// A vector for each token. A token of the second text of a pair is marked in its id.
fn encode(tiny: &Tiny, ids: &[u32]) -> Rows {
    let family = tiny.config["model_type"].as_str().unwrap();
    let names = match family {
        "distilbert" => DISTILBERT,
        "mpnet" => MPNET,
        _ => BERT,
    };
    let first_position = if matches!(family, "roberta" | "mpnet") {
        2
    } else {
        0
    };
    let eps = tiny
        .config
        .get("layer_norm_eps")
        .map_or(1e-12, |eps| eps.as_f64().unwrap());
    let model = Model { tiny, eps };

    let mut x: Rows = (0..ids.len())
        .map(|at| {
            let id = (ids[at] & !SECOND) as usize;
            let word = model.row("embeddings.word_embeddings.weight", id);
            let place = model.row("embeddings.position_embeddings.weight", first_position + at);
            let kind = match family {
                "distilbert" | "mpnet" => vec![0.0; HIDDEN],
                _ => {
                    let kind = usize::from(ids[at] & SECOND != 0);
                    model.row("embeddings.token_type_embeddings.weight", kind)
                }
            };
            (0..HIDDEN).map(|i| word[i] + place[i] + kind[i]).collect()
        })
        .collect();
    model.norm("embeddings.LayerNorm", &mut x);

    for index in 0..LAYERS {
        let name = |part: usize| format!("{}.{index}.{}", names[0], names[part]);
        let (q, k, v) = (
            model.linear(&name(1), &x),
            model.linear(&name(2), &x),
            model.linear(&name(3), &x),
        );
        let bias = |head: usize, query: usize, key: usize| match family {
            "mpnet" => model.bias(head, query as f64 - key as f64),
            _ => 0.0,
        };
        add(
            &mut x,
            &model.linear(&name(4), &attention(&q, &k, &v, bias)),
        );
        model.norm(&name(5), &mut x);
        let mut wide = model.linear(&name(6), &x);
        let relu = tiny
            .config
            .get("activation")
            .is_some_and(|act| act == "relu");
        for value in wide.iter_mut().flatten() {
            *value = if relu { value.max(0.0) } else { gelu(*value) };
        }
        add(&mut x, &model.linear(&name(7), &wide));
        model.norm(&name(8), &mut x);
    }
    x
}

const BERT: [&str; 9] = [
    "encoder.layer",
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "attention.output.LayerNorm",
    "intermediate.dense",
    "output.dense",
    "output.LayerNorm",
];

const MPNET: [&str; 9] = [
    "encoder.layer",
    "attention.attn.q",
    "attention.attn.k",
    "attention.attn.v",
    "attention.attn.o",
    "attention.LayerNorm",
    "intermediate.dense",
    "output.dense",
    "output.LayerNorm",
];

const DISTILBERT: [&str; 9] = [
    "transformer.layer",
    "attention.q_lin",
    "attention.k_lin",
    "attention.v_lin",
    "attention.out_lin",
    "sa_layer_norm",
    "ffn.lin1",
    "ffn.lin2",
    "output_layer_norm",
];

struct Model<'a> {
    tiny: &'a Tiny,
    eps: f64,
}

impl Model<'_> {
    fn row(&self, name: &str, row: usize) -> Vec<f64> {
        let family = self.tiny.config["model_type"].as_str().unwrap();
        let tensors = &self.tiny.tensors;
        let prefixed = || &tensors[&format!("{family}.{name}")];
        let values = tensors.get(name).unwrap_or_else(prefixed);
        let cols = *values.shape.last().unwrap();
        values.data[row * cols..][..cols]
            .iter()
            .map(|x| f64::from(*x))
            .collect()
    }

    /// The learned number for a distance, as the published code has it.
    fn bias(&self, head: usize, behind: f64) -> f64 {
        let classes = self.tiny.config["relative_attention_num_buckets"]
            .as_f64()
            .unwrap();
        let half = (classes / 2.0).floor();
        let exact = (half / 2.0).floor();
        let distance = behind.abs();
        let far = (distance / exact).ln() / (128.0 / exact).ln() * (half - exact);
        let within = match distance < exact {
            true => distance,
            false => (exact + far.floor()).min(half - 1.0),
        };
        let class = within + if behind < 0.0 { half } else { 0.0 };
        self.row("encoder.relative_attention_bias.weight", class as usize)[head]
    }

    fn linear(&self, name: &str, x: &Rows) -> Rows {
        let bias = self.row(&format!("{name}.bias"), 0);
        let weight = format!("{name}.weight");
        let rows: Rows = (0..bias.len()).map(|row| self.row(&weight, row)).collect();
        x.iter()
            .map(|x| {
                rows.iter()
                    .zip(&bias)
                    .map(|(row, bias)| dot(row, x) + bias)
                    .collect()
            })
            .collect()
    }

    fn norm(&self, name: &str, x: &mut Rows) {
        let gamma = self.row(&format!("{name}.weight"), 0);
        let beta = self.row(&format!("{name}.bias"), 0);
        for row in x {
            let count = row.len() as f64;
            let mean = row.iter().sum::<f64>() / count;
            let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
            for (at, value) in row.iter_mut().enumerate() {
                *value = (*value - mean) / (variance + self.eps).sqrt() * gamma[at] + beta[at];
            }
        }
    }
}

fn attention(q: &Rows, k: &Rows, v: &Rows, bias: impl Fn(usize, usize, usize) -> f64) -> Rows {
    let width = HIDDEN / HEADS;
    let mut out = vec![vec![0.0; HIDDEN]; q.len()];
    for head in (0..HIDDEN).step_by(width) {
        let part = head..head + width;
        for (at, (query, out)) in q.iter().zip(&mut out).enumerate() {
            let scores = k.iter().enumerate().map(|(to, key)| {
                let score = dot(&query[part.clone()], &key[part.clone()]) / (width as f64).sqrt();
                (score + bias(head / width, at, to)).exp()
            });
            let weights: Vec<f64> = scores.collect();
            let total: f64 = weights.iter().sum();
            for (weight, value) in weights.iter().zip(v) {
                for at in part.clone() {
                    out[at] += weight / total * value[at];
                }
            }
        }
    }
    out
}

fn pool(pooling: &serde_json::Value, x: &Rows) -> Vec<f64> {
    let column = |at: usize| x.iter().map(move |row| row[at]);
    let chosen = |mode: &str| pooling.get(mode).is_some_and(|on| on == true);
    (0..HIDDEN)
        .map(|at| match () {
            () if chosen("pooling_mode_cls_token") => x[0][at],
            () if chosen("pooling_mode_max_tokens") => column(at).fold(f64::MIN, f64::max),
            () => column(at).sum::<f64>() / x.len() as f64,
        })
        .collect()
}

fn add(x: &mut Rows, other: &Rows) {
    for (x, other) in x.iter_mut().flatten().zip(other.iter().flatten()) {
        *x += other;
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + erf(x / std::f64::consts::SQRT_2))
}

/// The Maclaurin series, good to 1e-12 for the small arguments that tiny models have.
fn erf(x: f64) -> f64 {
    let mut term = x;
    let mut sum = x;
    for n in 1..120 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    assert!(x.abs() < 4.0, "the series is not good at {x}");
    sum * 2.0 / std::f64::consts::PI.sqrt()
}
