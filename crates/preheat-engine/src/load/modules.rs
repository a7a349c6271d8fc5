//! The files of sentence-transformers: how token vectors become one, whether that is brought to length
//! one, and what stands in front of texts.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use serde_json::Value;

use super::LoadError;
use super::config::Pooling;
use super::files::{Json, optional};
use crate::file::CONFIG_MB;
use crate::tokenizer::Prompts;

const MODULES: &[&str] = &["Transformer", "Pooling", "Normalize"];

/// What becomes of a text and of its tokens' vectors.
#[derive(Debug, Clone)]
pub(super) struct Modules {
    pub(super) pooling: Pooling,
    pub(super) normalize: bool,
    pub(super) prompts: Prompts,
    /// Whether the tokens of a prompt count among those of the text.
    pools_prompts: bool,
}

impl Modules {
    /// They look at the first token, and know nothing of prompts.
    pub(super) fn of_classifiers() -> Self {
        Modules {
            pooling: Pooling::Cls,
            ..Modules::plain()
        }
    }

    fn plain() -> Self {
        Modules {
            pooling: Pooling::Mean,
            normalize: false,
            prompts: Prompts::default(),
            pools_prompts: true,
        }
    }

    /// Without `modules.json` the model is a plain encoder: mean pooling, not normalised.
    pub(super) fn read(dir: &Path) -> Result<Self, LoadError> {
        let mut read = Modules::plain();
        let Some(modules) = optional(dir, "modules.json")? else {
            return Ok(read);
        };
        let list = modules.value.as_array();
        for module in list.ok_or_else(|| modules.complain("", "is not a list"))? {
            read.add(dir, &modules, module)?;
        }
        if let Some(json) = optional(dir, "config_sentence_transformers.json")? {
            read.prompts = prompts(&json)?;
            read.check_prompts(&json)?;
        }
        Ok(read)
    }

    fn add(&mut self, dir: &Path, modules: &Json, module: &Value) -> Result<(), LoadError> {
        let text = |field| module.get(field).and_then(Value::as_str);
        let kind = text("type").ok_or_else(|| modules.complain("type", "is missing"))?;
        match kind.rsplit('.').next().unwrap_or(kind) {
            "Transformer" => {}
            "Pooling" => {
                let path = text("path").filter(|path| is_inside(path));
                let path = path.ok_or_else(|| {
                    modules.complain("path", "of the pooling module is not a folder of the model")
                })?;
                let json = Json::read(&dir.join(path).join("config.json"), CONFIG_MB)?;
                self.pooling = Pooling::read(&json)?;
                self.pools_prompts = json.value.get("include_prompt") != Some(&Value::Bool(false));
            }
            "Normalize" => self.normalize = true,
            other => {
                return Err(LoadError::Unsupported {
                    path: modules.path.clone(),
                    what: "module type",
                    found: other.to_owned(),
                    known: MODULES,
                });
            }
        }
        Ok(())
    }

    /// Vectors that count the prompt would look like those that leave it out.
    fn check_prompts(&self, json: &Json) -> Result<(), LoadError> {
        match self.pools_prompts || self.prompts.is_silent() {
            true => Ok(()),
            false => Err(LoadError::Prompt {
                path: json.path.clone(),
            }),
        }
    }
}

fn prompts(json: &Json) -> Result<Prompts, LoadError> {
    let named = match json.value.get("prompts") {
        None | Some(Value::Null) => BTreeMap::new(),
        Some(Value::Object(prompts)) => prompts
            .iter()
            .map(|(name, prompt)| match prompt {
                Value::String(prompt) => Ok((name.clone(), prompt.clone())),
                Value::Null => Ok((name.clone(), String::new())),
                other => Err(json.complain(name, &format!("is {other}, not a prompt"))),
            })
            .collect::<Result<_, _>>()?,
        Some(_) => return Err(json.complain("prompts", "is not a list of named prompts")),
    };
    let default = json.value.get("default_prompt_name");
    let default = default.and_then(Value::as_str).map(str::to_owned);
    Prompts::new(named, default)
        .ok_or_else(|| json.complain("default_prompt_name", "is not among the prompts"))
}

fn is_inside(path: &str) -> bool {
    Path::new(path)
        .components()
        .all(|part| matches!(part, Component::Normal(_)))
}
