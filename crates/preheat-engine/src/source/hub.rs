//! Models of the Hugging Face hub and of mirrors that speak its protocol: one question for the
//! commit and its files, then one download for each file that a model needs.

use serde_json::Value;
use url::Url;

use super::cache::Staging;
use super::error::FetchError;
use super::http::Client;
use super::reference::is_private;
use super::transfer::{self, Remote, Wanted};
use super::{Fetch, HubRepo, files};

pub(super) const DEFAULT_BRANCH: &str = "main";

pub(super) async fn download(
    repo: &HubRepo,
    fetch: &Fetch<'_>,
    staging: &mut Staging,
) -> Result<String, FetchError> {
    let client = Client::new(fetch.options, fetch.options.hf_token.clone())?;
    let hub = Hub {
        endpoint: &fetch.options.hf_endpoint,
        repo: &repo.repo,
    };
    let branch = repo.revision.as_deref().unwrap_or(DEFAULT_BRANCH);
    let url = hub.info_url(branch)?;
    let listing = Listing::parse(&client.json(&url).await?).ok_or_else(|| FetchError::Answer {
        url: url.to_string(),
        reason: "no listing of a model's files",
    })?;
    let source = format!("hf:{}@{}", repo.repo, listing.commit);
    let names = listing.choose(&source, repo.file.as_deref())?;
    for name in &names {
        let listed = listing.file(name);
        let wanted = Wanted {
            name,
            bytes: listed.and_then(|file| file.bytes),
            sha256: fetch
                .pin(name)
                .or(listed.and_then(|file| file.sha256.as_deref())),
        };
        let remote = Remote::Http(&client, hub.file_url(&listing.commit, name)?);
        let facts = transfer::download(&remote, &wanted, fetch, staging).await?;
        staging.add(facts);
    }
    Ok(source)
}

struct Hub<'a> {
    endpoint: &'a str,
    repo: &'a str,
}

impl Hub<'_> {
    fn info_url(&self, revision: &str) -> Result<Url, FetchError> {
        // A branch may contain slashes; in this place they would be parts of the path.
        let revision = revision.replace('/', "%2F");
        self.url(&format!(
            "api/models/{}/revision/{revision}?blobs=true",
            self.repo
        ))
    }

    fn file_url(&self, commit: &str, name: &str) -> Result<Url, FetchError> {
        self.url(&format!("{}/resolve/{commit}/{name}", self.repo))
    }

    fn url(&self, path: &str) -> Result<Url, FetchError> {
        let endpoint = self.endpoint.trim_end_matches('/');
        let unusable = |reason| FetchError::Endpoint {
            endpoint: endpoint.to_owned(),
            reason,
        };
        let url =
            Url::parse(&format!("{endpoint}/{path}")).map_err(|_| unusable("it is not a URL"))?;
        if is_private(&url) {
            Ok(url)
        } else {
            Err(unusable("it is not encrypted"))
        }
    }
}

/// A commit and what is in it.
struct Listing {
    commit: String,
    files: Vec<Listed>,
}

struct Listed {
    name: String,
    bytes: Option<u64>,
    /// Told for large files only.
    sha256: Option<String>,
}

impl Listing {
    fn parse(json: &Value) -> Option<Self> {
        let commit = json["sha"]
            .as_str()
            .filter(|sha| is_commit(sha))?
            .to_owned();
        let files = json["siblings"].as_array()?.iter().filter_map(|file| {
            let name = file["rfilename"].as_str()?;
            // They become paths here.
            let is_inside = name.split('/').all(|part| !matches!(part, "" | "." | ".."));
            is_inside.then_some(())?;
            Some(Listed {
                name: name.to_owned(),
                bytes: file["size"].as_u64(),
                sha256: file["lfs"]["sha256"].as_str().map(str::to_owned),
            })
        });
        Some(Listing {
            commit,
            files: files.collect(),
        })
    }

    /// What the model consists of; `onnx`: how the path of the ONNX file ends that is wanted instead of
    /// other weights.
    fn choose(&self, source: &str, onnx: Option<&str>) -> Result<Vec<String>, FetchError> {
        let names: Vec<&str> = self.files.iter().map(|file| &file.name[..]).collect();
        let Some(end) = onnx else {
            return files::select(source, &names);
        };
        let file = files::onnx(source, &names, Some(end))?.unwrap_or_default();
        Ok(files::of_onnx(&file, &names))
    }

    fn file(&self, name: &str) -> Option<&Listed> {
        self.files.iter().find(|file| file.name == name)
    }
}

/// It becomes a part of paths and URLs.
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
