//! Models in object stores: `s3://` and `gs://`, and whatever speaks their protocols.
//!
//! Credentials and endpoints come in through the options, by the names the stores' own tools use.

use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::{
    ClientOptions, GetOptions, GetRange, ObjectStore, ObjectStoreExt as _, RetryConfig,
};
use url::Url;

use super::cache::Staging;
use super::error::FetchError;
use super::reference::display;
use super::transfer::{Answer, Body, Kept, Remote};
use super::{Fetch, FetchOptions, archive, directory, http};

pub(super) async fn download(
    url: &Url,
    fetch: &Fetch<'_>,
    staging: &mut Staging,
) -> Result<String, FetchError> {
    let place = display(url);
    let bucket = Bucket::open_store(url, fetch.options)?;
    let prefix = Path::from_url_path(url.path()).map_err(|error| bucket.error(error.into()))?;
    match archive::Kind::of(url.path()) {
        Some(kind) => {
            archive::download(&Remote::Bucket(&bucket, prefix), kind, fetch, staging).await?;
        }
        None => {
            let remote = |name: &str| {
                let path = prefix.parts().chain(Path::from(name).parts()).collect();
                Remote::Bucket(&bucket, path)
            };
            directory::download(&place, remote, fetch, staging).await?;
        }
    }
    Ok(place)
}

pub(super) struct Bucket {
    store: Box<dyn ObjectStore>,
    /// For messages.
    place: String,
}

impl Bucket {
    fn open_store(url: &Url, options: &FetchOptions) -> Result<Self, FetchError> {
        http::install_tls();
        let client = ClientOptions::new()
            .with_connect_timeout(options.connect_timeout)
            .with_read_timeout(options.read_timeout)
            .with_timeout_disabled(); // of a whole transfer: weights take what they take
        let retry = RetryConfig {
            max_retries: 3,
            retry_timeout: Duration::from_secs(30),
            ..RetryConfig::default()
        };
        let settings = &options.bucket_options;
        let store = if url.scheme() == "s3" {
            s3(url, settings, client, retry)
        } else {
            gs(url, settings, client, retry)
        };
        let place = display(url);
        match store {
            Ok(store) => Ok(Bucket { store, place }),
            Err(error) => Err(FetchError::Bucket {
                what: place,
                source: error.into(),
            }),
        }
    }

    /// Asks for an object, from where an earlier attempt ended if it is still the same.
    pub(super) async fn open(
        &self,
        path: &Path,
        kept: Option<&Kept>,
    ) -> Result<Answer, FetchError> {
        let mut options = GetOptions::default();
        if let Some(kept) = kept {
            let head = self
                .store
                .head(path)
                .await
                .map_err(|error| self.error(error))?;
            if head.e_tag.as_ref() != Some(&kept.etag) || head.size < kept.bytes {
                return Box::pin(self.open(path, None)).await;
            }
            if head.size == kept.bytes {
                let (start, total) = (head.size, Some(head.size));
                return Ok(Answer {
                    start,
                    total,
                    etag: head.e_tag,
                    body: Body::Empty,
                });
            }
            options.range = Some(GetRange::Offset(kept.bytes));
            options.if_match = Some(kept.etag.clone());
        }
        let result = match self.store.get_opts(path, options).await {
            // Replaced since the question above.
            Err(object_store::Error::Precondition { .. }) if kept.is_some() => {
                return Box::pin(self.open(path, None)).await;
            }
            other => other.map_err(|error| self.error(error))?,
        };
        Ok(Answer {
            start: result.range.start,
            total: Some(result.meta.size),
            etag: result.meta.e_tag.clone(),
            body: Body::Bucket(result.into_stream()),
        })
    }

    fn error(&self, error: object_store::Error) -> FetchError {
        use object_store::Error;
        match error {
            Error::NotFound { path, .. } => FetchError::NotFound {
                what: format!("{path} in {}", self.place),
            },
            Error::Unauthenticated { .. } => FetchError::Refused {
                url: self.place.clone(),
                status: 401,
            },
            Error::PermissionDenied { .. } => FetchError::Refused {
                url: self.place.clone(),
                status: 403,
            },
            other => FetchError::Bucket {
                what: self.place.clone(),
                source: other.into(),
            },
        }
    }
}

fn s3(
    url: &Url,
    settings: &[(String, String)],
    client: ClientOptions,
    retry: RetryConfig,
) -> object_store::Result<Box<dyn ObjectStore>> {
    let builder = AmazonS3Builder::new()
        .with_client_options(client)
        .with_retry(retry)
        .with_url(url.as_str());
    let builder = settings.iter().fold(builder, |builder, (key, value)| {
        match key.to_ascii_lowercase().parse() {
            Ok(key) => builder.with_config(key, value),
            Err(_) => builder, // meant for another store
        }
    });
    Ok(Box::new(builder.build()?))
}

fn gs(
    url: &Url,
    settings: &[(String, String)],
    client: ClientOptions,
    retry: RetryConfig,
) -> object_store::Result<Box<dyn ObjectStore>> {
    let builder = GoogleCloudStorageBuilder::new()
        .with_client_options(client)
        .with_retry(retry)
        .with_url(url.as_str());
    let builder = settings.iter().fold(builder, |builder, (key, value)| {
        match key.to_ascii_lowercase().parse() {
            Ok(key) => builder.with_config(key, value),
            Err(_) => builder,
        }
    });
    Ok(Box::new(builder.build()?))
}
