//! API keys: read once, compared without telling how much of a guess was right.

use std::fmt;
use std::path::Path;

use http::{HeaderMap, HeaderValue, header};
use subtle::{Choice, ConstantTimeEq};

use crate::file;

const API_KEY: &str = "x-api-key";

/// Of a file with keys: some ten thousand.
const LIMIT_MB: u64 = 1;

/// Keys of which any one opens the door. None: the door is open.
#[derive(Clone, Default)]
pub struct Keys(Vec<Vec<u8>>);

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
        let text =
            file::read_text(Path::new(path), LIMIT_MB).map_err(|source| KeysError::Unreadable {
                path: path.to_owned(),
                source,
            })?;
        let lines = text
            .lines()
            .map(str::trim)
            .filter(|l| !l.is_empty() && !l.starts_with('#'));
        let keys: Vec<_> = lines.map(|line| line.as_bytes().to_vec()).collect();
        if keys.is_empty() {
            let path = path.to_owned();
            return Err(KeysError::Empty { path });
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
        write!(f, "{} keys", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_right_key_is_enough() {
        let keys = Keys(vec![b"ours".to_vec()]);
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
        let keys = Keys(vec![b"ours".to_vec()]);
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
