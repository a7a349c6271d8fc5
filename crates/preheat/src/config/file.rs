//! The configuration file in one of its three syntaxes.

use std::path::Path;

use preheat_runtime::file;
use serde_json::Value;

use super::ConfigError;

/// In megabytes. Larger ones are something else; many warm-up texts belong into a file of their own.
pub const LIMIT_MB: u64 = 4;

/// Reads a file by its extension; what has none is TOML.
pub fn read(path: &Path) -> Result<Value, ConfigError> {
    let shown = || path.display().to_string();
    let text = file::read_text(path, LIMIT_MB).map_err(|source| ConfigError::Read {
        path: shown(),
        source,
    })?;
    let syntax = |format, problem| ConfigError::Syntax {
        path: shown(),
        format,
        problem,
    };
    match path.extension().and_then(|e| e.to_str()) {
        Some("json") => serde_json::from_str(&text).map_err(|e| syntax("JSON", e.to_string())),
        Some("yaml" | "yml") => {
            serde_yaml_ng::from_str(&text).map_err(|e| syntax("YAML", e.to_string()))
        }
        _ => toml::from_str(&text).map_err(|e| syntax("TOML", e.to_string().trim().to_owned())),
    }
}
