//! Which pages of other sites may call the front doors, and what their browsers are told about it.

use std::time::Duration;

use http::{HeaderValue, Uri};
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, Any, CorsLayer};

/// How long a browser may keep an answer to its question, instead of asking before every request.
const KEEP: Duration = Duration::from_secs(600);

/// What names all origins.
const EVERY: &str = "*";

/// Origins that browsers may call from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Origins {
    #[default]
    None,
    Every,
    These(Vec<HeaderValue>),
}

/// What stands where an origin should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadOrigin {
    #[error("`{0}` is not an origin, as browsers send it")]
    NotOne(String),
    #[error("`*` stands beside other origins")]
    EveryAndMore,
}

impl BadOrigin {
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            BadOrigin::NotOne(_) => {
                "write it like https://app.example.com or http://localhost:3000, without a path; \"*\" is every origin"
            }
            BadOrigin::EveryAndMore => "give \"*\" alone, or the origins without it",
        }
    }
}

impl Origins {
    /// # Errors
    /// What no browser would ever send, and what says two things at once.
    pub fn read(origins: &[String]) -> Result<Self, BadOrigin> {
        match origins {
            [] => Ok(Origins::None),
            [only] if only == EVERY => Ok(Origins::Every),
            several if several.iter().any(|origin| origin == EVERY) => Err(BadOrigin::EveryAndMore),
            several => several
                .iter()
                .map(|origin| header(origin).ok_or_else(|| BadOrigin::NotOne(origin.clone())))
                .collect::<Result<_, _>>()
                .map(Origins::These),
        }
    }

    /// Answers browsers that ask first, and names the origin in every other answer. Headers and
    /// methods are whatever is asked for: clients in browsers send headers of their own making, and
    /// the routes, with their keys, decide what to take.
    #[must_use]
    pub fn layer(&self) -> Option<CorsLayer> {
        let origin = match self {
            Origins::None => return None,
            Origins::Every => AllowOrigin::any(),
            Origins::These(origins) => AllowOrigin::list(origins.iter().cloned()),
        };
        Some(
            CorsLayer::new()
                .allow_origin(origin)
                .allow_methods(AllowMethods::mirror_request())
                .allow_headers(AllowHeaders::mirror_request())
                .expose_headers(Any)
                .max_age(KEEP),
        )
    }
}

/// Scheme, host and port in lower case, and nothing else.
fn header(origin: &str) -> Option<HeaderValue> {
    let uri: Uri = origin.parse().ok()?;
    let whole = format!("{}://{}", uri.scheme_str()?, uri.authority()?);
    let plain = whole == origin
        && !origin.contains(|c: char| matches!(c, '@' | '*') || c.is_ascii_uppercase());
    plain.then(|| origin.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_what_browsers_send() {
        let read = |origins: &[&str]| {
            let origins: Vec<String> = origins.iter().map(|&o| o.to_owned()).collect();
            Origins::read(&origins)
        };
        for fine in [
            "https://app.example.com",
            "http://localhost:3000",
            "http://[::1]:3000",
            "app://localhost",
        ] {
            assert!(matches!(read(&[fine]), Ok(Origins::These(_))), "{fine}");
        }
        for bad in [
            "",
            "app.example.com",
            "https://app.example.com/",
            "https://app.example.com/page",
            "https://App.example.com",
            "https://me@app.example.com",
            "https://app.example.com\nx: y",
            "https://*.example.com",
            "/page",
        ] {
            let error = read(&["https://app.example.com", bad]);
            assert_eq!(error, Err(BadOrigin::NotOne(bad.to_owned())));
        }
        assert_eq!(read(&[]), Ok(Origins::None));
        assert_eq!(read(&["*"]), Ok(Origins::Every));
        let both = read(&["https://app.example.com", "*"]);
        assert_eq!(both, Err(BadOrigin::EveryAndMore));
    }
}
