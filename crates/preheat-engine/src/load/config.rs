//! What a model directory says about its encoder: `config.json`, and what the files of
//! sentence-transformers add to it. Never looks at weights.

use serde_json::Value;

use super::LoadError;
use super::advice::Advice;
use super::files::{Json, ModelFiles};
use super::modules::Modules;
use crate::file::CONFIG_MB;
use crate::tokenizer::Prompts;

/// An encoder's architecture and its numbers. All sizes are at least one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EncoderConfig {
    pub(crate) family: Family,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    pub(crate) hidden: usize,
    /// Width of the feed-forward block.
    pub(crate) inner: usize,
    pub(crate) vocab: usize,
    /// Rows of the position table; the first `first_position` of them are never used.
    pub(crate) positions: usize,
    pub(crate) first_position: usize,
    /// Rows of the token type table; none in families that do not have it.
    pub(crate) token_types: Option<usize>,
    pub(crate) activation: Activation,
    pub(crate) layer_norm_eps: f32,
    /// Longest sequence that is served, special tokens included.
    pub(crate) max_tokens: usize,
    pub(crate) pooling: Pooling,
    pub(crate) normalize: bool,
    /// What users' texts get in front of them.
    pub(crate) prompts: Prompts,
    /// What is made of a sequence's distances, in families that attend to them.
    pub(crate) distances: Option<Distances>,
    /// Scores instead of a vector.
    pub(crate) head: Option<Head>,
}

/// Attention that knows how far apart two tokens are: so many classes of distances, each with a
/// learned number for each head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Distances {
    pub(crate) classes: usize,
}

/// A classifier over the first token of a sequence: two linear steps, each family its own.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Head {
    /// What the scores are called, in order.
    pub(crate) labels: Vec<String>,
}

/// Families differ in tensor names, config keys and where positions start, not in the computation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Bert,
    DistilBert,
    Roberta,
    MpNet,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    /// The exact form with erf, not its tanh approximation.
    Gelu,
    Relu,
    Tanh,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pooling {
    Cls,
    Max,
    Mean,
}

impl Pooling {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Pooling::Cls => "cls",
            Pooling::Max => "max",
            Pooling::Mean => "mean",
        }
    }
}

const MODEL_TYPES: &[&str] = &[
    "bert",
    "distilbert",
    "roberta",
    "xlm-roberta",
    "camembert",
    "mpnet",
];
/// Of that family, whatever its padding id is.
const MPNET_FIRST: usize = 2;
const POOLINGS: &[&str] = &["mean", "cls", "max"];

impl EncoderConfig {
    /// Numbers in each answer.
    pub(crate) fn width(&self) -> usize {
        self.head
            .as_ref()
            .map_or(self.hidden, |head| head.labels.len())
    }

    /// `max_tokens` lowers the model's own limit.
    pub(super) fn read(
        files: &ModelFiles,
        advice: &Advice,
        max_tokens: Option<usize>,
    ) -> Result<Self, LoadError> {
        let json = Json::read(&files.config, CONFIG_MB)?;
        let mut config = Self::architecture(&json)?;
        for limit in [advice.max_tokens()?, max_tokens].into_iter().flatten() {
            config.max_tokens = config.max_tokens.min(limit);
        }
        let modules = match config.head {
            Some(_) => Modules::of_classifiers(),
            None => Modules::read(&files.dir)?,
        };
        config.pooling = modules.pooling;
        config.normalize = modules.normalize;
        config.prompts = modules.prompts;
        Ok(config)
    }

    fn architecture(json: &Json) -> Result<Self, LoadError> {
        let family = match json.text("model_type")? {
            "bert" => Family::Bert,
            "distilbert" => Family::DistilBert,
            "roberta" | "xlm-roberta" | "camembert" => Family::Roberta,
            "mpnet" => Family::MpNet,
            other => {
                return Err(LoadError::UnknownArchitecture {
                    path: json.path.clone(),
                    found: other.to_owned(),
                    known: MODEL_TYPES,
                });
            }
        };
        let keys = Keys::of(family);
        let positions = json.size("max_position_embeddings")?;
        let first_position = match family {
            Family::Bert | Family::DistilBert => 0,
            // Their positions start behind the padding id.
            Family::Roberta => json.optional_size("pad_token_id")?.unwrap_or(1) + 1,
            Family::MpNet => MPNET_FIRST,
        };
        let config = EncoderConfig {
            family,
            layers: json.size(keys.layers)?,
            heads: json.size(keys.heads)?,
            hidden: json.size(keys.hidden)?,
            inner: json.size(keys.inner)?,
            vocab: json.size("vocab_size")?,
            positions,
            first_position,
            token_types: match family {
                Family::DistilBert | Family::MpNet => None,
                Family::Bert | Family::Roberta => Some(json.size("type_vocab_size")?),
            },
            activation: Activation::read(json, keys.activation)?,
            layer_norm_eps: layer_norm_eps(json)?,
            max_tokens: positions.saturating_sub(first_position),
            pooling: Pooling::Mean,
            normalize: false,
            prompts: Prompts::default(),
            distances: match family {
                Family::MpNet => Some(Distances::read(json)?),
                _ => None,
            },
            head: Head::read(json)?,
        };
        config.check(json, &keys)?;
        Ok(config)
    }

    fn check(&self, json: &Json, keys: &Keys) -> Result<(), LoadError> {
        if !self.hidden.is_multiple_of(self.heads) {
            let problem = format!(
                "is {}, which {} heads do not divide",
                self.hidden, self.heads
            );
            return Err(json.complain(keys.hidden, &problem));
        }
        if self.max_tokens == 0 {
            let problem = format!("leaves no place behind position {}", self.first_position);
            return Err(json.complain("max_position_embeddings", &problem));
        }
        match json
            .value
            .get("position_embedding_type")
            .and_then(|kind| kind.as_str())
        {
            None | Some("absolute") => Ok(()),
            Some(other) => Err(LoadError::Unsupported {
                path: json.path.clone(),
                what: "position_embedding_type",
                found: other.to_owned(),
                known: &["absolute"],
            }),
        }
    }
}

fn layer_norm_eps(json: &Json) -> Result<f32, LoadError> {
    match json.value.get("layer_norm_eps") {
        None => Ok(1e-12),
        Some(value) => value
            .as_f64()
            .map(|eps| eps as f32)
            .filter(|eps| eps.is_finite() && *eps >= 0.0)
            .ok_or_else(|| {
                json.complain("layer_norm_eps", &format!("is {value}, not a small number"))
            }),
    }
}

/// The words a family uses in `config.json` for the same things.
struct Keys {
    layers: &'static str,
    heads: &'static str,
    hidden: &'static str,
    inner: &'static str,
    activation: &'static str,
}

impl Keys {
    fn of(family: Family) -> Self {
        match family {
            Family::Bert | Family::Roberta | Family::MpNet => Keys {
                layers: "num_hidden_layers",
                heads: "num_attention_heads",
                hidden: "hidden_size",
                inner: "intermediate_size",
                activation: "hidden_act",
            },
            Family::DistilBert => Keys {
                layers: "n_layers",
                heads: "n_heads",
                hidden: "dim",
                inner: "hidden_dim",
                activation: "activation",
            },
        }
    }
}

impl Distances {
    fn read(json: &Json) -> Result<Self, LoadError> {
        const FIELD: &str = "relative_attention_num_buckets";
        let classes = json.optional_size(FIELD)?.unwrap_or(32);
        // Half of them for each direction, and half of those for distances of their own.
        match classes >= 4 && classes.is_multiple_of(4) {
            true => Ok(Distances { classes }),
            false => Err(json.complain(FIELD, &format!("is {classes}, not a multiple of four"))),
        }
    }
}

/// More labels than a classifier of texts has; a number in a file must not ask for all memory.
const MOST_LABELS: usize = 1 << 20;

impl Head {
    /// None for models whose architecture does not say that it classifies sequences.
    fn read(json: &Json) -> Result<Option<Self>, LoadError> {
        let architectures = json.value.get("architectures").and_then(Value::as_array);
        let mut names = architectures
            .into_iter()
            .flatten()
            .filter_map(Value::as_str);
        if !names.any(|name| name.ends_with("ForSequenceClassification")) {
            return Ok(None);
        }
        let named = json.value.get("id2label").and_then(Value::as_object);
        let count = match named {
            Some(labels) if !labels.is_empty() => labels.len(),
            _ => json.optional_size("num_labels")?.unwrap_or(2),
        };
        if count > MOST_LABELS {
            return Err(json.complain("num_labels", &format!("is {count}")));
        }
        let label = |index: usize| {
            let own = named.and_then(|labels| labels.get(&index.to_string())?.as_str());
            own.map_or_else(|| format!("LABEL_{index}"), str::to_owned)
        };
        Ok(Some(Head {
            labels: (0..count).map(label).collect(),
        }))
    }
}

impl Activation {
    fn read(json: &Json, field: &str) -> Result<Self, LoadError> {
        match json.text(field)? {
            "gelu" => Ok(Activation::Gelu),
            "relu" => Ok(Activation::Relu),
            other => Err(LoadError::Unsupported {
                path: json.path.clone(),
                what: "activation",
                found: other.to_owned(),
                known: &["gelu", "relu"],
            }),
        }
    }
}

impl Pooling {
    pub(super) fn read(json: &Json) -> Result<Self, LoadError> {
        let chosen = match json.value.get("pooling_mode") {
            Some(Value::Array(names)) => names.iter().map(plain).collect(),
            Some(name) => vec![plain(name)],
            None => flagged(json),
        };
        match chosen[..] {
            ["mean"] => Ok(Pooling::Mean),
            ["cls"] => Ok(Pooling::Cls),
            ["max"] => Ok(Pooling::Max),
            _ => Err(LoadError::Unsupported {
                path: json.path.clone(),
                what: "pooling",
                found: chosen.join(" and "),
                known: POOLINGS,
            }),
        }
    }
}

/// A name by itself; what is none is named by no pooling.
fn plain(name: &Value) -> &str {
    name.as_str().unwrap_or("(no name)")
}

/// Before version 6 of sentence-transformers each pooling was a flag.
fn flagged(json: &Json) -> Vec<&str> {
    let flags = json.value.as_object().into_iter().flatten();
    flags
        .filter(|(_, value)| value.as_bool() == Some(true))
        .filter_map(|(key, _)| key.strip_prefix("pooling_mode_"))
        .map(|name| name.trim_end_matches("_tokens").trim_end_matches("_token"))
        .collect()
}
