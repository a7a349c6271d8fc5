//! What a container is told to do and how it is probed, and what of that slows or breaks its start.

use super::{Cause, Evidence};

/// A liveness window shorter than this, with no startup probe before it, is short for any model.
const SHORT_WINDOW_S: f64 = 60.0;

/// The same where the weights are fetched first: gigabytes take minutes.
const SHORT_WINDOW_WITH_DOWNLOAD_S: f64 = 300.0;

/// A startup window shorter than this was not measured with a model in mind.
const SHORT_STARTUP_S: f64 = 20.0;

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

/// What images of servers are called whose libraries size their pools by the machine.
const POOLED: [&str; 12] = [
    "pytorch",
    "torch",
    "tensorflow",
    "onnxruntime",
    "transformers",
    "huggingface",
    "sentence-transformers",
    "tritonserver",
    "vllm",
    "fastapi",
    "uvicorn",
    "gunicorn",
];

/// Programs that start another one again when a file changes.
const RELOADERS: [&str; 6] = [
    "fastapi dev",
    "watchmedo",
    "nodemon",
    "watchexec",
    "hupper",
    "jurigged",
];

/// A container as a manifest or a description has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Container {
    pub name: String,
    pub source: String,
    /// Where it begins.
    pub line: u64,
    pub image: String,
    /// Command and arguments, one after the other.
    pub command: Vec<String>,
    pub env: Vec<(String, String)>,
    pub cpu_limit: Option<f64>,
    /// A device computes, so the size of thread pools matters little.
    pub has_accelerator: bool,
    pub startup: Option<Probe>,
    pub readiness: Option<Probe>,
    pub liveness: Option<Probe>,
    /// Requests are meant to reach it and Kubernetes decides when.
    pub is_served: bool,
    /// Where something else fetches the weights from before it starts.
    pub storage: Option<String>,
    /// It runs to its end before the others start.
    pub is_init: bool,
    /// Some volume outlives the pod, or the image itself carries files there.
    pub has_lasting_volume: bool,
    /// Somebody has computed the probes from a measured start.
    pub is_measured: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    pub kind: ProbeKind,
    /// From the first question to giving up, in seconds.
    pub window_s: f64,
    pub line: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeKind {
    Http(String),
    Tcp,
    /// A command or gRPC: what it asks is not seen from here.
    Other,
}

/// A cause found in a container.
pub(super) struct Found {
    pub(super) cause: Cause,
    pub(super) confidence: f64,
    pub(super) evidence: Evidence,
}

/// Whether a resource is a device: `nvidia.com/gpu`, `amd.com/gpu`, `google.com/tpu`,
/// `aws.amazon.com/neuron`, `gpu.intel.com/i915`.
pub(super) fn is_accelerator(resource: &str) -> bool {
    let parts = || resource.split(['/', '.', '-']);
    resource.contains('/') && parts().any(|part| matches!(part, "gpu" | "tpu" | "neuron"))
}

/// The line, what is seen there, and the confidence.
type Seen = (u64, String, f64);

/// A check of containers: what it looks for and how it answers.
pub struct Check {
    pub cause: Cause,
    /// The place and the confidence, if the container has it. The start is in seconds, if known.
    look: fn(&Container, Option<f64>) -> Option<Seen>,
}

/// Every check, as data.
pub(super) const CHECKS: &[Check] = &[
    Check {
        cause: Cause::LivenessKills,
        look: liveness_kills,
    },
    Check {
        cause: Cause::ProbeWindow,
        look: startup_window,
    },
    Check {
        cause: Cause::ReadyTooEarly,
        look: ready_too_early,
    },
    Check {
        cause: Cause::DoubleLoadReloader,
        look: reloader,
    },
    Check {
        cause: Cause::DoubleLoadWorkers,
        look: workers,
    },
    Check {
        cause: Cause::WarmupSkipped,
        look: skips_warmup,
    },
    Check {
        cause: Cause::CpuLimit,
        look: threads,
    },
    Check {
        cause: Cause::DownloadAtStart,
        look: downloads,
    },
];

impl Container {
    pub(super) fn check(&self, start_s: Option<f64>) -> Vec<Found> {
        let found = |check: &Check| {
            let (line, text, confidence) = (check.look)(self, start_s)?;
            let evidence = Evidence {
                source: self.source.clone(),
                line,
                text,
            };
            Some(Found {
                cause: check.cause,
                confidence,
                evidence,
            })
        };
        CHECKS.iter().filter_map(found).collect()
    }

    fn env(&self, name: &str) -> Option<&str> {
        self.env
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    fn words(&self) -> impl Iterator<Item = &str> {
        self.command.iter().flat_map(|part| part.split_whitespace())
    }

    fn says(&self, word: &str) -> bool {
        self.words().any(|known| known == word)
    }

    /// What follows an option, as its own word or behind `=`.
    fn option(&self, name: &str) -> Option<&str> {
        let words: Vec<&str> = self.words().collect();
        let behind = words
            .iter()
            .position(|word| *word == name)
            .and_then(|at| words.get(at + 1).copied());
        behind.or_else(|| {
            words
                .iter()
                .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
        })
    }

    /// Switches and what stands behind each, after `=` or a blank.
    fn switches(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let words: Vec<&str> = self.words().collect();
        let next: Vec<Option<&str>> = words
            .iter()
            .copied()
            .skip(1)
            .map(Some)
            .chain([None])
            .collect();
        let pairs = words.into_iter().zip(next);
        let switches = pairs.filter(|(word, _)| word.starts_with('-'));
        switches.map(|(word, next)| match word.split_once('=') {
            Some((switch, value)) => (switch, Some(value)),
            None => (word, next),
        })
    }

    fn program(&self) -> String {
        let mut program = self.image.to_ascii_lowercase();
        for part in &self.command {
            program.push(' ');
            program.push_str(&part.to_ascii_lowercase());
        }
        program
    }
}

fn liveness_kills(container: &Container, start_s: Option<f64>) -> Option<Seen> {
    let liveness = container.liveness.as_ref()?;
    if container.startup.is_some() {
        return None;
    }
    let window = liveness.window_s;
    match start_s {
        Some(start) if start > window => Some((
            liveness.line,
            format!(
                "container {}: liveness gives up after {window} s, the start takes {start:.1} s, and no startup probe comes before it",
                container.name
            ),
            0.95,
        )),
        None if window < shortest(container) && container.is_served => Some((
            liveness.line,
            format!(
                "container {}: liveness gives up after {window} s and no startup probe comes before it",
                container.name
            ),
            0.6,
        )),
        _ => None,
    }
}

/// What a start may take of which nothing is known but what it has to do.
fn shortest(container: &Container) -> f64 {
    match downloads(container, None) {
        Some(_) => SHORT_WINDOW_WITH_DOWNLOAD_S,
        None => SHORT_WINDOW_S,
    }
}

fn startup_window(container: &Container, start_s: Option<f64>) -> Option<Seen> {
    let startup = container.startup.as_ref()?;
    let window = startup.window_s;
    match start_s {
        Some(start) if start > window => Some((
            startup.line,
            format!(
                "container {}: the startup probe gives up after {window} s, the start takes {start:.1} s",
                container.name
            ),
            0.95,
        )),
        None if window < SHORT_STARTUP_S && !container.is_measured => Some((
            startup.line,
            format!(
                "container {}: the startup probe gives up after {window} s",
                container.name
            ),
            0.55,
        )),
        _ => None,
    }
}

fn ready_too_early(container: &Container, _: Option<f64>) -> Option<Seen> {
    let name = &container.name;
    let Some(readiness) = &container.readiness else {
        let text = format!(
            "container {name}: no readiness probe, so it counts as ready as soon as it runs"
        );
        return container.is_served.then_some((container.line, text, 0.8));
    };
    let (what, confidence) = match &readiness.kind {
        ProbeKind::Tcp => (
            "readiness asks only whether the port is open".to_owned(),
            0.75,
        ),
        ProbeKind::Http(path) if is_liveness(path, &container.image) => (
            format!("readiness asks {path}, which answers while the model loads"),
            0.8,
        ),
        _ => return None,
    };
    Some((
        readiness.line,
        format!("container {name}: {what}"),
        confidence,
    ))
}

/// Paths that say the process lives, not that the model is warm.
fn is_liveness(path: &str, image: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    let lives = [
        "/live",
        "/livez",
        "/alive",
        "/liveness",
        "/healthz/live",
        "/health/live",
        "/v2/health/live",
        "/",
        "/docs",
        "/openapi.json",
        "/metrics",
    ];
    lives.contains(&path) || (image.contains("preheat") && matches!(path, "/health" | "/ping"))
}

fn reloader(container: &Container, _: Option<f64>) -> Option<Seen> {
    let program = container.program();
    let told = container.says("--reload")
        || RELOADERS.iter().any(|reloader| program.contains(reloader))
        || container.says("--debug") && container.program().contains("flask")
        || container.env("FLASK_DEBUG").is_some_and(is_on)
        || container.env("UVICORN_RELOAD").is_some_and(is_on);
    told.then(|| {
        (
            container.line,
            format!(
                "container {}: started with a reloader: {}",
                container.name,
                container.command.join(" ")
            ),
            0.85,
        )
    })
}

fn workers(container: &Container, _: Option<f64>) -> Option<Seen> {
    let program = container.program();
    let manager = ["uvicorn", "gunicorn", "hypercorn", "fastapi"]
        .into_iter()
        .find(|name| program.contains(name))?;
    let told = container
        .option("--workers")
        .or_else(|| container.option("-w"))
        .or_else(|| container.env("WEB_CONCURRENCY"));
    let count: u32 = told?.parse().ok()?;
    let shared = manager == "gunicorn" && container.says("--preload");
    (count > 1 && !shared).then(|| {
        (
            container.line,
            format!(
                "container {}: {manager} starts {count} workers, each with a model of its own",
                container.name
            ),
            0.75,
        )
    })
}

fn skips_warmup(container: &Container, _: Option<f64>) -> Option<Seen> {
    let by_env = ["SKIP_WARMUP", "PREHEAT_SKIP_WARMUP"]
        .into_iter()
        .find(|name| container.env(name).is_some_and(is_on));
    let by_flag = container.words().find(|word| is_switch_of_warmup(word));
    let what = by_env.or(by_flag)?;
    Some((
        container.line,
        format!("container {}: {what} is set", container.name),
        0.9,
    ))
}

/// `--no-model-warmup`, `--skip-server-warmup`, `--disable-warmup`.
fn is_switch_of_warmup(word: &str) -> bool {
    let plain = word.strip_suffix("=true").unwrap_or(word).replace('_', "-");
    ["--no-", "--skip-", "--disable-"]
        .iter()
        .any(|start| plain.starts_with(start))
        && ["warmup", "warm-up"].iter().any(|end| plain.ends_with(end))
}

fn threads(container: &Container, _: Option<f64>) -> Option<Seen> {
    let limit = container.cpu_limit?;
    let name = &container.name;
    let set: Vec<(&str, f64)> = THREADS
        .iter()
        .filter_map(|var| Some((*var, container.env(var)?.trim().parse().ok()?)))
        .collect();
    if let Some((var, threads)) = set.iter().find(|(_, threads)| *threads > limit.ceil()) {
        return Some((
            container.line,
            format!("container {name}: {var}={threads} with a CPU limit of {limit}"),
            0.95,
        ));
    }
    if container.has_accelerator {
        return None;
    }
    let program = container.program();
    let pooled = POOLED.into_iter().any(|word| program.contains(word));
    // A reference to the limit itself (`resourceFieldRef`) has no value here and is as good.
    let is_set = container
        .env
        .iter()
        .any(|(known, _)| THREADS.contains(&known.as_str()));
    (pooled && !is_set).then(|| (container.line, format!("container {name}: a CPU limit of {limit}, and nothing that tells thread pools of it"), 0.5))
}

fn downloads(container: &Container, _: Option<f64>) -> Option<Seen> {
    // A claim is mounted; everything else is copied into each pod anew.
    if let Some(uri) = &container.storage {
        let text = format!("storage {uri} is fetched into every new pod");
        return (!uri.starts_with("pvc://")).then_some((container.line, text, 0.75));
    }
    if container.has_lasting_volume || container.env("HF_HUB_OFFLINE").is_some_and(is_on) {
        return None;
    }
    if container.is_init {
        let fetched = fetches(container)?;
        let text = format!(
            "init container {}: {fetched} is fetched into every new pod",
            container.name
        );
        return Some((container.line, text, 0.7));
    }
    let named = container.switches().find_map(|(switch, value)| {
        value.filter(|value| names_model(switch) && is_hub_name(value))
    });
    let positional = || {
        let words: Vec<&str> = container.command.iter().map(String::as_str).collect();
        let at = words
            .windows(2)
            .position(|pair| pair[0].ends_with("vllm") && pair[1] == "serve")
            .map(|at| at + 2);
        at.and_then(|at| words.get(at).copied())
    };
    let by_env = [
        "MODEL_ID",
        "HF_MODEL_ID",
        "MODEL_NAME",
        "HF_MODEL",
        "MODEL_REPO",
    ]
    .into_iter()
    .find_map(|var| container.env(var));
    let model = named.or_else(positional).or(by_env)?;
    is_hub_name(model).then(|| (container.line, format!("container {}: {model} is a name on a hub, and no volume keeps it from one start to the next", container.name), 0.7))
}

/// Whether a switch tells which model is served: `--model`, `--model-path`, `--hf-repo`.
fn names_model(switch: &str) -> bool {
    let plain = switch.trim_start_matches('-').replace('_', "-");
    let mut parts = plain.split('-');
    let last = parts.next_back().unwrap_or_default();
    let is_name = matches!(last, "model" | "id" | "path" | "name" | "repo" | "dir");
    is_name
        && (last == "model" || last == "repo" || parts.any(|part| matches!(part, "model" | "repo")))
}

/// What a command brings from elsewhere: an address beside a program that fetches.
fn fetches(container: &Container) -> Option<&str> {
    const PROGRAMS: [&str; 12] = [
        "curl",
        "wget",
        "aws",
        "gsutil",
        "gcloud",
        "azcopy",
        "rclone",
        "hf",
        "huggingface-cli",
        "mc",
        "s5cmd",
        "git",
    ];
    const SCHEMES: [&str; 6] = ["https://", "http://", "s3://", "gs://", "az://", "abfs://"];
    let is_program = |word: &str| PROGRAMS.contains(&word.rsplit('/').next().unwrap_or_default());
    let bare = |word: &str| word.trim_matches(['"', '\'', ';', '(', ')']).to_owned();
    container.words().find(|word| is_program(&bare(word)))?;
    let mut words = container.words();
    let by_address = words.find(|word| SCHEMES.iter().any(|scheme| bare(word).starts_with(scheme)));
    let on_hub = || container.words().find(|word| is_hub_name(&bare(word)));
    by_address.or_else(on_hub)
}

/// What folders are called that models lie in.
const FOLDERS: [&str; 10] = [
    "models",
    "model",
    "weights",
    "checkpoints",
    "data",
    "artifacts",
    "mnt",
    "opt",
    "srv",
    "app",
];

/// `org/name`, and not a path.
fn is_hub_name(model: &str) -> bool {
    let plain = model.strip_prefix("hf:").unwrap_or(model);
    if FOLDERS
        .iter()
        .any(|folder| plain.split('/').next() == Some(folder))
    {
        return false;
    }
    let mut parts = plain.split('/');
    let both = parts.next().is_some_and(is_word) && parts.next().is_some_and(is_word);
    both && parts.next().is_none() && !plain.starts_with('.')
}

fn is_word(part: &str) -> bool {
    !part.is_empty()
        && part
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@'))
}

fn is_on(value: &str) -> bool {
    matches!(
        value.trim().to_ascii_lowercase().as_str(),
        "1" | "true" | "yes" | "on"
    )
}
