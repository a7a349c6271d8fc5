//! Every reader of what users hand in, with files that it takes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use clap::Parser;

use crate::cli::{Cli, ProbeArgs, Verb};
use crate::config::{self, Flags};
use crate::verb::fuzzed;

/// One reader: the ending of its file, its seeds, and the reader.
pub struct Target {
    pub name: &'static str,
    pub ending: &'static str,
    pub seeds: Vec<Vec<u8>>,
    pub read: fn(&Path),
}

pub fn targets() -> Vec<Target> {
    let target = |name, ending, seeds, read| Target {
        name,
        ending,
        seeds,
        read,
    };
    let report = || files("deploy", "report.json");
    let requests = || lines(REQUESTS);
    vec![
        target(
            "configuration",
            "toml",
            files("examples", "preheat.toml"),
            configuration as fn(&Path),
        ),
        target(
            "configuration in YAML",
            "yaml",
            files("deploy", ".yaml"),
            configuration,
        ),
        target("configuration in JSON", "json", report(), configuration),
        target("plan", "toml", files("examples/own-plan", ".toml"), plan),
        target(
            "recording",
            "ndjson",
            vec![REQUESTS.into(), ACCESS_LOG.into()],
            fuzzed::recorded,
        ),
        target(
            "scenario",
            "toml",
            files("examples/simulate", ".toml"),
            fuzzed::scenario,
        ),
        target("measured replica", "json", report(), fuzzed::measured),
        target("report for init", "json", report(), fuzzed::deployed),
        target("report to diagnose", "json", report(), fuzzed::diagnosed),
        target(
            "logs",
            "log",
            files("crates/preheat-diagnosis/tests/corpus", ""),
            fuzzed::diagnosed,
        ),
        target(
            "manifests",
            "yaml",
            files("deploy", ".yaml"),
            fuzzed::diagnosed,
        ),
        target("request body", "json", requests(), fuzzed::requested),
        target("order to a gateway", "json", lines(ORDERS), fuzzed::ordered),
        target("state of a gateway", "json", lines(STATES), fuzzed::resumed),
        target(
            "cached model",
            "json",
            vec![MANIFEST.into()],
            fuzzed::cached,
        ),
        target(
            "image",
            "img",
            files("crates/preheat/tests/data", "g"),
            fuzzed::pictured,
        ),
        target(
            "keys",
            "txt",
            vec![b"# of clients\none\n\ntwo\n".to_vec()],
            fuzzed::keyed,
        ),
        target("certificate", "pem", vec![certificate()], fuzzed::certified),
    ]
}

/// A body of each family of routes.
const REQUESTS: &str = r#"["a short text", "and another one"]
{"path": "/embed", "body": {"texts": ["one", "two"]}}
{"path": "/v1/embeddings", "body": {"input": ["one", "two"], "model": "embedder", "encoding_format": "base64", "dimensions": 8}}
{"input": [[1, 2, 3], [4]], "model": "embedder", "user": "u"}
{"inputs": "one", "normalize": true, "truncate": true, "truncation_direction": "Left"}
{"inputs": [["one", "two"], ["three"]], "raw_scores": true}
{"query": "one", "texts": ["two", "three"], "return_text": true}
{"inputs": [{"name": "text", "datatype": "BYTES", "shape": [2], "data": ["a", "b"]}]}
{"id": "7", "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [[1.5, -2e3]], "parameters": {"binary_data_size": 8}}], "outputs": [{"name": "y"}]}
"#;

const ACCESS_LOG: &str = r#"INFO:     127.0.0.1:51234 - "POST /embed HTTP/1.1" 200 OK
10.0.0.1 - - [01/Jan/2026:00:00:00 +0000] "POST /v1/embeddings?x=1 HTTP/2.0" 200 512 "-" "curl/8"
{"level": "info", "msg": "nothing to see"}
"#;

/// What may be posted to the admin listener of a gateway.
const ORDERS: &str = r#"{"min": 1, "max": 4, "spares": 1}
{"source": "./models/new", "allow_other_shape": true}
{"config": {"model": [{"name": "embedder", "engine": "sim", "sim": {"weights": "20ms", "fault": {"kind": "run", "after_runs": 9}}}], "slo": {"p95": "200ms"}}}
{"service": "embedder"}
"#;

/// What a gateway leaves for the next one: a service, and a replica.
const STATES: &str = r#"{"name": "embedder", "base": "9c1f3a77", "serving": {"model": [{"name": "embedder", "engine": "sim"}]}, "wanted": 2, "spares": 1, "min": 1, "max": 4, "fixed_spares": null, "rollout": {"from": {}, "to": {"model": [{"name": "embedder", "source": "./models/new"}]}, "size": 2, "reserve": 1, "stage": "watching", "reason": "", "allow_other_shape": false, "blue_p95_ms": 141.5}}
{"pid": 4711, "began": 99, "revision": "9c1f3a77"}
"#;

const MANIFEST: &str = r#"{
  "version": 1,
  "requested": "hf:org/name",
  "source": "hf:org/name",
  "revision": "c9745ed1d9f207416be6d2e6f8de32d1f16199bf",
  "files": [
    { "name": "manifest.json", "bytes": 302, "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" }
  ]
}"#;

fn lines(text: &str) -> Vec<Vec<u8>> {
    text.lines().map(|line| line.as_bytes().to_vec()).collect()
}

/// One that signs itself, and its key: made anew, so that no key lies about.
fn certificate() -> Vec<u8> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    format!("{}{}", made.cert.pem(), made.signing_key.serialize_pem()).into_bytes()
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn files(folder: &str, ending: &str) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "{folder}/*{ending}");
    found.iter().map(|path| fs::read(path).unwrap()).collect()
}

fn configuration(path: &Path) {
    if let Ok(effective) = config::resolve(Some(path), None, &Flags::default(), |_| None) {
        fuzzed::configured(&effective);
    }
}

/// The whole command line is built to parse it, which takes far longer than a plan: once is enough.
fn plan(path: &Path) {
    static TYPED: LazyLock<ProbeArgs> = LazyLock::new(|| {
        let typed = ["preheat", "probe", "http://127.0.0.1:9"];
        match Cli::try_parse_from(typed).unwrap().verb {
            Verb::Probe(args) => args,
            _ => unreachable!("probe was typed"),
        }
    });
    fuzzed::plan(&ProbeArgs {
        plan: Some(path.to_owned()),
        ..TYPED.clone()
    });
}
