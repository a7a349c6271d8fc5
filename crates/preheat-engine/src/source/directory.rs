//! A model's files side by side where nothing can be listed, or must not be: every name that a model
//! may have is asked for. Reading permission is enough.

use super::cache::Staging;
use super::error::FetchError;
use super::transfer::{self, Remote, Wanted};
use super::{Fetch, files};

pub(super) async fn download<'a>(
    place: &str,
    remote: impl Fn(&str) -> Remote<'a>,
    fetch: &Fetch<'_>,
    staging: &mut Staging,
) -> Result<(), FetchError> {
    let mut found: Vec<&str> = Vec::new();
    for name in files::known() {
        if files::is_weights(name) && found.iter().any(|name| files::is_weights(name)) {
            continue;
        }
        let wanted = Wanted {
            name,
            bytes: None,
            sha256: fetch.pin(name),
        };
        match transfer::download(&remote(name), &wanted, fetch, staging).await {
            Ok(facts) => {
                found.push(name);
                staging.add(facts);
            }
            Err(error) if files::is_optional(name) && is_absent(&error) => {}
            // The other kind of weights may be there.
            Err(FetchError::NotFound { .. }) if files::is_weights(name) => {}
            Err(error) => return Err(error),
        }
    }
    files::select(place, |name| found.contains(&name)).map(drop)
}

/// A bucket that may be read but not listed says 403 for what is not there.
fn is_absent(error: &FetchError) -> bool {
    matches!(
        error,
        FetchError::NotFound { .. } | FetchError::Refused { status: 403, .. }
    )
}
