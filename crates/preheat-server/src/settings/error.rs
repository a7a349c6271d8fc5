//! A configuration that cannot be.

/// A configuration that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct SettingsError {
    pub key: String,
    pub problem: String,
    pub remedy: String,
}

impl SettingsError {
    pub(super) fn new(key: &str, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        SettingsError {
            key: key.into(),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }
}
