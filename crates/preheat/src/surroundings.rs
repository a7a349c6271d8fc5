//! The one place that reads the environment, besides the flags' own variables.

use std::ffi::OsString;
use std::path::PathBuf;

use preheat_api::settings::{SETTINGS, env};
use preheat_runtime::cpu;
use preheat_server::Surroundings;

/// A variable, unless it is empty.
pub fn var(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Variables that look like ours and set nothing: a slip of somebody's.
pub fn strangers() -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mut strangers: Vec<String> = names.filter(|name| is_stranger(name)).collect();
    strangers.sort_unstable();
    strangers
}

fn is_stranger(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(env::PREFIX) else {
        return false;
    };
    let own = [env::CONFIG, env::URL, env::API_KEY];
    // Kubernetes tells of services called preheat, or preheat-something, in names of these kinds.
    let of_a_service =
        rest.contains("SERVICE_") || rest.starts_with("PORT_") || rest.contains("_PORT");
    !of_a_service && !own.contains(&name) && !SETTINGS.iter().any(|setting| setting.env == name)
}

/// Keeps ONNX Runtime from telling its makers of this process. Builds of theirs do that from the moment
/// on that they are loaded, through a database in the user's cache directory; what their interface
/// offers against it comes later than that. Call it before there is another thread.
pub fn without_telemetry() {
    if std::env::var_os(env::ORT_DISABLE_TELEMETRY).is_none() {
        #[expect(
            unsafe_code,
            reason = "the library asks for nothing but the environment"
        )]
        // SAFETY: no other thread reads the environment meanwhile, as there is none.
        unsafe {
            std::env::set_var(env::ORT_DISABLE_TELEMETRY, "1");
        }
    }
}

/// What the process finds around it.
pub fn read() -> Surroundings {
    let store = std::env::vars()
        .filter(|(name, _)| {
            name.starts_with(env::AWS_PREFIX) || name.starts_with(env::GOOGLE_PREFIX)
        })
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .collect();
    Surroundings {
        cache_dir: cache_dir(),
        hf_endpoint: var(env::HF_ENDPOINT),
        hf_token: var(env::HF_TOKEN),
        hf_home: var(env::HF_HOME)
            .map(PathBuf::from)
            .or_else(|| Some(user_cache()?.join("huggingface"))),
        hf_offline: var(env::HF_HUB_OFFLINE).is_some_and(|v| !matches!(v.as_str(), "0" | "false")),
        store,
        cpus: cpu::usable(),
        keeper: keeper(),
        run_dir: run_dir(),
    }
}

/// This program, asked to keep a command. Where it cannot be found again, it is looked for by name.
fn keeper() -> Vec<OsString> {
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("preheat"));
    vec![program.into(), "keep".into(), "--".into()]
}

/// `preheat` under the user's cache directory; where there is no home, under the temporary one.
pub fn cache_dir() -> PathBuf {
    user_cache()
        .unwrap_or_else(std::env::temp_dir)
        .join("preheat")
}

/// Where folders for sockets of replicas go: short enough for them.
pub fn run_dir() -> PathBuf {
    var("XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute() && path.as_os_str().len() < 40)
        .unwrap_or_else(|| PathBuf::from("/tmp"))
}

fn user_cache() -> Option<PathBuf> {
    let xdg = var(env::XDG_CACHE_HOME)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    xdg.or_else(|| Some(PathBuf::from(var(env::HOME)?).join(".cache")))
}

/// Whether people want plain text.
pub fn no_color() -> bool {
    var(env::NO_COLOR).is_some()
}

/// Whether streams are not to be redrawn: a machine looks at them, or a terminal without a cursor.
pub fn plain_output() -> bool {
    var("CI").is_some() || var("TERM").is_none_or(|term| term == "dumb")
}

/// Whether the terminal shows more than ASCII: what the locale says.
pub fn utf8() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(var);
    locale.is_some_and(|name| {
        let name = name.to_ascii_lowercase();
        name.contains("utf-8") || name.contains("utf8")
    })
}
