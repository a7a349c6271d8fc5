//! What a step of a trace does, by what it is called.

use super::{LONG_WAIT_MS, Span};
use crate::Evidence;
use crate::line::amount::amounts;
use crate::line::text::normal;
use crate::line::{Parsed, Plain};
use crate::rules::Part;
use crate::timeline::kind;

/// What a step does of a start, by its name, else by what goes with it.
pub(crate) fn part(step: &Span) -> Option<Part> {
    let name = words(&step.name);
    let told = |text: &str| {
        let plain = Plain::of(text)?;
        let parsed = Parsed {
            text: &plain.text,
            hits: &plain.hits,
            amounts: amounts(&plain.text),
            at: None,
            is_timed: true,
            evidence: Evidence {
                source: String::new(),
                line: 0,
                pod: None,
                text: String::new(),
            },
        };
        parsed.parts().next().map(|(_, part)| part)
    };
    if is_of_warmup(&name) || is_of_work(&name) || is_of_program(&name) {
        return None;
    }
    if is_download(&name) {
        return Some(Part::Download);
    }
    // A model that runs is not loaded.
    let is_made = |part: &Part| *part != Part::Weights || begins(&name);
    told(&name)
        .or_else(|| is_of_device(&name).then_some(Part::Context))
        .or_else(|| kind(&normal(&name)).filter(is_made))
        .or_else(|| told(&format!("{name} {}", step.fields)))
}

/// `tokenizer.from_pretrained`, `loadModel`: words are words, however a name joins them.
fn words(name: &str) -> String {
    let mut words = String::with_capacity(name.len() + 8);
    let mut was_small = false;
    for c in name.chars() {
        if c.is_ascii_uppercase() && was_small {
            words.push(' ');
        }
        was_small = c.is_ascii_lowercase();
        words.push(if matches!(c, '.' | ':' | '/' | '_') {
            ' '
        } else {
            c
        });
    }
    words
}

fn has(name: &str, list: &[&str]) -> bool {
    let name = words(name).to_ascii_lowercase();
    let mut own = name.split(|c: char| !c.is_ascii_alphanumeric());
    own.any(|word| list.iter().any(|begin| word.starts_with(begin)))
}

fn is_of_warmup(name: &str) -> bool {
    has(name, &["warm", "warmup", "prewarm", "selftest", "dryrun"])
}

/// What every request does.
fn is_of_work(name: &str) -> bool {
    const WORK: [&str; 14] = [
        "forward",
        "infer",
        "predict",
        "generate",
        "decode",
        "encode",
        "tokenize",
        "detokenize",
        "prefill",
        "embed",
        "score",
        "sample",
        "postprocess",
        "preprocess",
    ];
    has(name, &WORK) && !begins(name)
}

/// Something is made that was not there before.
pub(crate) fn begins(name: &str) -> bool {
    const FIRST: [&str; 22] = [
        "get",
        "obtain",
        "load",
        "init",
        "create",
        "creation",
        "build",
        "compil",
        "open",
        "pretrained",
        "first",
        "lazy",
        "lazily",
        "setup",
        "ensure",
        "capture",
        "autotun",
        "restore",
        "deserializ",
        "read",
        "import",
        "download",
    ];
    has(name, &FIRST)
}

/// Something else is asked for something.
fn is_of_program(name: &str) -> bool {
    const PROGRAMS: [&str; 18] = [
        "select",
        "insert",
        "sql",
        "redis",
        "postgres",
        "pg",
        "pgvector",
        "mysql",
        "mongo",
        "elastic",
        "kafka",
        "memcached",
        "db",
        "dns",
        "auth",
        "jwt",
        "template",
        "config",
    ];
    has(name, &PROGRAMS)
}

fn is_download(name: &str) -> bool {
    const WHAT: [&str; 9] = [
        "snapshot",
        "model",
        "weight",
        "checkpoint",
        "hub",
        "artifact",
        "safetensors",
        "hf",
        "gguf",
    ];
    has(name, &["download", "fetch"]) && has(name, &WHAT)
}

/// Nobody waits for what a job does.
pub(super) fn is_job(name: &str) -> bool {
    const JOBS: [&str; 8] = [
        "train", "training", "finetune", "job", "build", "eval", "cron", "epoch",
    ];
    has(name, &JOBS) && !has(name, &["post", "get", "request", "predict", "infer"])
}

/// `cudaSetDevice`, `gpu.attach`: something is done to a device for the first time.
fn is_of_device(name: &str) -> bool {
    const DEVICES: [&str; 9] = [
        "cuda",
        "hip",
        "gpu",
        "device",
        "rocm",
        "cublas",
        "cudnn",
        "npu",
        "accelerator",
    ];
    const DONE: [&str; 8] = [
        "set", "attach", "acquire", "context", "driver", "primary", "init", "ensure",
    ];
    has(name, &DEVICES) && has(name, &DONE)
}

/// Somebody waits until there is a replica at all.
pub(super) fn is_wait(step: &Span) -> bool {
    const WAITS: [&str; 14] = [
        "wait",
        "hold",
        "held",
        "park",
        "queue",
        "pending",
        "buffer",
        "activat",
        "cold",
        "scale",
        "provision",
        "wake",
        "await",
        "block",
    ];
    const FOR: [&str; 13] = [
        "replica",
        "pod",
        "instance",
        "container",
        "endpoint",
        "worker",
        "node",
        "ready",
        "capacity",
        "backend",
        "start",
        "coldstart",
        "zero",
    ];
    let told = format!("{} {}", step.name, step.fields);
    step.took_ms >= LONG_WAIT_MS && has(&step.name, &WAITS) && has(&told, &FOR)
}

/// The root is a start, and no request.
pub(super) fn is_start(name: &str) -> bool {
    const STARTS: [&str; 12] = [
        "start",
        "startup",
        "boot",
        "bootstrap",
        "init",
        "deploy",
        "rollout",
        "launch",
        "provision",
        "lifespan",
        "pod",
        "main",
    ];
    const ASKED: [&str; 8] = [
        "post",
        "get",
        "http",
        "grpc",
        "request",
        "predict",
        "infer",
        "completions",
    ];
    has(name, &STARTS) && !has(name, &ASKED)
}
