//! The cache: several fetches at once, listing, removing, damage, no room.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use preheat_engine::source::{
    FetchError, FetchOptions, NoProgress, Progress, SourceRef, fetch, list, remove, verify,
};
use tempfile::tempdir;

use crate::model::{self, WEIGHTS, assert_holds, get};
use crate::process;
use crate::server::{Reply, Server, serve};

/// Serves the model, the weights only once somebody is known to wait for them.
fn patient() -> (Server, Sender<()>) {
    let files = model::files();
    let (open, gate): (Sender<()>, Receiver<()>) = channel();
    let gate = Mutex::new(gate);
    let server = Server::start(move |request| {
        if request.path().ends_with(WEIGHTS) {
            gate.lock().unwrap().recv().unwrap();
        }
        serve(request, "/m/", &files)
    });
    (server, open)
}

struct OnWaiting(Sender<()>);

impl Progress for OnWaiting {
    fn waiting(&self, what: &str) {
        assert!(what.contains("another process is fetching"), "{what}");
        self.0.send(()).unwrap();
    }
}

#[tokio::test]
async fn two_fetches_of_one_model_are_one_download() {
    let cache = tempdir().unwrap();
    let options = FetchOptions::new(cache.path());
    let (server, open) = patient();
    let source = SourceRef::parse(&server.url("/m/")).unwrap();
    let progress = OnWaiting(open);
    let (one, other) = tokio::join!(
        fetch(&source, &options, &progress),
        fetch(&source, &options, &progress)
    );
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!(one.dir, other.dir);
    assert!(one.cached != other.cached, "one fetched, one found it");
    assert_eq!(server.requests_for(WEIGHTS).len(), 1);
}

#[tokio::test]
async fn two_processes_are_one_download() {
    let cache = tempdir().unwrap();
    let options = FetchOptions::new(cache.path());
    let (server, open) = patient();
    let url = server.url("/m/");
    // The other process says that it waits only while this one holds the lock, and this one goes
    // on only once it has said so.
    let first = async {
        struct OnWeights<'a>(&'a Path, &'a str, Mutex<Option<process::Child>>, Sender<()>);
        impl Progress for OnWeights<'_> {
            fn file(&self, name: &str, _: Option<u64>) {
                if name == "config.json" {
                    let mut child = process::fetch(self.1, self.0, None);
                    assert_eq!(child.line().as_deref(), Some("waiting"));
                    *self.2.lock().unwrap() = Some(child);
                    self.3.send(()).unwrap();
                }
            }
        }
        let progress = OnWeights(cache.path(), &url, Mutex::new(None), open);
        let fetched = fetch(&SourceRef::parse(&url).unwrap(), &options, &progress)
            .await
            .unwrap();
        (fetched, progress.2.into_inner().unwrap().unwrap())
    };
    let (fetched, mut child) = first.await;
    assert!(!fetched.cached);
    assert_eq!(child.line(), Some(format!("cached {}", fetched.revision)));
    assert_eq!(server.requests_for(WEIGHTS).len(), 1);
}

#[tokio::test]
async fn the_wait_for_another_process_is_bounded() {
    let cache = tempdir().unwrap();
    let mut options = FetchOptions::new(cache.path());
    let (server, open) = patient();
    let source = SourceRef::parse(&server.url("/m/")).unwrap();
    let first = options.clone();
    options.lock_wait = Duration::ZERO;
    let (fetched, refused) = tokio::join!(fetch(&source, &first, &NoProgress), async {
        let refused = fetch(&source, &options, &NoProgress).await;
        let removed = remove(cache.path(), &source.to_string());
        open.send(()).unwrap();
        (refused, removed)
    });
    fetched.unwrap();
    assert!(matches!(refused.0, Err(FetchError::Locked { .. })));
    assert!(
        matches!(refused.1, Err(FetchError::Locked { .. })),
        "nor is it removed meanwhile"
    );
}

#[tokio::test]
async fn models_are_listed_verified_and_removed() {
    let cache = tempdir().unwrap();
    let options = FetchOptions::new(cache.path());
    assert!(list(cache.path()).unwrap().is_empty());
    let server = Server::of(&model::files());
    let url = server.url("/m/");
    let fetched = get(&url, &options).await.unwrap();

    let listed = list(cache.path()).unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0].requested, &listed[0].source), (&url, &url));
    assert_eq!(
        (&listed[0].revision, &listed[0].dir),
        (&fetched.revision, &fetched.dir)
    );
    assert_eq!(listed[0].bytes, fetched.bytes_fetched);
    verify(&fetched.dir).unwrap();

    for name in ["no-such-model", "hf:org/name", "../models", ""] {
        let error = remove(cache.path(), name).unwrap_err();
        assert!(
            matches!(error, FetchError::NotCached { .. }),
            "{name}: {error}"
        );
    }
    assert_eq!(remove(cache.path(), &url).unwrap(), listed);
    assert!(!fetched.dir.exists());
    assert!(list(cache.path()).unwrap().is_empty());
    get(&url, &options).await.unwrap();
    assert_eq!(remove(cache.path(), &listed[0].key).unwrap().len(), 1);
}

#[tokio::test]
async fn what_a_broken_transfer_left_can_be_removed() {
    let cache = tempdir().unwrap();
    let files = model::files();
    let server = Server::start(move |request| {
        if request.path().ends_with(WEIGHTS) {
            return Reply::status(403);
        }
        serve(request, "/m/", &files)
    });
    let url = server.url("/m/");
    get(&url, &FetchOptions::new(cache.path()))
        .await
        .unwrap_err();
    let partial = cache.path().join("partial");
    assert_eq!(tree(&partial).len(), 1);
    assert!(remove(cache.path(), &url).unwrap().is_empty());
    assert!(tree(&partial).is_empty());
    let error = remove(cache.path(), &url).unwrap_err();
    assert!(matches!(error, FetchError::NotCached { .. }), "{error}");
}

#[tokio::test]
async fn a_changed_byte_is_found_on_demand_and_a_changed_size_at_once() {
    let cache = tempdir().unwrap();
    let options = FetchOptions::new(cache.path());
    let files = model::files();
    let server = Server::of(&files);
    let url = server.url("/m/");
    let fetched = get(&url, &options).await.unwrap();
    let weights = fetched.dir.join(WEIGHTS);

    let mut bytes = fs::read(&weights).unwrap();
    bytes[1234] ^= 1;
    fs::write(&weights, &bytes).unwrap();
    assert!(
        get(&url, &options).await.unwrap().cached,
        "contents are not read on a start"
    );
    let error = verify(&fetched.dir).unwrap_err();
    assert!(matches!(error, FetchError::Checksum { .. }), "{error}");

    bytes.truncate(1000);
    fs::write(&weights, &bytes).unwrap();
    let error = verify(&fetched.dir).unwrap_err();
    assert!(matches!(error, FetchError::Size { .. }), "{error}");
    let again = get(&url, &options).await.unwrap();
    assert!(!again.cached);
    assert_holds(&again, &files);

    fs::write(fetched.dir.join("manifest.json"), "{").unwrap();
    assert!(!get(&url, &options).await.unwrap().cached);
}

/// A manifest is a file like any other: somebody may have written over it.
#[test]
fn a_manifest_that_cannot_be_meant_is_none_or_named() {
    let cache = tempdir().unwrap();
    let dir = cache.path().join("models/one");
    fs::create_dir_all(&dir).unwrap();
    let path = dir.join("manifest.json");
    let write = |names: &[&str]| {
        let file = |name| serde_json::json!({"name": name, "bytes": u64::MAX, "sha256": ""});
        let files: Vec<_> = names.iter().map(file).collect();
        let manifest = serde_json::json!({
            "version": 1, "requested": "r", "source": "s", "revision": "v", "files": files,
        });
        fs::write(&path, manifest.to_string()).unwrap();
    };
    write(&["config.json", "1_Pooling/config.json"]);
    let found = list(cache.path()).unwrap();
    assert_eq!(found[0].bytes, u64::MAX, "sums end there");
    for outside in ["/dev/zero", "../two/config.json", ""] {
        write(&["config.json", outside]);
        assert!(list(cache.path()).unwrap().is_empty(), "{outside}");
        assert!(matches!(verify(&dir), Err(FetchError::NotCached { .. })));
    }

    let file = fs::File::create(&path).unwrap();
    file.set_len(4_000_000).unwrap();
    assert!(list(cache.path()).unwrap().is_empty());
    file.set_len(4_000_001).unwrap();
    let error = list(cache.path()).unwrap_err();
    assert!(
        error.chain().ends_with("it is larger than 4 MB"),
        "{}",
        error.chain()
    );
    assert!(error.remedy().starts_with("remove "), "{}", error.remedy());
}

#[tokio::test]
async fn no_room_is_named_and_leaves_the_cache_as_it_was() {
    let cache = tempdir().unwrap();
    let files = model::files();
    let server = Server::of(&files);
    let small = vec![
        ("config.json", b"{}".to_vec()),
        (WEIGHTS, model::noise(1000)),
    ];
    let other = Server::of(&small);
    let before = get(&other.url("/m/"), &FetchOptions::new(cache.path()))
        .await
        .unwrap();

    // The kernel refuses this process files beyond a size, as a full disk refuses bytes.
    let mut child = process::fetch(&server.url("/m/"), cache.path(), Some(1 << 20));
    let line = child.line().unwrap();
    let expected = format!("error no room in {}: ", cache.path().display());
    assert!(line.starts_with(&expected), "{line}");
    let needed: u64 = line[expected.len()..]
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1 << 20..=3 << 20).contains(&needed), "{line}");

    assert_eq!(tree(&cache.path().join("partial")), Vec::<PathBuf>::new());
    assert_eq!(list(cache.path()).unwrap().len(), 1);
    assert_holds(&before, &small);
    assert_holds(
        &get(&server.url("/m/"), &FetchOptions::new(cache.path()))
            .await
            .unwrap(),
        &files,
    );
}

#[tokio::test]
async fn a_cache_that_cannot_be_written_is_named() {
    let dir = tempdir().unwrap();
    let cache = dir.path().join("a-file");
    fs::write(&cache, "").unwrap();
    let server = Server::of(&model::files());
    let error = get(&server.url("/m/"), &FetchOptions::new(&cache))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("a-file"), "{error}");
    assert!(
        server.seen().is_empty(),
        "nothing is fetched that cannot be kept"
    );
}

fn tree(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir)
        .map(|entries| entries.map(|e| e.unwrap().path()).collect())
        .unwrap_or_default()
}
