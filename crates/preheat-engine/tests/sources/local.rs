//! Directories of the user's own.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use preheat_engine::source::{FetchError, FetchOptions};
use serde_json::json;
use tempfile::tempdir;

use crate::model::{self, WEIGHTS, assert_holds, get};

#[tokio::test]
async fn a_directory_is_used_in_place() {
    let (cache, dir) = (tempdir().unwrap(), tempdir().unwrap());
    let mut options = FetchOptions::new(cache.path());
    options.offline = true;
    let files = model::files();
    model::write_to(dir.path(), &files);
    fs::write(dir.path().join("README.md"), "not a part of the model").unwrap();
    let source = dir.path().to_str().unwrap();
    let first = get(source, &options).await.unwrap();
    assert_holds(&first, &files);
    assert!(first.cached);
    assert_eq!(
        (first.dir.as_path(), first.source.as_str()),
        (dir.path(), source)
    );
    assert_eq!(
        get(source, &options).await.unwrap(),
        first,
        "remembered digests are the same"
    );
}

#[tokio::test]
async fn a_change_of_content_is_a_change_of_revision() {
    let (cache, dir) = (tempdir().unwrap(), tempdir().unwrap());
    let options = FetchOptions::new(cache.path());
    let files = model::files();
    model::write_to(dir.path(), &files);
    let source = dir.path().to_str().unwrap();
    let before = get(source, &options).await.unwrap();

    // The same size, and the time of modification set back: only the kernel's own time tells.
    let weights = dir.path().join(WEIGHTS);
    let modified = fs::metadata(&weights).unwrap().modified().unwrap();
    let mut bytes = fs::read(&weights).unwrap();
    bytes[7] ^= 1;
    fs::write(&weights, bytes).unwrap();
    fs::File::options()
        .write(true)
        .open(&weights)
        .unwrap()
        .set_modified(modified)
        .unwrap();
    let after = get(source, &options).await.unwrap();
    assert_ne!(after.revision, before.revision);

    model::write_to(dir.path(), &files);
    assert_eq!(
        get(source, &options).await.unwrap().revision,
        before.revision
    );
}

#[tokio::test]
async fn a_lost_or_unwritable_memory_costs_nothing_but_time() {
    let dir = tempdir().unwrap();
    model::write_to(dir.path(), &model::files());
    let source = dir.path().to_str().unwrap();
    let cache = tempdir().unwrap();
    let first = get(source, &FetchOptions::new(cache.path())).await.unwrap();
    for memory in fs::read_dir(cache.path().join("digests")).unwrap() {
        fs::write(memory.unwrap().path(), "[{\"name\":").unwrap();
    }
    assert_eq!(
        get(source, &FetchOptions::new(cache.path())).await.unwrap(),
        first
    );
    assert_eq!(
        get(source, &FetchOptions::new("/dev/null/cache"))
            .await
            .unwrap(),
        first
    );
}

#[tokio::test]
async fn what_cannot_be_used_is_named() {
    let (cache, dir) = (tempdir().unwrap(), tempdir().unwrap());
    let options = FetchOptions::new(cache.path());
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();

    let error = get(&at("absent"), &options).await.unwrap_err();
    assert!(matches!(error, FetchError::NotFound { .. }), "{error}");

    fs::write(at("file"), "").unwrap();
    let error = get(&at("file"), &options).await.unwrap_err();
    assert!(
        matches!(error, FetchError::Io { .. } | FetchError::NotAModel { .. }),
        "{error}"
    );

    fs::create_dir(at("empty")).unwrap();
    let error = get(&at("empty"), &options).await.unwrap_err();
    assert!(
        matches!(
            error,
            FetchError::NotAModel {
                missing: "config.json",
                ..
            }
        ),
        "{error}"
    );

    fs::create_dir(at("loop")).unwrap();
    symlink("config.json", at("loop/config.json")).unwrap();
    let error = get(&at("loop"), &options).await.unwrap_err();
    assert!(error.to_string().contains("loop/config.json"), "{error}");

    fs::create_dir(at("closed")).unwrap();
    model::write_to(&dir.path().join("closed"), &model::files());
    fs::set_permissions(at("closed"), fs::Permissions::from_mode(0o000)).unwrap();
    let is_root = fs::read_dir(at("closed")).is_ok(); // for whom nothing is closed
    let opened = get(&at("closed"), &options).await;
    fs::set_permissions(at("closed"), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(
        is_root || matches!(opened, Err(FetchError::Io { .. })),
        "{opened:?}"
    );
}

/// Wherever a file of its own stands, what a start from it reads goes with it.
#[tokio::test]
async fn an_onnx_file_is_a_model_with_the_tokenizer_that_belongs_to_it() {
    let around = [
        ("tokenizer.json", "{}"),
        ("modules.json", "[]"),
        ("onnx/q.onnx", "a"),
        ("onnx/q.onnx_data", "b"),
    ];
    let beside = [
        ("config.json", "{}"),
        ("tokenizer.json", "{}"),
        ("q.onnx", "a"),
        ("q.onnx_data", "b"),
    ];
    for (files, path) in [(around, "onnx/q.onnx"), (beside, "q.onnx")] {
        let (cache, dir, blobs) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
        let files = files.map(|(name, text)| (name, text.as_bytes().to_vec()));
        let mut files: model::Files = files.into();
        model::write_to(dir.path(), &files);
        for other in ["onnx/other.onnx", "onnx/config.json", "vocab"] {
            model::write_to(dir.path(), &vec![(other, b"other".to_vec())]);
        }
        // As the hub's own cache keeps files: under other names.
        let file = dir.path().join(path);
        fs::rename(&file, blobs.path().join("0123")).unwrap();
        symlink(blobs.path().join("0123"), &file).unwrap();
        let source = file.to_str().unwrap();
        let fetched = get(source, &FetchOptions::new(cache.path())).await.unwrap();
        assert_holds(&fetched, &files);
        assert_eq!(fetched.dir, dir.path());
        files[0].1 = b"{ }".to_vec();
        model::write_to(dir.path(), &files[..1].to_vec());
        let after = get(source, &FetchOptions::new(cache.path())).await.unwrap();
        assert_ne!(after.revision, fetched.revision);
    }
}

#[tokio::test]
async fn what_no_model_needs_is_not_looked_at() {
    let (cache, dir) = (tempdir().unwrap(), tempdir().unwrap());
    let files = model::small_files();
    model::write_to(dir.path(), &files);
    for name in ["notes", "other.onnx", "model-00001-of-00002.safetensors"] {
        symlink(name, dir.path().join(name)).unwrap();
    }
    let source = dir.path().to_str().unwrap();
    let fetched = get(source, &FetchOptions::new(cache.path())).await.unwrap();
    assert_holds(&fetched, &files);
}

/// In place, with everything that belongs to them and nothing that does not.
/// The folder alone is the same model as its file.
#[tokio::test]
async fn a_folder_of_onnx_files_has_the_tokenizer_around_it() {
    let (cache, dir) = (tempdir().unwrap(), tempdir().unwrap());
    let files: model::Files = vec![
        ("tokenizer.json", b"{}".to_vec()),
        ("onnx/model.onnx", b"a".to_vec()),
    ];
    model::write_to(dir.path(), &files);
    for path in ["onnx", "onnx/model.onnx"] {
        let source = dir.path().join(path);
        let options = FetchOptions::new(cache.path());
        let fetched = get(source.to_str().unwrap(), &options).await.unwrap();
        assert_holds(&fetched, &files);
        assert_eq!(fetched.dir, dir.path());
    }
}

#[tokio::test]
async fn weights_in_parts_and_an_onnx_file_in_its_folder_are_models_too() {
    let parts = json!({ "weight_map": {
        "a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors",
    } });
    let parts = parts.to_string();
    let sharded = [
        ("config.json", "{}"),
        ("model.safetensors.index.json", &parts),
        ("model-00001-of-00002.safetensors", "a"),
        ("model-00002-of-00002.safetensors", "b"),
    ];
    let onnx = [
        ("tokenizer.json", "{}"),
        ("onnx/model.onnx", "a"),
        ("onnx/model.onnx_data", "b"),
    ];
    for files in [&sharded[..], &onnx[..]] {
        let (cache, dir) = (tempdir().unwrap(), tempdir().unwrap());
        let files = files
            .iter()
            .map(|(name, text)| (*name, text.as_bytes().to_vec()));
        let mut files: model::Files = files.collect();
        model::write_to(dir.path(), &files);
        for (other, bytes) in [("onnx/model_q4.onnx", "c"), ("model-fast.safetensors", "d")] {
            model::write_to(dir.path(), &vec![(other, bytes.into())]);
        }
        let source = dir.path().to_str().unwrap();
        let fetched = get(source, &FetchOptions::new(cache.path())).await.unwrap();
        assert_holds(&fetched, &files);
        let before = fetched.revision;
        files.last_mut().unwrap().1 = b"other".to_vec();
        model::write_to(dir.path(), &files);
        let after = get(source, &FetchOptions::new(cache.path())).await.unwrap();
        assert_ne!(after.revision, before);
    }
}
