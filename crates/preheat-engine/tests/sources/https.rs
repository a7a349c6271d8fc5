//! Directories and archives behind a URL; transfers that break.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use preheat_engine::source::{FetchError, FetchOptions};
use tempfile::tempdir;

use crate::model::{self, WEIGHTS, assert_holds, bytes_of, get, tar_gz, under, zip};
use crate::server::{Reply, Server, serve};

#[tokio::test]
async fn a_directory_is_fetched_once_and_then_needs_no_server() {
    let cache = tempdir().unwrap();
    let options = FetchOptions::new(cache.path());
    let files = model::files();
    let server = Server::of(&files);
    let url = server.url("/m/");

    let first = get(&url, &options).await.unwrap();
    assert_holds(&first, &files);
    assert!(!first.cached);
    assert_eq!(first.source, url);
    assert_eq!(first.bytes_fetched as usize, server.sent());
    drop(server);

    let second = get(&url, &options).await.unwrap();
    assert!(second.cached);
    assert_eq!(second.bytes_fetched, 0);
    assert_eq!(
        (second.revision, second.files, second.dir),
        (first.revision, first.files, first.dir)
    );
}

#[tokio::test]
async fn the_other_kind_of_weights_is_taken_where_safetensors_are_missing() {
    let cache = tempdir().unwrap();
    let files = vec![
        ("config.json", b"{}".to_vec()),
        ("pytorch_model.bin", model::noise(100)),
    ];
    let server = Server::of(&files);
    let fetched = get(&server.url("/m/"), &FetchOptions::new(cache.path()))
        .await
        .unwrap();
    assert_holds(&fetched, &files);
}

/// Which parts there are is said by their index; without a listing nothing else tells.
#[tokio::test]
async fn weights_in_parts_are_fetched_by_their_index() {
    let files = model::sharded();
    let cache = tempdir().unwrap();
    let server = Server::of(&files);
    let options = FetchOptions::new(cache.path());
    let fetched = get(&server.url("/m/"), &options).await.unwrap();
    assert_holds(&fetched, &files);

    let (cache, mut some) = (tempdir().unwrap(), files);
    some.pop();
    let server = Server::of(&some);
    let options = FetchOptions::new(cache.path());
    let error = get(&server.url("/m/"), &options).await.unwrap_err();
    assert!(matches!(error, FetchError::NotAModel { .. }), "{error}");
}

#[tokio::test]
async fn an_onnx_file_is_fetched_with_the_weights_outside_it() {
    for file in ["model.onnx", "onnx/model.onnx"] {
        let data = match file {
            "model.onnx" => "model.onnx_data",
            _ => "onnx/model.onnx_data",
        };
        let files = vec![
            ("config.json", b"{}".to_vec()),
            ("tokenizer.json", b"{}".to_vec()),
            (file, model::noise(100)),
            (data, model::noise(200)),
        ];
        let cache = tempdir().unwrap();
        let server = Server::of(&files);
        let options = FetchOptions::new(cache.path());
        let fetched = get(&server.url("/m/"), &options).await.unwrap();
        assert_holds(&fetched, &files);
    }
}

/// A bucket that may be read but not listed says 403 for what is not there.
#[tokio::test]
async fn where_what_is_missing_is_forbidden_the_other_kind_is_taken_too() {
    let cache = tempdir().unwrap();
    let files = vec![
        ("config.json", b"{}".to_vec()),
        ("pytorch_model.bin", model::noise(100)),
    ];
    let served = files.clone();
    let server = Server::start(move |request| match serve(request, "/m/", &served) {
        Reply { status: 404, .. } => Reply::status(403),
        reply => reply,
    });
    let fetched = get(&server.url("/m/"), &FetchOptions::new(cache.path()))
        .await
        .unwrap();
    assert_holds(&fetched, &files);
}

/// An ONNX file says itself what it takes, here as in a folder or an archive.
#[tokio::test]
async fn an_onnx_file_alone_is_a_model() {
    let cache = tempdir().unwrap();
    let files = vec![("model.onnx", model::noise(100))];
    let server = Server::of(&files);
    let fetched = get(&server.url("/m/"), &FetchOptions::new(cache.path()))
        .await
        .unwrap();
    assert_holds(&fetched, &files);
    // What could not be used without config.json is not fetched to find that out.
    assert!(server.requests_for(WEIGHTS).is_empty());
}

#[tokio::test]
async fn a_directory_without_a_model_says_what_is_missing() {
    let cache = tempdir().unwrap();
    let server = Server::of(&vec![("config.json", b"{}".to_vec())]);
    let error = get(&server.url("/m/"), &FetchOptions::new(cache.path()))
        .await
        .unwrap_err();
    assert!(matches!(error, FetchError::NotAModel { .. }), "{error}");
    let error = get(&server.url("/other/"), &FetchOptions::new(cache.path()))
        .await
        .unwrap_err();
    assert!(matches!(error, FetchError::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn archives_of_both_kinds_are_unpacked() {
    let files = model::small_files();
    let mut revisions = Vec::new();
    for (name, archive) in [
        ("/x.zip", zip(under("deep/inside/", &files))),
        ("/x.tar.gz", tar_gz(under("model/", &files))),
        ("/x.tgz", tar_gz(under("./", &files))),
    ] {
        let cache = tempdir().unwrap();
        let server = Server::start(move |request| Reply::file(request, &archive));
        let fetched = get(&server.url(name), &FetchOptions::new(cache.path()))
            .await
            .unwrap();
        assert_holds(&fetched, &files);
        revisions.push(fetched.revision);
    }
    revisions.dedup();
    assert_eq!(revisions.len(), 1, "the same content has the same revision");
}

/// Serves the model; weights are cut after `cut` bytes and answered with `then` until `healed`.
fn breaking(cut: usize, then: u16) -> (Server, Arc<AtomicUsize>) {
    let files = model::files();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let server = Server::start(move |request| {
        let reply = serve(request, "/m/", &files);
        if !request.path().ends_with(WEIGHTS) {
            return reply;
        }
        match count.fetch_add(1, Ordering::SeqCst) {
            0 => Reply {
                cut: Some(cut),
                ..reply
            },
            1 if then != 200 => Reply::status(then),
            _ => reply,
        }
    });
    (server, asked)
}

#[tokio::test]
async fn a_broken_transfer_goes_on_where_it_broke() {
    let cache = tempdir().unwrap();
    let files = model::files();
    let (server, _) = breaking(2_000_000, 200);
    let fetched = get(&server.url("/m/"), &FetchOptions::new(cache.path()))
        .await
        .unwrap();
    assert_holds(&fetched, &files);
    let total: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
    assert_eq!(server.sent(), total, "no byte is sent twice");
    assert_eq!(
        server.requests_for(WEIGHTS)[1].header("range"),
        Some("bytes=2000000-")
    );
}

#[tokio::test]
async fn a_passing_fault_of_the_server_is_tried_again() {
    let cache = tempdir().unwrap();
    let (server, asked) = breaking(0, 503);
    let fetched = get(&server.url("/m/"), &FetchOptions::new(cache.path()))
        .await
        .unwrap();
    assert_holds(&fetched, &model::files());
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_later_fetch_goes_on_where_an_earlier_one_gave_up() {
    let cache = tempdir().unwrap();
    let options = FetchOptions::new(cache.path());
    let files = model::files();
    let (server, _) = breaking(2_000_000, 403);
    let error = get(&server.url("/m/"), &options).await.unwrap_err();
    assert!(
        matches!(error, FetchError::Refused { status: 403, .. }),
        "{error}"
    );
    assert!(
        preheat_engine::source::list(cache.path())
            .unwrap()
            .is_empty()
    );

    let fetched = get(&server.url("/m/"), &options).await.unwrap();
    assert_holds(&fetched, &files);
    assert_eq!(
        server.requests_for(WEIGHTS)[2].header("range"),
        Some("bytes=2000000-")
    );
}

#[tokio::test]
async fn a_file_that_changed_in_between_is_fetched_anew() {
    let cache = tempdir().unwrap();
    let options = FetchOptions::new(cache.path());
    let mut files = model::files();
    let changed = Arc::new(AtomicUsize::new(0));
    let (old, state) = (files.clone(), Arc::clone(&changed));
    files[3].1.reverse();
    files[3].1.push(1);
    let new = files.clone();
    let server = Server::start(move |request| match state.load(Ordering::SeqCst) {
        0 if request.path().ends_with(WEIGHTS) => {
            state.store(1, Ordering::SeqCst);
            Reply {
                cut: Some(1_500_000),
                ..serve(request, "/m/", &old)
            }
        }
        _ => serve(request, "/m/", &new),
    });
    let fetched = get(&server.url("/m/"), &options).await.unwrap();
    assert_holds(&fetched, &files);
    assert!(server.requests_for(WEIGHTS)[1].header("if-range").is_some());
}

/// A server that knows ranges and not the condition on them gives the rest of another file.
#[tokio::test]
async fn the_rest_of_another_file_is_not_put_behind_the_beginning_of_this_one() {
    let cache = tempdir().unwrap();
    let mut files = model::files();
    let old = files.clone();
    files[3].1[0] ^= 1;
    let (new, asked) = (files.clone(), AtomicUsize::new(0));
    let server = Server::start(move |request| {
        let is_weights = request.path().ends_with(WEIGHTS);
        if is_weights && asked.fetch_add(1, Ordering::SeqCst) == 0 {
            return Reply {
                cut: Some(1_500_000),
                ..serve(request, "/m/", &old)
            };
        }
        let mut request = request.clone();
        request.headers.remove("if-range");
        serve(&request, "/m/", &new)
    });
    let fetched = get(&server.url("/m/"), &FetchOptions::new(cache.path()))
        .await
        .unwrap();
    assert_holds(&fetched, &files);
}

#[tokio::test]
async fn without_a_strong_tag_nothing_is_continued() {
    let cache = tempdir().unwrap();
    let files = model::files();
    let inner = files.clone();
    let asked = AtomicUsize::new(0);
    let server = Server::start(move |request| {
        let mut reply = serve(request, "/m/", &inner);
        reply.headers = vec![("ETag", "W/\"same\"".to_owned())];
        if request.path().ends_with(WEIGHTS) && asked.fetch_add(1, Ordering::SeqCst) == 0 {
            reply.cut = Some(1_000_000);
        }
        reply
    });
    let fetched = get(&server.url("/m/"), &FetchOptions::new(cache.path()))
        .await
        .unwrap();
    assert_holds(&fetched, &files);
    assert!(
        server
            .requests_for(WEIGHTS)
            .iter()
            .all(|request| request.header("range").is_none())
    );
}

#[tokio::test]
async fn a_complete_part_is_not_sent_again() {
    let cache = tempdir().unwrap();
    let options = FetchOptions::new(cache.path());
    let files = model::files();
    let server = Server::of(&files);
    // Everything arrives, but cannot be put where models are.
    fs::write(cache.path().join("models"), "in the way").unwrap();
    let error = get(&server.url("/m/"), &options).await.unwrap_err();
    assert!(matches!(error, FetchError::Io { .. }), "{error}");
    let sent = server.sent();

    fs::remove_file(cache.path().join("models")).unwrap();
    assert_holds(&get(&server.url("/m/"), &options).await.unwrap(), &files);
    assert_eq!(server.sent(), sent, "no byte is sent twice");
}

#[tokio::test]
async fn a_file_over_the_limit_is_refused() {
    let cache = tempdir().unwrap();
    let mut options = FetchOptions::new(cache.path());
    options.max_file_bytes = (3 << 20) - 1;
    let server = Server::of(&model::files());
    let error = get(&server.url("/m/"), &options).await.unwrap_err();
    assert!(
        matches!(&error, FetchError::TooLarge { file, .. } if file == WEIGHTS),
        "{error}"
    );
}

#[tokio::test]
async fn a_small_archive_cannot_unfold_without_end() {
    let zeros = vec![0; 2 << 20];
    let entries = || {
        [
            ("config.json".to_owned(), b"{}".as_slice()),
            (WEIGHTS.to_owned(), zeros.as_slice()),
        ]
    };
    for (name, archive) in [("/x.zip", zip(entries())), ("/x.tgz", tar_gz(entries()))] {
        let cache = tempdir().unwrap();
        let mut options = FetchOptions::new(cache.path());
        options.max_file_bytes = 1 << 20;
        assert!(archive.len() < 1 << 20);
        let server = Server::start(move |request| Reply::file(request, &archive));
        let error = get(&server.url(name), &options).await.unwrap_err();
        let is_refused = matches!(
            error,
            FetchError::TooLarge { .. } | FetchError::Archive { .. }
        );
        assert!(is_refused, "{name}: {error}");
    }
}

#[tokio::test]
async fn an_archive_that_leads_out_of_its_directory_is_refused() {
    let files = model::small_files();
    let hostile = |path: &str| {
        under("m/", &files)
            .chain([(path.to_owned(), b"owned".as_slice())])
            .collect::<Vec<_>>()
    };
    for path in [
        "../../evil",
        "/tmp/preheat-evil",
        "m/../../evil",
        "..\\evil",
    ] {
        for (name, archive) in [
            ("/x.zip", zip(hostile(path))),
            ("/x.tgz", tar_gz(hostile(path))),
        ] {
            let outer = tempdir().unwrap();
            let cache = outer.path().join("cache");
            let server = Server::start(move |request| Reply::file(request, &archive));
            let error = get(&server.url(name), &FetchOptions::new(&cache))
                .await
                .unwrap_err();
            assert!(
                matches!(error, FetchError::Archive { .. }),
                "{path} in {name}: {error}"
            );
            assert!(preheat_engine::source::list(&cache).unwrap().is_empty());
            let beside: Vec<_> = fs::read_dir(outer.path()).unwrap().collect();
            assert_eq!(beside.len(), 1, "something was written beside the cache");
        }
    }
}

#[tokio::test]
async fn a_corrupt_archive_is_named_and_not_kept() {
    let files = model::small_files();
    let good = zip(under("", &files));
    let mut bad = good.clone();
    bad[20_000] ^= 1;
    for (name, bad, good) in [
        ("/x.zip", bad, good.clone()),
        ("/x.zip", good[..good.len() / 2].to_vec(), good),
        (
            "/x.tgz",
            tar_gz(under("", &files))[..20_000].to_vec(),
            tar_gz(under("", &files)),
        ),
    ] {
        let cache = tempdir().unwrap();
        let options = FetchOptions::new(cache.path());
        let asked = AtomicUsize::new(0);
        let server = Server::start(move |request| {
            Reply::file(
                request,
                if asked.fetch_add(1, Ordering::SeqCst) == 0 {
                    &bad
                } else {
                    &good
                },
            )
        });
        let error = get(&server.url(name), &options).await.unwrap_err();
        assert!(matches!(error, FetchError::Archive { .. }), "{error}");
        assert_holds(&get(&server.url(name), &options).await.unwrap(), &files);
    }
}

#[tokio::test]
async fn a_redirect_does_not_lead_out_of_encryption() {
    let cache = tempdir().unwrap();
    let server = Server::start(|_| Reply::redirect("http://192.0.2.1/m/config.json".to_owned()));
    let error = get(&server.url("/m/"), &FetchOptions::new(cache.path()))
        .await
        .unwrap_err();
    assert!(matches!(error, FetchError::Answer { .. }), "{error}");
}

#[tokio::test]
async fn a_redirect_to_a_file_is_followed() {
    let cache = tempdir().unwrap();
    let files = model::files();
    let there = Server::of(&files);
    let to = there.url("");
    let here = Server::start(move |request| Reply::redirect(format!("{to}{}", request.path())));
    let fetched = get(&here.url("/m/"), &FetchOptions::new(cache.path()))
        .await
        .unwrap();
    assert_holds(&fetched, &files);
    assert_eq!(
        bytes_of(&files, "config.json").len() as u64,
        fetched.files[1].bytes
    );
}
