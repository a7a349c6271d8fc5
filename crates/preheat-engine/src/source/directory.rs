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
    // Told where nothing makes a model: why the first file is not there that most of them need.
    let mut missed = None;
    for name in files::known() {
        if files::is_weights(name) && !may_be_of_use(name, &found) {
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
            Err(error) if is_absent(&error) => {
                // That one kind of weights is not there says nothing of the others.
                let is_telling = match &error {
                    FetchError::NotFound { .. } => !files::is_weights(name),
                    _ => true,
                };
                if is_telling && !files::is_optional(name) {
                    missed.get_or_insert(error);
                }
            }
            Err(error) => return Err(error),
        }
    }
    let selected = files::select(place, |name| found.contains(&name));
    selected
        .map(drop)
        .map_err(|not_a_model| missed.unwrap_or(not_a_model))
}

/// One kind of weights is enough, and without config.json only those are that say everything themselves.
fn may_be_of_use(weights: &str, found: &[&str]) -> bool {
    let has_weights = found.iter().any(|name| files::is_weights(name));
    !has_weights && (found.contains(&files::CONFIG) || files::stand_alone(weights))
}

/// A bucket that may be read but not listed says 403 for what is not there.
fn is_absent(error: &FetchError) -> bool {
    matches!(
        error,
        FetchError::NotFound { .. } | FetchError::Refused { status: 403, .. }
    )
}
