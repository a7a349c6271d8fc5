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
    let mut found: Vec<String> = found.into_iter().map(str::to_owned).collect();
    if !found.iter().any(|name| files::is_weights(name)) {
        found.extend(elsewhere(&remote, &found, fetch, staging).await?);
    }
    if let Some(onnx) = found.iter().find(|name| files::stand_alone(name)) {
        let data = format!("{onnx}_data");
        fetch_one(&data, &remote, fetch, staging).await?;
    }
    let there: Vec<&str> = found.iter().map(String::as_str).collect();
    let selected = files::select(place, &there);
    selected
        .map(drop)
        .map_err(|not_a_model| missed.unwrap_or(not_a_model))
}

/// Weights in parts, where there is an index of them, or the ONNX file in its folder.
async fn elsewhere<'a>(
    remote: &impl Fn(&str) -> Remote<'a>,
    found: &[String],
    fetch: &Fetch<'_>,
    staging: &mut Staging,
) -> Result<Vec<String>, FetchError> {
    let has_config = found.iter().any(|name| name == files::CONFIG);
    let mut names = Vec::new();
    if has_config && fetch_one(files::INDEX, remote, fetch, staging).await? {
        names.push(files::INDEX.to_owned());
        let index = staging.part(files::INDEX)?;
        // One that cannot be read is the loader's to complain of.
        for part in crate::load::parts(&index).unwrap_or_default() {
            if files::is_part(&part) && fetch_one(&part, remote, fetch, staging).await? {
                names.push(part);
            }
        }
    } else if fetch_one(files::ONNX_IN_FOLDER, remote, fetch, staging).await? {
        names.push(files::ONNX_IN_FOLDER.to_owned());
    }
    Ok(names)
}

/// Whether it was there.
async fn fetch_one<'a>(
    name: &str,
    remote: &impl Fn(&str) -> Remote<'a>,
    fetch: &Fetch<'_>,
    staging: &mut Staging,
) -> Result<bool, FetchError> {
    let wanted = Wanted {
        name,
        bytes: None,
        sha256: fetch.pin(name),
    };
    match transfer::download(&remote(name), &wanted, fetch, staging).await {
        Ok(facts) => {
            staging.add(facts);
            Ok(true)
        }
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(error),
    }
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
