//! What a model wants in front of texts, by name: `query: ` before what is looked for, `passage: `
//! before what is found. Whoever prepares texts puts it there; the tokenizer only keeps it.

use std::collections::BTreeMap;

/// The prompts of one model; most have none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prompts {
    named: BTreeMap<String, String>,
    /// The name of the one that is there where nobody names one.
    default: Option<String>,
}

/// A prompt that the model does not have. The client's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "prompt_name '{name}' is not among the model's prompts: {}",
    listed(known)
)]
pub struct UnknownPrompt {
    name: String,
    known: Vec<String>,
}

fn listed(known: &[String]) -> String {
    match known {
        [] => "it has none".to_owned(),
        known => known.join(", "),
    }
}

impl Prompts {
    /// None where the default is not among them.
    pub(crate) fn new(named: BTreeMap<String, String>, default: Option<String>) -> Option<Self> {
        let known = default.as_ref().is_none_or(|name| named.contains_key(name));
        known.then_some(Prompts { named, default })
    }

    /// Whether none of them adds anything.
    pub(crate) fn is_silent(&self) -> bool {
        self.named.values().all(String::is_empty)
    }

    /// The default one, by its name.
    #[must_use]
    pub fn default_name(&self) -> Option<&str> {
        self.default.as_deref()
    }

    /// What is in front of every text for which nobody names a prompt; may be nothing.
    #[must_use]
    pub fn usual(&self) -> &str {
        let named = self.default.as_ref().and_then(|name| self.named.get(name));
        named.map_or("", String::as_str)
    }

    /// What goes in front of a text: the prompt of that name, else the default one.
    ///
    /// # Errors
    /// When the model has no prompt of that name.
    pub fn find(&self, name: Option<&str>) -> Result<&str, UnknownPrompt> {
        let Some(name) = name else {
            return Ok(self.usual());
        };
        let found = self.named.get(name);
        found.map(String::as_str).ok_or_else(|| UnknownPrompt {
            name: name.to_owned(),
            known: self.named.keys().cloned().collect(),
        })
    }
}
