//! From what was written, in four places, to one configuration: flag over environment over file
//! over default. Every value remembers where it came from.

pub mod file;
mod flags;
pub mod tree;
pub mod words;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use preheat_api::Config;
use preheat_api::config::Model;
use preheat_api::settings::SETTINGS;
use serde_json::Value;

pub use flags::Flags;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Default,
    File(String),
    Environment(&'static str),
    Flag(&'static str),
    /// The model named as an argument.
    Argument,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File(path) => f.write_str(path),
            Origin::Environment(name) => write!(f, "${name}"),
            Origin::Flag(name) => write!(f, "--{name}"),
            Origin::Argument => f.write_str("argument"),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{path} cannot be read: {source}")]
    Read { path: String, source: io::Error },
    #[error("{path} is not valid {format}: {problem}")]
    Syntax {
        path: String,
        format: &'static str,
        problem: String,
    },
    /// An unknown key, or a value of the wrong kind.
    #[error("{origin}: {problem}")]
    Schema { origin: String, problem: String },
}

impl ConfigError {
    pub fn remedy(&self) -> &'static str {
        match self {
            ConfigError::Read { source, .. } if source.kind() == io::ErrorKind::FileTooLarge => {
                "check that it is the right file; texts for warm-up belong into one of their own, named by \
                 `file` of a case"
            }
            ConfigError::Read { .. } => "check its path",
            ConfigError::Syntax { .. } => "correct the file at the place named",
            ConfigError::Schema { .. } => "`preheat check` alone shows every key with its value",
        }
    }
}

/// The effective configuration, and where each of its values came from.
#[derive(Debug)]
pub struct Effective {
    pub config: Config,
    /// By dotted key; a key that is not here has its default.
    pub origins: BTreeMap<String, Origin>,
}

/// Reads all layers. `env` looks a variable up; only the binary's `main` has the real one.
pub fn resolve(
    file: Option<&Path>,
    model: Option<&str>,
    flags: &Flags,
    env: impl Fn(&str) -> Option<String>,
) -> Result<Effective, ConfigError> {
    let mut tree = Value::Object(serde_json::Map::new());
    let mut origins = BTreeMap::new();
    if let Some(path) = file {
        tree = file::read(path)?;
        let origin = Origin::File(path.display().to_string());
        // Read alone first, so that a fault is blamed on the file.
        parse(&tree, &origin)?;
        tree::leaves(&tree, |key| {
            origins.insert(key, origin.clone());
        });
    }
    for setting in SETTINGS {
        let layers = [
            env(setting.env)
                .filter(|v| !v.is_empty() && !is_service_link(setting.env, v))
                .map(|v| (Origin::Environment(setting.env), v)),
            flags
                .get(setting.flag)
                .map(|v| (Origin::Flag(setting.flag), v.to_owned())),
        ];
        for (origin, text) in layers.into_iter().flatten() {
            set(&mut tree, setting.key, &text, &origin)?;
            origins.insert(setting.key.to_owned(), origin);
        }
    }
    if let Some(model) = model {
        set(&mut tree, "model.0.source", model, &Origin::Argument)?;
        origins.insert("model.0.source".into(), Origin::Argument);
    }
    let mut config = parse(&tree, &Origin::Default)?;
    if config.model.is_empty() {
        config.model.push(Model::default());
    }
    Ok(Effective { config, origins })
}

/// Kubernetes tells each pod of each service in its namespace, in variables of that service's name: of one
/// called `preheat` it says `PREHEAT_PORT=tcp://10.0.0.1:8000`. That is nobody's setting.
fn is_service_link(name: &str, value: &str) -> bool {
    let protocols = ["tcp://", "udp://", "sctp://"];
    name.ends_with("_PORT") && protocols.iter().any(|p| value.starts_with(p))
}

/// Sets one key from text. What kind of value the text is follows from the key: it is the first
/// reading that the schema takes.
fn set(tree: &mut Value, key: &str, text: &str, origin: &Origin) -> Result<(), ConfigError> {
    let readings = [
        serde_json::from_str(text).ok(),
        Some(Value::String(text.to_owned())),
        switch(text).map(Value::Bool),
    ];
    let mut problem = None;
    for value in readings.into_iter().flatten() {
        let mut alone = Value::Object(serde_json::Map::new());
        tree::insert(&mut alone, key, value.clone());
        match parse(&alone, origin) {
            Ok(_) => {
                tree::insert(tree, key, value);
                return Ok(());
            }
            Err(error) => problem = Some(error),
        }
    }
    problem.map_or(Ok(()), Err)
}

/// The other words in which people switch things on and off in variables.
fn switch(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Some(true),
        "0" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

fn parse(tree: &Value, origin: &Origin) -> Result<Config, ConfigError> {
    serde_path_to_error::deserialize(tree).map_err(|error| {
        let path = error.path().to_string();
        let problem = words::for_users(&error.into_inner().to_string());
        let problem = if path == "." {
            problem
        } else {
            format!("{path}: {problem}")
        };
        ConfigError::Schema {
            origin: origin.to_string(),
            problem,
        }
    })
}

#[cfg(test)]
mod tests;
