//! API keys: read once, compared without telling how much of a guess was right.

use std::fmt;

use subtle::{Choice, ConstantTimeEq};

use super::SettingsError;

/// Keys of which any one opens the door. None: the door is open.
#[derive(Clone, Default)]
pub struct Keys(Vec<Vec<u8>>);

impl Keys {
    /// One key a line; blank lines and lines that begin with `#` are skipped.
    pub(super) fn read(setting: &str, path: &str) -> Result<Self, SettingsError> {
        if path.is_empty() {
            return Ok(Keys::default());
        }
        let text = std::fs::read_to_string(path).map_err(|e| {
            let problem = format!("{path} cannot be read: {e}");
            SettingsError::new(setting, problem, "give a readable file with one key a line")
        })?;
        let lines = text
            .lines()
            .map(str::trim)
            .filter(|l| !l.is_empty() && !l.starts_with('#'));
        let keys: Vec<_> = lines.map(|line| line.as_bytes().to_vec()).collect();
        if keys.is_empty() {
            // An empty file must not leave the door open.
            let problem = format!("{path} holds no key");
            return Err(SettingsError::new(
                setting,
                problem,
                "write one key a line into it",
            ));
        }
        Ok(Keys(keys))
    }

    #[must_use]
    pub fn required(&self) -> bool {
        !self.0.is_empty()
    }

    /// Whether `offered` is one of the keys. Looks at all of them, whatever the answer.
    #[must_use]
    pub fn admit(&self, offered: &[u8]) -> bool {
        self.0
            .iter()
            .fold(Choice::from(0), |found, key| found | key.ct_eq(offered))
            .into()
    }
}

/// How many, never which.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keys", self.0.len())
    }
}
