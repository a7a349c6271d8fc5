//! Values that no replica can work with.

use super::SettingsError;
use preheat_api::config::Config;
use preheat_api::quantity::Span;

/// Requests a second that a limit may be: from one in eleven days to one in a nanosecond.
const RATES: std::ops::RangeInclusive<f64> = 1e-6..=1e9;

/// More than this many times as slow is not asked of a clock.
const MOST_TIMES: f64 = 1e6;

pub(super) fn check(config: &Config) -> Result<(), SettingsError> {
    let positive = |key: &str, value: usize| match value {
        0 => Err(SettingsError::new(
            key,
            "must not be 0",
            "give a number above 0",
        )),
        _ => Ok(()),
    };
    let share = |key: &str, value: f64| match (0.0..1.0).contains(&value) {
        true => Ok(()),
        false => Err(SettingsError::new(
            key,
            format!("{value} is not a share"),
            "give a number from 0 to below 1",
        )),
    };
    let time = |key: &str, span: Span| match span.0.is_zero() {
        true => Err(SettingsError::new(
            key,
            "leaves no time",
            "give a time above 0, such as \"30s\"",
        )),
        false => Ok(()),
    };
    admin_is_somewhere(&config.server.admin)?;
    positive("limits.concurrency", config.limits.concurrency)?;
    positive("limits.client_batch", config.limits.client_batch)?;
    positive("warmup.rounds", config.warmup.rounds)?;
    positive("server.max_connections", config.server.max_connections)?;
    time("limits.request_timeout", config.limits.request_timeout)?;
    time("server.header_timeout", config.server.header_timeout)?;
    time("server.body_timeout", config.server.body_timeout)?;
    time("server.idle_timeout", config.server.idle_timeout)?;
    time("warmup.timeout", config.warmup.timeout)?;
    let rate = config.limits.rate;
    if rate != 0.0 && !RATES.contains(&rate) {
        return Err(SettingsError::new(
            "limits.rate",
            format!("{rate} is not a rate"),
            "give requests a second, or 0 for no limit",
        ));
    }
    share("memory.headroom", config.memory.headroom)?;
    share("warmup.tolerance", config.warmup.tolerance)?;
    share("drift.share", config.drift.share)?;
    if !(1.0..=MOST_TIMES).contains(&config.keepwarm.tolerance) {
        return Err(SettingsError::new(
            "keepwarm.tolerance",
            format!("{} is not from 1 on", config.keepwarm.tolerance),
            "give how many times as slow as its proof an idle replica may become, such as 1.5",
        ));
    }
    if config.warmup.max_rounds < config.warmup.rounds {
        return Err(SettingsError::new(
            "warmup.max_rounds",
            format!(
                "{} is less than warmup.rounds, which is {}",
                config.warmup.max_rounds, config.warmup.rounds
            ),
            "raise it, or lower warmup.rounds",
        ));
    }
    if config.warmup.max_first_ratio < 1.0 {
        return Err(SettingsError::new(
            "warmup.max_first_ratio",
            format!("{} is below 1", config.warmup.max_first_ratio),
            "a first request cannot be required to be faster than the rest: give 1 or more",
        ));
    }
    for model in &config.model {
        positive("model.instances", model.instances)?;
        positive("model.batching.max_batch", model.batching.max_batch)?;
        positive("model.batching.max_tokens", model.batching.max_tokens)?;
    }
    match config.model.len() {
        0 | 1 => Ok(()),
        more => Err(SettingsError::new(
            "model",
            format!("{more} models are configured"),
            "a replica serves one model: `preheat gateway` starts replicas for each of several",
        )),
    }
}

/// Words by which people switch things off.
const OFF: [&str; 6] = ["", "-", "disabled", "false", "none", "off"];

/// Without that listener nothing could ask a busy replica whether it is ready.
fn admin_is_somewhere(address: &str) -> Result<(), SettingsError> {
    if !OFF.contains(&address.trim().to_ascii_lowercase().as_str()) {
        return Ok(());
    }
    Err(SettingsError::new(
        "server.admin",
        format!(
            "`{address}` is no address, and this listener cannot be switched off: it answers probes"
        ),
        "keep it to this machine: 127.0.0.1:8002, 127.0.0.1:0 for any free port, or unix:/path",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_wants_to_switch_the_admin_listener_off_is_told_why_that_cannot_be() {
        for word in ["off", "None", "", " false "] {
            let mut config = Config::default();
            config.server.admin = word.into();
            let error = check(&config).unwrap_err();
            assert_eq!(error.key, "server.admin");
            assert!(error.problem.contains("probes"), "{error}");
            assert!(error.remedy.contains("unix:"), "{}", error.remedy);
        }
        assert_eq!(check(&Config::default()), Ok(()));
    }
}
