//! API keys, compared without telling how much of a guess was right.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use http::{HeaderMap, HeaderValue, header};
use subtle::{Choice, ConstantTimeEq};

use crate::file;
use crate::reload::{Look, Reload, Unusable};

const API_KEY: &str = "x-api-key";

/// Of a file with keys: some ten thousand.
const LIMIT_MB: u64 = 1;

/// Keys of which any one opens the door. None: the door is open, for good. Clones share them.
#[derive(Clone, Default)]
pub struct Keys(Option<Arc<File>>);

/// A file with keys, and those that were last read from it.
struct File {
    path: PathBuf,
    first: Look,
    keys: RwLock<Vec<Vec<u8>>>,
}

#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    #[error("{path} cannot be read: {source}")]
    Unreadable {
        path: String,
        source: std::io::Error,
    },
    #[error("{path} holds no key")]
    Empty { path: String },
}

impl KeysError {
    /// What to do next.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            KeysError::Unreadable { .. } => "give a readable file with one key a line",
            KeysError::Empty { .. } => "write one key a line into it",
        }
    }
}

/// How a caller stands to a door with keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admitted {
    Yes,
    NoKey,
    WrongKey,
}

impl Keys {
    /// One key a line; blank lines and lines that begin with `#` are skipped. No path, no keys.
    ///
    /// # Errors
    /// A file without a key is one: it must not leave the door open.
    pub fn read(path: &str) -> Result<Self, KeysError> {
        if path.is_empty() {
            return Ok(Keys::default());
        }
        let path = PathBuf::from(path);
        let first = Look::at([path.clone()]);
        let keys = RwLock::new(keys_in(&path)?);
        Ok(Keys(Some(Arc::new(File { path, first, keys }))))
    }

    #[must_use]
    pub fn required(&self) -> bool {
        self.0.is_some()
    }

    /// For who follows the file, where there is one.
    #[must_use]
    pub fn reload(&self) -> Option<Arc<dyn Reload>> {
        Some(Arc::clone(self.0.as_ref()?) as Arc<dyn Reload>)
    }

    /// Whether `offered` is one of the keys. Looks at all of them, whatever the answer.
    #[must_use]
    pub fn admit(&self, offered: &[u8]) -> bool {
        let Some(file) = &self.0 else { return false };
        let keys = file.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.iter()
            .fold(Choice::from(0), |found, key| found | key.ct_eq(offered))
            .into()
    }

    /// Takes our keys out of a request that goes on to somebody else's server; what is no key of
    /// ours may be meant for it.
    pub fn withhold(&self, headers: &mut HeaderMap) {
        if bearer(headers).is_some_and(|key| self.admit(key)) {
            headers.remove(header::AUTHORIZATION);
        }
        let key = headers.get(API_KEY).map(HeaderValue::as_bytes);
        if key.is_some_and(|key| self.admit(key)) {
            headers.remove(API_KEY);
        }
    }

    /// Whether a request shows one of the keys, where keys are required.
    #[must_use]
    pub fn check(&self, headers: &HeaderMap) -> Admitted {
        if !self.required() {
            return Admitted::Yes;
        }
        match (self.admitted(headers), offered(headers).next()) {
            (Some(_), _) => Admitted::Yes,
            (None, Some(_)) => Admitted::WrongKey,
            (None, None) => Admitted::NoKey,
        }
    }

    /// The one of our keys that a request shows, where it shows one.
    #[must_use]
    pub fn admitted<'h>(&self, headers: &'h HeaderMap) -> Option<&'h [u8]> {
        offered(headers).find(|key| self.admit(key))
    }
}

impl Reload for File {
    fn first(&self) -> &Look {
        &self.first
    }

    fn reload(&self) -> Result<(), Unusable> {
        let keys = keys_in(&self.path)?;
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }
}

fn keys_in(path: &Path) -> Result<Vec<Vec<u8>>, KeysError> {
    let name = || path.display().to_string();
    let text = file::read_text(path, LIMIT_MB).map_err(|source| KeysError::Unreadable {
        path: name(),
        source,
    })?;
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty() && !l.starts_with('#'));
    let keys: Vec<_> = lines.map(|line| line.as_bytes().to_vec()).collect();
    match keys.is_empty() {
        true => Err(KeysError::Empty { path: name() }),
        false => Ok(keys),
    }
}

/// `authorization: Bearer …` and `x-api-key: …`: what is for somebody in front of us in one of them does
/// not spoil the other.
fn offered(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let key = headers.get(API_KEY).map(HeaderValue::as_bytes);
    bearer(headers).into_iter().chain(key)
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, key) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(key)
}

/// How many, never which.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.0.as_ref().map(|file| &file.keys);
        let count = keys.map(|keys| keys.read().unwrap_or_else(PoisonError::into_inner).len());
        write!(f, "{} keys", count.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> Keys {
        let path = PathBuf::from("keys");
        let first = Look::at([]);
        let keys = RwLock::new(vec![b"ours".to_vec()]);
        Keys(Some(Arc::new(File { path, first, keys })))
    }

    /// A file that is empty for a moment, or that cannot be read, opens no door and closes none.
    #[test]
    fn keys_are_exchanged_only_for_keys() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        std::fs::write(&path, "old\n").unwrap();
        let keys = Keys::read(path.to_str().unwrap()).unwrap();
        let (clone, file) = (keys.clone(), keys.reload().unwrap());
        for (text, works, fits) in [("new\n", true, "new"), ("# none\n", false, "new")] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(file.reload().is_ok(), works, "{text}");
            assert!(clone.admit(fits.as_bytes()) && !clone.admit(b"old"));
        }
        std::fs::remove_file(&path).unwrap();
        assert!(file.reload().is_err() && keys.required() && keys.admit(b"new"));
    }

    #[test]
    fn one_right_key_is_enough() {
        let keys = ours();
        for (bearer, key, admitted) in [
            (None, None, Admitted::NoKey),
            (Some("Bearer ours"), None, Admitted::Yes),
            (Some("Bearer theirs"), Some("ours"), Admitted::Yes),
            (Some("Bearer ours"), Some("theirs"), Admitted::Yes),
            (Some("Basic x"), Some("ours"), Admitted::Yes),
            (Some("Basic x"), None, Admitted::NoKey),
            (Some("Bearer theirs"), Some("theirs"), Admitted::WrongKey),
        ] {
            let mut headers = HeaderMap::new();
            let shown = [("authorization", bearer), ("x-api-key", key)];
            for (name, value) in shown.into_iter().filter_map(|(n, v)| Some((n, v?))) {
                headers.insert(name, value.parse().unwrap());
            }
            assert_eq!(keys.check(&headers), admitted, "{headers:?}");
        }
    }

    #[test]
    fn our_keys_stay_here_and_others_go_on() {
        let keys = ours();
        for (name, value, goes_on) in [
            ("authorization", "Bearer ours", false),
            ("authorization", "bearer ours", false),
            ("authorization", "Bearer theirs", true),
            ("authorization", "Basic ours", true),
            ("x-api-key", "ours", false),
            ("x-api-key", "theirs", true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            keys.withhold(&mut headers);
            assert_eq!(headers.contains_key(name), goes_on, "{name}: {value}");
        }
    }
}
