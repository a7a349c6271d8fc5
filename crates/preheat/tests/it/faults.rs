//! Models that cannot be served: the process stays alive and says what is wrong and what to do, or
//! ends with the documented code.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::TcpListener;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client;
use crate::replica::{SIM, Start, free_addresses, linked_model, model_folder, root, served_from};

struct Fault {
    name: &'static str,
    damage: fn(&Path),
    stage: &'static str,
    /// A word that the cause must hold: what a person would search for.
    cause: &'static str,
    exit: i32,
}

const FAULTS: &[Fault] = &[
    Fault {
        name: "missing weights",
        damage: |folder| remove(folder, "model.safetensors"),
        stage: "fetching",
        cause: "model.safetensors",
        exit: 11,
    },
    Fault {
        name: "truncated weights",
        damage: |folder| rewrite(folder, "model.safetensors", |bytes| bytes.truncate(1 << 20)),
        stage: "loading",
        cause: "model.safetensors",
        exit: 12,
    },
    Fault {
        name: "corrupt header of weights",
        damage: |folder| rewrite(folder, "model.safetensors", |bytes| bytes[..64].fill(0xff)),
        stage: "loading",
        cause: "model.safetensors",
        exit: 12,
    },
    Fault {
        name: "weights that are not numbers",
        damage: |folder| poison(&copy(folder, "model.safetensors")),
        stage: "warming",
        cause: "NaN",
        exit: 13,
    },
    Fault {
        name: "unknown architecture",
        damage: |folder| {
            edit(folder, "config.json", |config| {
                config["architectures"] = json!(["MambaForCausalLM"]);
                config["model_type"] = json!("mamba");
            });
        },
        stage: "loading",
        cause: "mamba",
        exit: 12,
    },
    Fault {
        name: "configuration of another model",
        damage: |folder| {
            edit(folder, "config.json", |config| {
                config["hidden_size"] = json!(768);
            });
        },
        stage: "loading",
        cause: "768",
        exit: 12,
    },
    Fault {
        name: "configuration that is not JSON",
        damage: |folder| rewrite(folder, "config.json", |bytes| bytes.truncate(20)),
        stage: "loading",
        cause: "config.json",
        exit: 12,
    },
    Fault {
        name: "missing tokenizer",
        damage: |folder| remove(folder, "tokenizer.json"),
        stage: "loading",
        cause: "tokenizer.json",
        exit: 12,
    },
    Fault {
        // Vectors without it would look like the right ones.
        name: "a default prompt that is not there",
        damage: |folder| {
            let config = json!({"prompts": {"query": "query: "}, "default_prompt_name": "quarry"});
            let path = folder.join("config_sentence_transformers.json");
            // There or not, it is a link into the model's own folder.
            let _ = fs::remove_file(&path);
            fs::write(path, config.to_string()).unwrap();
        },
        stage: "loading",
        cause: "default_prompt_name",
        exit: 12,
    },
    Fault {
        // It would be waited for until somebody wrote into it.
        name: "a pipe in the place of a side file",
        damage: |folder| {
            let path = folder.join("sentence_bert_config.json");
            let _ = fs::remove_file(&path);
            let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
            rustix::fs::mkfifoat(rustix::fs::CWD, &path, mode).unwrap();
        },
        stage: "loading",
        cause: "sentence_bert_config.json",
        exit: 12,
    },
    Fault {
        // Its texts would fail, and what is batched with them.
        name: "tokenizer of another model",
        damage: |folder| {
            edit(folder, "tokenizer.json", |tokenizer| {
                let tokens = tokenizer["added_tokens"].as_array_mut().unwrap();
                let mut token = tokens[0].clone();
                token["content"] = json!("[ANOTHER]");
                token["id"] = json!(30_522);
                tokens.push(token);
            });
        },
        stage: "loading",
        cause: "30522",
        exit: 12,
    },
    Fault {
        name: "broken tokenizer",
        damage: |folder| rewrite(folder, "tokenizer.json", |bytes| bytes.truncate(1000)),
        stage: "loading",
        cause: "tokenizer.json",
        exit: 12,
    },
];

#[tokio::test]
async fn a_damaged_model_is_held_with_stage_cause_and_remedy() {
    for fault in FAULTS {
        let folder = damaged(fault);
        check_held(fault.name, &served_from(folder.path()), fault).await;
    }
}

#[tokio::test]
async fn a_damaged_model_ends_the_process_with_its_code_when_told_so() {
    for fault in FAULTS {
        let folder = damaged(fault);
        check_exit(fault.name, &served_from(folder.path()), fault.exit).await;
    }
}

#[tokio::test]
async fn a_wrong_checksum_is_found_before_the_weights_are_used() {
    let config = served_from(&model_folder()).replace(
        "[model.batching]",
        &format!("sha256 = \"{}\"\n[model.batching]", "0".repeat(64)),
    );
    check_exit("wrong checksum", &config, 12).await;
}

#[tokio::test]
async fn a_model_that_is_not_there_is_named() {
    let config = served_from(Path::new("/no/such/folder"));
    check_exit("no folder", &config, 11).await;
}

/// Faults of an engine, by the simulated one: what is wrong, where it shows, the exit code.
#[tokio::test]
async fn engine_faults_are_found_by_warmup_and_proof() {
    for (kind, stages, exit) in [
        ("load", &["loading"][..], 12),
        ("run", &["warming"], 13),
        ("nan", &["warming"], 13),
        ("rows", &["warming"], 13),
        ("dim", &["warming"], 13),
        ("mix", &["proving"], 14),
        ("hang", &["warming"], 13),
    ] {
        // Only what hangs is found by the time-out; a busy machine must not be taken for that.
        let limit = if kind == "hang" { "2s" } else { "60s" };
        let config = format!(
            "[warmup]\ntimeout = \"{limit}\"\n{SIM}\n[model.sim.fault]\nkind = \"{kind}\"\n"
        );
        let fault = Fault {
            name: kind,
            damage: |_| {},
            stage: stages[0],
            cause: "",
            exit,
        };
        check_held(kind, &config, &fault).await;
        check_exit(kind, &config, exit).await;
    }
}

#[tokio::test]
async fn an_address_in_use_is_named_with_its_own_code() {
    let addresses = free_addresses();
    let _taken = TcpListener::bind(addresses[0]).unwrap();
    let mut replica = Start::with(SIM).at(addresses).spawn();
    assert_eq!(replica.exit().await.code(), Some(16));
    assert!(
        replica.log().contains(&addresses[0].to_string()),
        "{}",
        replica.log()
    );
}

/// No GPU here, and none in this library: that is said, and no CPU takes its place.
#[tokio::test]
async fn a_device_that_is_not_there_is_named_and_not_replaced() {
    let models = root().join("target/models");
    let vad = models.join("onnx/silero_vad_16k_op15.onnx");
    let encoder = models.join("all-MiniLM-L6-v2");
    for (source, exit, told) in [
        (vad, 12, "cannot compute on cuda"),
        (encoder, 10, "not on cuda"),
    ] {
        let config = format!(
            "[cache]\ndir = {:?}\noffline = true\n[warmup]\non_failure = \"exit\"\n[[model]]\n\
             name = \"m\"\nsource = {source:?}\ndevice = \"cuda\"\n",
            root().join("target/tmp/cache")
        );
        let library = models.join("onnx/libonnxruntime.so.1.31.1");
        let start = Start::with(&config).env("ORT_DYLIB_PATH", library.to_str().unwrap());
        let mut replica = start.spawn();
        assert_eq!(replica.exit().await.code(), Some(exit), "{}", replica.log());
        assert!(
            replica.log().contains(told),
            "{told:?} in {}",
            replica.log()
        );
    }
}

#[tokio::test]
async fn a_configuration_that_is_wrong_is_explained() {
    for (config, told) in [
        ("[server]\nprot = 1\n", "prot"),
        ("[server]\nport = \"many\"\n", "port"),
        ("[drain]\ndelay = \"soon\"\n", "soon"),
        ("not toml at all", "preheat.toml"),
    ] {
        let mut replica = Start::with(config).spawn();
        assert_eq!(replica.exit().await.code(), Some(10), "{config}");
        assert!(
            replica.log().contains(told),
            "{told:?} in {}",
            replica.log()
        );
    }
}

async fn check_held(name: &str, config: &str, fault: &Fault) {
    let mut replica = Start::with(config).spawn();
    let failed = replica
        .wait_for(&format!("{name}: failed"), |ready| {
            ready.status == 503 && ready.json()["phase"] == "failed"
        })
        .await;
    let report = failed.json();
    let error = &report["models"][0]["error"];
    assert_eq!(error["stage"], fault.stage, "{name}: {error:#}");
    assert_eq!(error["exit_code"], fault.exit, "{name}: {error:#}");
    let cause = error["cause"].as_str().unwrap();
    assert!(
        cause.contains(fault.cause),
        "{name}: {:?} in {cause:?}",
        fault.cause
    );
    assert!(
        !error["remedy"].as_str().unwrap().is_empty(),
        "{name}: {error:#}"
    );
    assert_eq!(replica.get("/health").await.status, 200, "{name}");
    let refused = replica.post("/embed", &json!(["x"])).await;
    assert_eq!(refused.status, 503, "{name}: {refused:?}");
    // Held is not stuck: it still stops at once when told.
    replica.terminate();
    assert!(replica.exit().await.code().is_some(), "{name}");
}

async fn check_exit(name: &str, config: &str, code: i32) {
    let mut replica = Start::with(config)
        .env("PREHEAT_ON_FAILURE", "exit")
        .spawn();
    let status = replica.exit().await;
    assert_eq!(status.code(), Some(code), "{name}: {}", replica.log());
    assert!(client::get(replica.http, "/health").await.is_err());
}

/// A folder that looks like the model's, with one thing wrong. Files left alone are links.
fn damaged(fault: &Fault) -> TempDir {
    let folder = linked_model();
    (fault.damage)(folder.path());
    folder
}

fn remove(folder: &Path, file: &str) {
    fs::remove_file(folder.join(file)).unwrap();
}

/// Replaces the link by the file itself.
fn copy(folder: &Path, file: &str) -> File {
    let path = folder.join(file);
    let original = fs::canonicalize(&path).unwrap();
    fs::remove_file(&path).unwrap();
    fs::copy(original, &path).unwrap();
    File::options().read(true).write(true).open(path).unwrap()
}

fn rewrite(folder: &Path, file: &str, change: fn(&mut Vec<u8>)) {
    let path = folder.join(file);
    let mut bytes = fs::read(&path).unwrap();
    change(&mut bytes);
    fs::remove_file(&path).unwrap();
    fs::write(path, bytes).unwrap();
}

fn edit(folder: &Path, file: &str, change: fn(&mut Value)) {
    let path = folder.join(file);
    let mut value: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut value);
    fs::remove_file(&path).unwrap();
    fs::write(path, value.to_string()).unwrap();
}

/// Makes one tensor that every answer depends on a row of NaN.
fn poison(mut weights: &File) {
    let mut length = [0; 8];
    weights.read_exact(&mut length).unwrap();
    let length = u64::from_le_bytes(length);
    let mut header = vec![0; usize::try_from(length).unwrap()];
    weights.read_exact(&mut header).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    let offsets = &header["embeddings.LayerNorm.weight"]["data_offsets"];
    let (start, end) = (offsets[0].as_u64().unwrap(), offsets[1].as_u64().unwrap());
    weights.seek(SeekFrom::Start(8 + length + start)).unwrap();
    let count = usize::try_from((end - start) / 4).unwrap();
    weights
        .write_all(&f32::NAN.to_le_bytes().repeat(count))
        .unwrap();
}
