//! Processes and threads: how many load the model, how many compute, and whether they warm up.

use super::command::is_on;
use super::{Container, Seen};
use crate::line::settings;
use crate::line::text::normal;

/// Variables that size thread pools.
const THREADS: [&str; 9] = [
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "RAYON_NUM_THREADS",
    "TORCH_NUM_THREADS",
    "ORT_NUM_THREADS",
    "INTRA_OP_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
];

/// Options that do the same.
const THREAD_OPTIONS: [&str; 7] = [
    "--threads",
    "--num-threads",
    "--n-threads",
    "--cpu-threads",
    "--omp-threads",
    "--intra-op-num-threads",
    "--intra-op-threads",
];

/// Programs whose threads wait for clients most of the time.
const WAITING: [&str; 5] = ["gunicorn", "waitress", "uwsgi", "granian", "hypercorn"];

/// What images of servers are called whose libraries size their pools by the machine.
const POOLED: [&str; 8] = [
    "pytorch",
    "torch",
    "tensorflow",
    "onnxruntime",
    "transformers",
    "sentence-transformers",
    "tritonserver",
    "vllm",
];

/// Programs that start another one again when a file changes.
const RELOADERS: [&str; 14] = [
    "fastapi dev",
    "watchmedo",
    "nodemon",
    "watchexec",
    "hupper",
    "jurigged",
    "tsx watch",
    "node --watch",
    "bun --watch",
    "bun --hot",
    "cargo watch",
    "ts-node-dev",
    "air -c",
    "reflex -r",
];

pub(super) fn reloader(container: &Container, _: Option<f64>) -> Option<Seen> {
    let program = container.program();
    let told = container.says("--reload")
        || RELOADERS.iter().any(|reloader| program.contains(reloader))
        || program.contains("manage.py runserver") && !container.says("--noreload")
        || container.says("--debug") && container.program().contains("flask")
        || container.env("FLASK_DEBUG").is_some_and(is_on)
        || container.env("UVICORN_RELOAD").is_some_and(is_on);
    told.then(|| {
        (
            container.line,
            format!("started with a reloader: {}", container.command.join(" ")),
            0.85,
        )
    })
}

pub(super) fn workers(container: &Container, _: Option<f64>) -> Option<Seen> {
    let program = container.program();
    // gunicorn first: the class of its workers may be named after another.
    let manager = [
        "gunicorn",
        "uvicorn",
        "hypercorn",
        "fastapi",
        "granian",
        "sanic",
        "uwsgi",
    ]
    .into_iter()
    .find(|name| program.contains(name))?;
    let told = container
        .option("--workers")
        .or_else(|| container.option("-w"))
        .or_else(|| container.option("--processes"))
        .or_else(|| container.within("GUNICORN_CMD_ARGS", "--workers"))
        .or_else(|| container.within("GUNICORN_CMD_ARGS", "-w"))
        .or_else(|| container.env("WEB_CONCURRENCY"));
    let count: u32 = told?.parse().ok()?;
    let by_env = || {
        let args = container.env("GUNICORN_CMD_ARGS").unwrap_or_default();
        args.split_whitespace().any(|word| word == "--preload")
    };
    let shared = manager == "gunicorn" && (container.says("--preload") || by_env());
    (count > 1 && !shared).then(|| {
        (
            container.line,
            format!("{manager} starts {count} workers, each with a model of its own"),
            0.75,
        )
    })
}

/// Variables that leave the warm-up out, most of them behind a server's own name.
const SWITCHES: [&str; 2] = ["SKIP_WARMUP", "DISABLE_WARMUP"];

pub(super) fn skips_warmup(container: &Container, _: Option<f64>) -> Option<Seen> {
    let by_env = container.env.iter().find_map(|(name, value)| {
        let is_switch = SWITCHES.iter().any(|switch| name.ends_with(switch));
        let is_none = name.contains("WARMUP") && counts(name) && value.trim() == "0";
        let is_off =
            name.contains("WARM") && settings::skips_warmup(&normal(&format!("{name}={value}")));
        (is_none || is_off || (is_switch && is_on(value))).then_some(name.as_str())
    });
    let by_flag = container
        .words()
        .find(|word| is_switch_of_warmup(word))
        .or_else(|| {
            let mut switches = container.switches();
            let none = switches.find(|(switch, value)| {
                let switch = switch.replace('-', "_").to_ascii_uppercase();
                switch.contains("WARMUP") && counts(&switch) && *value == Some("0")
            });
            none.map(|(switch, _)| switch)
        });
    let what = by_env.or(by_flag)?;
    Some((container.line, format!("{what} is set"), 0.9))
}

/// Whether a setting tells how much is run: `WARMUP_REQUESTS`.
fn counts(name: &str) -> bool {
    const COUNTED: [&str; 12] = [
        "REQUEST",
        "REQUESTS",
        "ITERATIONS",
        "ITERS",
        "RUNS",
        "ROUNDS",
        "STEPS",
        "SAMPLES",
        "COUNT",
        "PROMPTS",
        "CALLS",
        "CASES",
    ];
    let last = name.rsplit('_').next().unwrap_or_default();
    COUNTED.contains(&last)
}

/// gunicorn kills a worker that is silent for so long, if nobody says otherwise.
const GUNICORN_TIMEOUT_S: f64 = 30.0;

/// A manager's patience against a start that is known.
pub(super) fn timeout(container: &Container, start_s: Option<f64>) -> Option<Seen> {
    let start = start_s.or(container.start_s)?;
    let program = container.program();
    let shared = container.says("--preload");
    let patience = match container.manager_timeout_s {
        None if program.contains("gunicorn") && !shared => ["--timeout", "-t"]
            .into_iter()
            .find_map(|name| container.option(name))
            .map_or(Some(GUNICORN_TIMEOUT_S), |told| told.parse().ok())?,
        told => told?,
    };
    let is_short = patience > 0.0 && start > patience;
    is_short.then(|| {
        (
            container.line,
            format!("the manager gives up after {patience} s, the start takes {start:.1} s"),
            0.8,
        )
    })
}

/// `--no-model-warmup`, `--skip-server-warmup`, `--disable-warmup`.
fn is_switch_of_warmup(word: &str) -> bool {
    let plain = word.strip_suffix("=true").unwrap_or(word).replace('_', "-");
    ["--no-", "--skip-", "--disable-"]
        .iter()
        .any(|start| plain.starts_with(start))
        && ["warmup", "warm-up"].iter().any(|end| plain.ends_with(end))
}

pub(super) fn threads(container: &Container, _: Option<f64>) -> Option<Seen> {
    let limit = container.cpu_limit?;
    let program = container.program();
    let computes = !WAITING.into_iter().any(|word| program.contains(word));
    let by_env = THREADS.iter().map(|var| (*var, container.env(var)));
    let by_option = THREAD_OPTIONS
        .iter()
        .filter(|_| computes)
        .map(|name| (*name, container.option(name)));
    let set: Vec<(&str, f64)> = by_env
        .chain(by_option)
        .filter_map(|(name, threads)| Some((name, threads?.trim().parse().ok()?)))
        .collect();
    if let Some((var, threads)) = set.iter().find(|(_, threads)| *threads > limit.ceil()) {
        return Some((
            container.line,
            format!("{var}={threads} with a CPU limit of {limit}"),
            0.95,
        ));
    }
    if container.has_accelerator {
        return None;
    }
    let pooled = POOLED.into_iter().any(|word| program.contains(word));
    // A reference to the limit itself (`resourceFieldRef`) has no value here and is as good.
    let is_set = !set.is_empty()
        || container
            .env
            .iter()
            .any(|(known, _)| THREADS.contains(&known.as_str()));
    let text = format!("a CPU limit of {limit}, and nothing that tells thread pools of it");
    (pooled && !is_set).then_some((container.line, text, 0.5))
}
