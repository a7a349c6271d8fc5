//! Probes: how long they wait, and what they ask.

use super::weights::downloads;
use super::{Container, ProbeKind, Seen, is_other};

/// A liveness window shorter than this, with no startup probe before it, is short for any model.
const SHORT_WINDOW_S: f64 = 60.0;

/// The same where the weights are fetched first: gigabytes take minutes.
const SHORT_WINDOW_WITH_DOWNLOAD_S: f64 = 300.0;

/// A startup window shorter than this was not measured with a model in mind.
const SHORT_STARTUP_S: f64 = 20.0;

pub(super) fn liveness_kills(container: &Container, start_s: Option<f64>) -> Option<Seen> {
    let liveness = container.liveness.as_ref()?;
    if container.startup.is_some() {
        return None;
    }
    let window = liveness.window_s;
    match start_s {
        Some(start) if start > window => Some((
            liveness.line,
            format!(
                "liveness gives up after {window} s, the start takes {start:.1} s, and no startup probe comes before it"
            ),
            0.95,
        )),
        None if window < shortest(container) && container.is_served => Some((
            liveness.line,
            format!("liveness gives up after {window} s and no startup probe comes before it"),
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

pub(super) fn startup_window(container: &Container, start_s: Option<f64>) -> Option<Seen> {
    let startup = container.startup.as_ref()?;
    let window = startup.window_s;
    match start_s {
        Some(start) if start > window => Some((
            startup.line,
            format!("the startup probe gives up after {window} s, the start takes {start:.1} s"),
            0.95,
        )),
        None if window < SHORT_STARTUP_S && !container.is_measured => Some((
            startup.line,
            format!("the startup probe gives up after {window} s"),
            0.55,
        )),
        _ => None,
    }
}

pub(super) fn ready_too_early(container: &Container, _: Option<f64>) -> Option<Seen> {
    let Some(readiness) = &container.readiness else {
        let text = "no readiness probe, so it counts as ready as soon as it runs".to_owned();
        // It does not count as ready before its startup probe has passed.
        let asks = |path: &str| !is_liveness(path, &container.image);
        let is_gated = container
            .startup
            .as_ref()
            .is_some_and(|startup| matches!(&startup.kind, ProbeKind::Http(path) if asks(path)));
        let is_taken = container.is_served && !container.is_down && !is_gated;
        return is_taken.then_some((container.line, text, 0.8));
    };
    let (what, confidence) = match &readiness.kind {
        ProbeKind::Tcp if is_other(&container.image) => return None,
        ProbeKind::Tcp => (
            "readiness asks only whether the port is open".to_owned(),
            0.75,
        ),
        ProbeKind::Http(path) if is_liveness(path, &container.image) => (
            format!("readiness asks {path}, which answers while the model loads"),
            0.8,
        ),
        ProbeKind::Exec(command) if is_blind(command) => (
            format!("readiness runs `{command}`, which tells nothing of the model"),
            0.75,
        ),
        _ => return None,
    };
    Some((readiness.line, what, confidence))
}

/// Whether a command succeeds while the model loads: it looks for a process or a port, or for nothing.
fn is_blind(command: &str) -> bool {
    const LOOKS: [&str; 9] = [
        "pgrep",
        "pidof",
        "ps ",
        "kill -0",
        "nc -z",
        "/dev/tcp/",
        "ss -",
        "netstat",
        "lsof",
    ];
    let last = command.rsplit(['/', ' ']).next().unwrap_or_default();
    matches!(last, "true" | ":")
        || command.ends_with("exit 0")
        || LOOKS.iter().any(|look| command.contains(look))
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
