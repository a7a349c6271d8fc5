//! Models and files behind https: one archive, or a directory with files of known names.
//!
//! Also the client that the hub uses. Encrypted, or on this machine: a redirect does not lead out
//! of that either.

use reqwest::header::{CONTENT_RANGE, ETAG, HeaderMap, IF_RANGE, RANGE};
use reqwest::{Response, StatusCode, redirect};
use serde_json::Value;
use url::Url;

use super::cache::Staging;
use super::error::FetchError;
use super::reference::{display, is_private};
use super::transfer::{Answer, Body, Kept, Remote};
use super::{Fetch, FetchOptions, archive, directory};

const MAX_REDIRECTS: usize = 10;
const MAX_JSON: usize = 8 << 20;

/// Fetches what a URL of the user names.
pub(super) async fn download(
    url: &Url,
    fetch: &Fetch<'_>,
    staging: &mut Staging,
) -> Result<String, FetchError> {
    let client = Client::new(fetch.options, None)?;
    let place = display(url);
    match archive::Kind::of(url.path()) {
        Some(kind) => {
            let remote = Remote::Http(&client, url.clone());
            archive::download(&remote, kind, fetch, staging).await?;
        }
        None => {
            let remote = |name: &str| {
                let mut file = url.clone();
                file.set_path(&format!("{}{name}", url.path()));
                Remote::Http(&client, file)
            };
            directory::download(&place, remote, fetch, staging).await?;
        }
    }
    Ok(place)
}

pub(super) struct Client {
    http: reqwest::Client,
    /// Goes to the host of the request only: redirects to another lose it.
    token: Option<String>,
}

impl Client {
    pub(super) fn new(options: &FetchOptions, token: Option<String>) -> Result<Self, FetchError> {
        install_tls();
        let policy = redirect::Policy::custom(|attempt| {
            if attempt.previous().len() > MAX_REDIRECTS {
                attempt.error("too many redirects")
            } else if !is_private(attempt.url()) {
                attempt.error("redirected to a host without encryption")
            } else {
                attempt.follow()
            }
        });
        let http = reqwest::Client::builder()
            .user_agent(concat!("preheat/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(options.connect_timeout)
            .read_timeout(options.read_timeout)
            .redirect(policy)
            .build()
            .map_err(|error| FetchError::Client {
                source: error.into(),
            })?;
        Ok(Client { http, token })
    }

    /// Asks for a file, from where an earlier attempt ended if the file is still the same.
    pub(super) async fn open(&self, url: &Url, kept: Option<&Kept>) -> Result<Answer, FetchError> {
        let response = self.send(url, kept).await?;
        let total = response.content_length();
        let etag = strong_etag(response.headers());
        match (response.status(), kept) {
            (StatusCode::OK, _) => Ok(Answer {
                start: 0,
                total,
                etag,
                body: Body::Http(response),
            }),
            // Told to give what is left of that very file, some servers give that of another.
            (StatusCode::PARTIAL_CONTENT, Some(kept)) if etag.as_ref() != Some(&kept.etag) => {
                Box::pin(self.open(url, None)).await
            }
            (StatusCode::PARTIAL_CONTENT, Some(kept)) => {
                let total = content_range(response.headers())
                    .filter(|(start, _)| *start == Some(kept.bytes))
                    .map(|(_, total)| total)
                    .ok_or_else(|| answer(url, "another range"))?;
                Ok(Answer {
                    start: kept.bytes,
                    total,
                    etag,
                    body: Body::Http(response),
                })
            }
            (StatusCode::RANGE_NOT_SATISFIABLE, Some(kept)) => {
                match content_range(response.headers()) {
                    Some((_, Some(total))) if total == kept.bytes => Ok(Answer {
                        start: total,
                        total: Some(total),
                        etag,
                        body: Body::Empty,
                    }),
                    // What is kept belongs to no file of this server: all over again.
                    _ => Box::pin(self.open(url, None)).await,
                }
            }
            (status, _) => Err(refusal(url, status)),
        }
    }

    pub(super) async fn json(&self, url: &Url) -> Result<Value, FetchError> {
        let mut response = self.send(url, None).await?;
        if !response.status().is_success() {
            return Err(refusal(url, response.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| failure(url, error))?
        {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_JSON {
                return Err(answer(url, "more than can be the description of a model"));
            }
        }
        serde_json::from_slice(&body).map_err(|_| answer(url, "no JSON"))
    }

    async fn send(&self, url: &Url, kept: Option<&Kept>) -> Result<Response, FetchError> {
        let mut request = self.http.get(url.clone());
        if let Some(Kept { bytes, etag }) = kept {
            request = request
                .header(IF_RANGE, etag)
                .header(RANGE, format!("bytes={bytes}-"));
        }
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        request.send().await.map_err(|error| failure(url, error))
    }
}

/// The TLS library asks for one provider per process; the first to install it wins, and all of
/// ours are the same.
pub(super) fn install_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn failure(url: &Url, error: reqwest::Error) -> FetchError {
    let error = error.without_url(); // it may be signed
    if error.is_redirect() {
        return answer(url, "a redirect that cannot be followed");
    }
    if error.is_connect() || error.is_timeout() {
        let host = url.host_str().unwrap_or_default().to_owned();
        return FetchError::Unreachable {
            host,
            source: error.into(),
        };
    }
    FetchError::Interrupted {
        file: display(url),
        done: 0,
        source: error.into(),
    }
}

fn refusal(url: &Url, status: StatusCode) -> FetchError {
    let (url, status) = (display(url), status.as_u16());
    match status {
        401 | 403 => FetchError::Refused { url, status },
        404 | 410 => FetchError::NotFound { what: url },
        _ => FetchError::Status { url, status },
    }
}

fn answer(url: &Url, reason: &'static str) -> FetchError {
    FetchError::Answer {
        url: display(url),
        reason,
    }
}

fn strong_etag(headers: &HeaderMap) -> Option<String> {
    let etag = headers.get(ETAG)?.to_str().ok()?;
    etag.starts_with('"').then(|| etag.to_owned())
}

/// `bytes 5-9/10` or `bytes */10`: the start and the total, as far as they are told.
fn content_range(headers: &HeaderMap) -> Option<(Option<u64>, Option<u64>)> {
    let (range, total) = headers
        .get(CONTENT_RANGE)?
        .to_str()
        .ok()?
        .strip_prefix("bytes ")?
        .split_once('/')?;
    let start = range.split('-').next()?.parse().ok();
    Some((start, total.parse().ok()))
}
