//! Object stores, against a server that speaks the part of their protocol that is used.

use std::sync::atomic::{AtomicUsize, Ordering};

use preheat_engine::source::{FetchError, FetchOptions};
use tempfile::tempdir;

use crate::model::{self, Files, WEIGHTS, assert_holds, get, under, zip};
use crate::server::{Reply, Request, Server, nowhere};

fn options(cache: &std::path::Path, endpoint: &str) -> FetchOptions {
    let settings = [
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "5ecret"),
        ("AWS_EXECUTION_ENV", "unknown settings are passed over"),
    ];
    let mut options = FetchOptions::new(cache);
    options.bucket_options = settings
        .map(|(key, value)| (key.into(), value.into()))
        .into();
    options
}

/// `bucket` with these files under `a/model/`, and one more object beside.
fn bucket(request: &Request, files: &Files) -> Reply {
    if request
        .header("authorization")
        .is_none_or(|a| !a.starts_with("AWS4-HMAC-SHA256"))
    {
        return Reply::status(403);
    }
    let name = request
        .path()
        .replace("%2F", "/")
        .replace("%2E", ".")
        .replace("%5F", "_");
    let name = name.strip_prefix("/bucket/a/model/").unwrap_or_default();
    match files.iter().find(|(known, _)| *known == name) {
        Some((_, bytes)) => Reply::file(request, bytes),
        None => Reply::status(404),
    }
}

#[tokio::test]
async fn a_prefix_is_fetched_and_continued_where_it_broke() {
    let cache = tempdir().unwrap();
    let mut files = model::files();
    files.push(("notes.txt", b"not a part of the model".to_vec()));
    let (served, asked) = (files.clone(), AtomicUsize::new(0));
    let server = Server::start(move |request| {
        let reply = bucket(request, &served);
        let is_weights = request.method == "GET" && request.path().ends_with(WEIGHTS);
        match is_weights.then(|| asked.fetch_add(1, Ordering::SeqCst)) {
            // The store's own client goes on after the first break, ours after it has given up.
            Some(0..=3) => Reply {
                cut: Some(500_000),
                ..reply
            },
            _ => reply,
        }
    });
    let options = options(cache.path(), &server.url(""));
    let fetched = get("s3://bucket/a/model", &options).await.unwrap();
    files.pop();
    assert_holds(&fetched, &files);
    assert_eq!(fetched.source, "s3://bucket/a/model");
    let total: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(
        fetched.bytes_fetched as usize <= total,
        "bytes were fetched twice"
    );
    drop(server);
    assert!(get("s3://bucket/a/model", &options).await.unwrap().cached);
}

#[tokio::test]
async fn an_archive_in_a_bucket_is_unpacked() {
    let cache = tempdir().unwrap();
    let files = model::files();
    let archive = vec![("m.zip", zip(under("m/", &files)))];
    let server = Server::start(move |request| bucket(request, &archive));
    let options = options(cache.path(), &server.url(""));
    let fetched = get("s3://bucket/a/model/m.zip", &options).await.unwrap();
    assert_holds(&fetched, &files);
}

#[tokio::test]
async fn weights_in_parts_are_fetched_by_their_index() {
    let (cache, files) = (tempdir().unwrap(), model::sharded());
    let served = files.clone();
    let server = Server::start(move |request| bucket(request, &served));
    let options = options(cache.path(), &server.url(""));
    let fetched = get("s3://bucket/a/model", &options).await.unwrap();
    assert_holds(&fetched, &files);
}

#[tokio::test]
async fn faults_of_a_bucket_are_told_apart() {
    let cache = tempdir().unwrap();
    let server = Server::start(|request| bucket(request, &Vec::new()));
    let with_credentials = options(cache.path(), &server.url(""));
    let error = get("s3://bucket/a/model", &with_credentials)
        .await
        .unwrap_err();
    assert!(matches!(error, FetchError::NotFound { .. }), "{error}");
    let error = get("s3://bucket/a/model/x.zip", &with_credentials)
        .await
        .unwrap_err();
    assert!(matches!(error, FetchError::NotFound { .. }), "{error}");

    let mut anonymous = with_credentials.clone();
    anonymous
        .bucket_options
        .push(("AWS_SKIP_SIGNATURE".into(), "true".into()));
    let error = get("s3://bucket/a/model", &anonymous).await.unwrap_err();
    assert!(
        matches!(error, FetchError::Refused { status: 403, .. }),
        "{error:?}"
    );
    assert!(!format!("{with_credentials:?}").contains("5ecret"));
}

#[tokio::test]
async fn a_store_that_cannot_be_reached_is_an_error_with_a_remedy() {
    let cache = tempdir().unwrap();
    let error = get("s3://bucket/a/model", &options(cache.path(), &nowhere()))
        .await
        .unwrap_err();
    assert!(matches!(error, FetchError::Bucket { .. }), "{error}");
    assert!(error.remedy().contains("AWS_"));
}

#[tokio::test]
async fn the_other_store_is_spoken_to_as_well() {
    let cache = tempdir().unwrap();
    let files = model::files();
    let served = files.clone();
    let server = Server::start(move |request| {
        let mut request = request.clone();
        request
            .headers
            .insert("authorization".into(), "AWS4-HMAC-SHA256".into());
        bucket(&request, &served)
    });
    let account = serde_json::json!({
        "gcs_base_url": server.url(""),
        "disable_oauth": true,
        "client_email": "",
        "private_key": "",
        "private_key_id": "",
    });
    let mut options = FetchOptions::new(cache.path());
    options.bucket_options = vec![
        ("google_service_account_key".into(), account.to_string()),
        ("allow_http".into(), "true".into()),
    ];
    let fetched = get("gs://bucket/a/model", &options).await.unwrap();
    assert_holds(&fetched, &files);
}
