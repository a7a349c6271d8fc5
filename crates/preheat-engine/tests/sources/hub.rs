//! The hub's protocol: listing, downloads, tokens, its own cache.

use std::fs;
use std::path::Path;

use preheat_engine::source::{FetchError, FetchOptions};
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::model::{self, Files, WEIGHTS, assert_holds, bytes_of, get};
use crate::server::{Reply, Request, Server, nowhere, serve};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// The repository `org/name` as the hub serves it: large files from another host.
fn repository(files: &Files, weights_sha256: &str) -> (Server, Server) {
    let blobs = Server::of(files);
    let to = blobs.url("/m/");
    let (files, listing) = (files.clone(), listing(files, weights_sha256));
    let hub = Server::start(move |request| {
        if request.path() == "/api/models/org/name/revision/main" {
            return Reply::text(listing.to_string());
        }
        if request.path().ends_with(WEIGHTS) {
            return Reply::redirect(format!("{to}{WEIGHTS}"));
        }
        serve(request, &format!("/org/name/resolve/{COMMIT}/"), &files)
    });
    (hub, blobs)
}

fn listing(files: &Files, weights_sha256: &str) -> Value {
    let mut siblings: Vec<Value> = files
        .iter()
        .map(|(name, bytes)| json!({ "rfilename": name, "size": bytes.len() }))
        .collect();
    siblings.last_mut().unwrap()["lfs"] = json!({ "sha256": weights_sha256 });
    siblings.push(json!({ "rfilename": "README.md", "size": 1 }));
    siblings.push(json!({ "rfilename": "onnx/model.onnx", "size": 1 }));
    json!({ "sha": COMMIT, "siblings": siblings })
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn options(cache: &Path, endpoint: String) -> FetchOptions {
    FetchOptions {
        hf_endpoint: endpoint,
        ..FetchOptions::new(cache)
    }
}

#[tokio::test]
async fn a_repository_is_fetched_at_one_commit_and_only_what_a_model_needs() {
    let cache = tempdir().unwrap();
    let files = model::files();
    let (hub, blobs) = repository(&files, &sha256(&bytes_of(&files, WEIGHTS)));
    let fetched = get("hf:org/name", &options(cache.path(), hub.url("/")))
        .await
        .unwrap();
    assert_holds(&fetched, &files);
    assert_eq!(fetched.source, format!("hf:org/name@{COMMIT}"));
    assert_eq!(hub.seen().len(), 1 + files.len());
    assert_eq!(blobs.seen().len(), 1);

    drop((hub, blobs));
    let again = get("hf:org/name", &options(cache.path(), nowhere()))
        .await
        .unwrap();
    assert!(again.cached);
    assert_eq!(again.source, fetched.source);
}

#[tokio::test]
async fn the_token_goes_to_the_hub_and_nowhere_else() {
    let cache = tempdir().unwrap();
    let files = model::files();
    let (hub, blobs) = repository(&files, &sha256(&bytes_of(&files, WEIGHTS)));
    let mut options = options(cache.path(), hub.url(""));
    options.hf_token = Some("hf_5ecret".to_owned());
    get("hf:org/name@main", &options).await.unwrap();
    let token = |request: &Request| request.header("authorization").map(str::to_owned);
    assert!(
        hub.seen()
            .iter()
            .all(|r| token(r).as_deref() == Some("Bearer hf_5ecret"))
    );
    assert!(blobs.seen().iter().all(|request| token(request).is_none()));
    assert!(!format!("{options:?}").contains("5ecret"));
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let cache = tempdir().unwrap();
    let server = Server::start(|request| match request.header("authorization") {
        None => Reply::status(401),
        Some(_) => Reply::status(404),
    });
    let mut options = options(cache.path(), server.url(""));
    let error = get("hf:org/private", &options).await.unwrap_err();
    assert!(
        matches!(error, FetchError::Refused { status: 401, .. }),
        "{error}"
    );
    assert!(error.remedy().contains("HF_TOKEN"));
    options.hf_token = Some("t".to_owned());
    let error = get("hf:org/misspelt", &options).await.unwrap_err();
    assert!(matches!(error, FetchError::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn a_hub_that_cannot_be_used_is_named() {
    let cache = tempdir().unwrap();
    let error = get("hf:org/name", &options(cache.path(), nowhere()))
        .await
        .unwrap_err();
    assert!(matches!(error, FetchError::Unreachable { .. }), "{error}");
    assert!(error.remedy().contains("HF_ENDPOINT"));
    assert!(
        fs::read_dir(cache.path().join("partial"))
            .unwrap()
            .next()
            .is_none()
    );
    for endpoint in ["http://hub.example.org", "not a url", ""] {
        let error = get("hf:org/name", &options(cache.path(), endpoint.into()))
            .await
            .unwrap_err();
        assert!(matches!(error, FetchError::Endpoint { .. }), "{error}");
    }
    let server = Server::start(|_| Reply::text("<html>sign in</html>"));
    let error = get("hf:org/name", &options(cache.path(), server.url("")))
        .await
        .unwrap_err();
    assert!(matches!(error, FetchError::Answer { .. }), "{error}");
}

#[tokio::test]
async fn weights_that_differ_from_the_listing_are_refused_and_dropped() {
    let cache = tempdir().unwrap();
    let files = model::files();
    let (bad, _blobs) = repository(&files, &"0".repeat(64));
    let error = get("hf:org/name", &options(cache.path(), bad.url("")))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, FetchError::Checksum { file, .. } if file == WEIGHTS),
        "{error}"
    );

    let (good, blobs) = repository(&files, &sha256(&bytes_of(&files, WEIGHTS)));
    let fetched = get("hf:org/name", &options(cache.path(), good.url("")))
        .await
        .unwrap();
    assert_holds(&fetched, &files);
    assert_eq!(
        blobs.seen()[0].header("range"),
        None,
        "nothing of the bad file was kept"
    );
}

#[tokio::test]
async fn a_file_of_another_size_than_listed_is_refused() {
    let cache = tempdir().unwrap();
    let files = model::files();
    let mut listed = listing(&files, &sha256(&bytes_of(&files, WEIGHTS)));
    listed["siblings"][0]["size"] = json!(1);
    let server = Server::start(move |request| match request.path() {
        "/api/models/org/name/revision/main" => Reply::text(listed.to_string()),
        _ => serve(request, &format!("/org/name/resolve/{COMMIT}/"), &files),
    });
    let error = get("hf:org/name", &options(cache.path(), server.url("")))
        .await
        .unwrap_err();
    assert!(
        matches!(error, FetchError::Size { expected: 1, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_snapshot_in_the_hubs_own_cache_is_used_in_place() {
    let (cache, home) = (tempdir().unwrap(), tempdir().unwrap());
    let files = model::files();
    let repo = home.path().join("hub/models--org--name");
    let (snapshot, blobs) = (repo.join("snapshots").join(COMMIT), repo.join("blobs"));
    fs::create_dir_all(repo.join("refs")).unwrap();
    fs::write(repo.join("refs/main"), COMMIT).unwrap();
    model::write_to(&blobs, &files);
    for (name, _) in &files {
        let link = snapshot.join(name);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(blobs.join(name), link).unwrap();
    }
    let mut options = options(cache.path(), nowhere());
    options.hf_home = Some(home.path().to_owned());
    options.offline = true;
    for source in [
        "hf:org/name",
        "hf:org/name@main",
        &format!("hf:org/name@{COMMIT}"),
    ] {
        let fetched = get(source, &options).await.unwrap();
        assert_holds(&fetched, &files);
        assert_eq!(fetched.dir, snapshot);
        assert_eq!(fetched.source, format!("hf:org/name@{COMMIT}"));
        assert!(fetched.cached);
    }
    // Without its weights it is no model, so the hub is asked after all.
    fs::remove_file(snapshot.join(WEIGHTS)).unwrap();
    let error = get("hf:org/name", &options).await.unwrap_err();
    assert!(matches!(error, FetchError::Offline { .. }), "{error}");
}

#[tokio::test]
async fn offline_asks_nobody() {
    let cache = tempdir().unwrap();
    let server = Server::start(|_| Reply::status(500));
    let mut options = options(cache.path(), server.url(""));
    options.offline = true;
    for source in [
        "hf:org/name",
        "pypi:some-package",
        &server.url("/m/"),
        "s3://bucket/m",
    ] {
        let error = get(source, &options).await.unwrap_err();
        assert!(matches!(error, FetchError::Offline { .. }), "{error}");
    }
    assert!(server.seen().is_empty());
}

/// Whole weights are better than parts, parts than a state dict, and any of them than an ONNX file in
/// its folder; that one is taken where there is nothing else, or where it is asked for.
#[tokio::test]
async fn weights_in_parts_and_onnx_files_in_their_folder_are_fetched_with_what_belongs_to_them() {
    const PARTS: [&str; 3] = [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
    ];
    let index = json!({ "weight_map": { "a": PARTS[0], "b": PARTS[1] } }).to_string();
    let small = |name: &'static str| (name, name.as_bytes().to_vec());
    let mut files: Files = vec![
        small("config.json"),
        small("tokenizer.json"),
        (PARTS[2], index.into_bytes()),
        small(PARTS[0]),
        small(PARTS[1]),
        small("onnx/model.onnx"),
        small("onnx/model.onnx_data"),
        small("onnx/model_quantized.onnx"),
    ];
    let fetch = async |files: &Files, source: &str| {
        let served = Served::start(files);
        let cache = tempdir().unwrap();
        let fetched = get(source, &options(cache.path(), served.url("/"))).await;
        let fetched = fetched.unwrap();
        let mut names: Vec<_> = fetched.files.iter().map(|file| file.name.clone()).collect();
        names.retain(|name| !["config.json", "tokenizer.json"].contains(&&name[..]));
        names.sort();
        for name in &names {
            let read = fs::read(fetched.dir.join(name)).unwrap();
            assert!(read == bytes_of(files, name), "{name} differs");
        }
        names
    };
    assert_eq!(fetch(&files, "hf:org/name").await, PARTS);
    let quantized = "onnx/model_quantized.onnx";
    for asked in [quantized, "model_quantized.onnx"] {
        let source = format!("hf:org/name#{asked}");
        assert_eq!(fetch(&files, &source).await, [quantized]);
    }
    files.retain(|(name, _)| !name.ends_with(".safetensors"));
    let onnx = ["onnx/model.onnx", "onnx/model.onnx_data"];
    assert_eq!(fetch(&files, "hf:org/name").await, onnx);
}

/// A repository of small files, without another host for large ones.
struct Served;

impl Served {
    fn start(files: &Files) -> Server {
        let files = files.clone();
        let siblings: Vec<Value> = files
            .iter()
            .map(|(name, bytes)| json!({ "rfilename": name, "size": bytes.len() }))
            .collect();
        let listing = json!({ "sha": COMMIT, "siblings": siblings });
        Server::start(move |request| match request.path() {
            "/api/models/org/name/revision/main" => Reply::text(listing.to_string()),
            _ => serve(request, &format!("/org/name/resolve/{COMMIT}/"), &files),
        })
    }
}

/// Names become paths: what leads out of the model's directory is no file of it.
#[tokio::test]
async fn names_that_lead_elsewhere_are_not_fetched() {
    let listing = json!({ "sha": COMMIT, "siblings": [
        { "rfilename": "config.json" }, { "rfilename": "../../model.onnx" },
    ] });
    let hub = Server::start(move |request| match request.path() {
        "/api/models/org/name/revision/main" => Reply::text(listing.to_string()),
        _ => Reply::text("{}".to_owned()),
    });
    let cache = tempdir().unwrap();
    let options = options(cache.path(), hub.url("/"));
    let error = get("hf:org/name#model.onnx", &options).await.unwrap_err();
    assert!(error.to_string().contains("model.onnx"), "{error}");
}
