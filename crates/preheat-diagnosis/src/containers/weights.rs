//! Weights: whether every new pod fetches them again.

use super::command::is_on;
use super::{Container, Seen};

pub(super) fn downloads(container: &Container, _: Option<f64>) -> Option<Seen> {
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
        let text = format!("{fetched} is fetched into every new pod");
        return Some((container.line, text, 0.7));
    }
    if let Some(address) = address(container) {
        let text =
            format!("{address} is an address, and no volume keeps it from one start to the next");
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
    let Some(model) = named.or_else(positional).or(by_env) else {
        let fetched = fetches(container).filter(|_| is_about_models(container))?;
        let text =
            format!("{fetched} is fetched, and no volume keeps it from one start to the next");
        return Some((container.line, text, 0.7));
    };
    let text =
        format!("{model} is a name on a hub, and no volume keeps it from one start to the next");
    is_hub_name(model).then_some((container.line, text, 0.7))
}

/// Where the model is fetched from, as a setting tells: `MODEL_URL`, `--model-repository=s3://…`.
fn address(container: &Container) -> Option<&str> {
    const SCHEMES: [&str; 8] = [
        "https://", "http://", "s3://", "gs://", "az://", "abfs://", "hf://", "oci://",
    ];
    let is_far = |value: &str| {
        SCHEMES.iter().any(|scheme| value.starts_with(scheme))
            && !["localhost", "127.0.0.1"]
                .iter()
                .any(|here| value.contains(here))
    };
    let is_models = |name: &str| {
        let name = name.to_ascii_lowercase();
        ["model", "weights", "checkpoint"]
            .iter()
            .any(|word| name.contains(word))
    };
    // A server that is asked for answers is no place to fetch from.
    let is_file = |value: &str| {
        !value.starts_with("http") || {
            let last = value.rsplit('/').next().unwrap_or_default();
            last.contains('.') && value.matches('/').count() > 2
        }
    };
    let by_env = container.env.iter().find_map(|(name, value)| {
        (is_models(name) && is_far(value) && is_file(value)).then_some(value.as_str())
    });
    by_env.or_else(|| {
        let mut switches = container.switches();
        switches.find_map(|(switch, value)| {
            value.filter(|value| is_models(switch) && is_far(value) && is_file(value))
        })
    })
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

/// Whether what is fetched are models, rather than anything else.
fn is_about_models(container: &Container) -> bool {
    const WORDS: [&str; 8] = [
        "model",
        "weights",
        ".onnx",
        ".gguf",
        ".safetensors",
        "ckpt",
        "ollama pull",
        "hf download",
    ];
    let command = container.command.join(" ");
    WORDS.iter().any(|word| command.contains(word))
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
    let all: Vec<&str> = container.words().collect();
    let pulled = all
        .windows(3)
        .find(|words| words[0].ends_with("ollama") && words[1] == "pull");
    if let Some(words) = pulled {
        return Some(words[2]);
    }
    // What an image is called runs, where a container gives its arguments alone: `amazon/aws-cli:2`.
    let image = container.image.rsplit('/').next().unwrap_or_default();
    let mut names = image.split(['-', ':', '@']);
    let is_run = names.any(is_program) || container.words().any(|word| is_program(&bare(word)));
    if !is_run {
        return None;
    }
    let mut words = container.words();
    let is_here = |word: &str| word.contains("localhost") || word.contains("127.0.0.1");
    let by_address = words
        .find(|word| SCHEMES.iter().any(|scheme| bare(word).starts_with(scheme)) && !is_here(word));
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
