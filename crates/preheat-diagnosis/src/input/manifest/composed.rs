//! Compose files → containers. A health check of theirs ends nothing by itself; somebody who restarts what
//! is unhealthy does, and whoever waits for it to be healthy gives up.

use serde_json::Value;

use super::{Place, environment, text, words};
use crate::containers::cpus;
use crate::line::{amount, text as lines};
use crate::{Container, Probe, ProbeKind};

pub(super) fn containers(value: &Value, place: &Place<'_>, all: &mut Vec<Container>) {
    let Some(services) = value["services"].as_object() else {
        return;
    };
    let is_healed = services
        .values()
        .any(|service| text(&service["image"]).contains("autoheal"));
    let is_awaited = |name: &str| {
        let waits = |service: &Value| service["depends_on"][name]["condition"] == "service_healthy";
        services.values().any(waits)
    };
    for (name, service) in services.iter().take(64) {
        let line = place
            .line(&format!("{name}:"), 0)
            .unwrap_or(place.first_line);
        let checked = place.line("healthcheck:", line).unwrap_or(line);
        let check = health(&service["healthcheck"], checked);
        all.push(Container {
            name: name.clone(),
            source: place.source.to_owned(),
            line,
            image: text(&service["image"]),
            command: [&service["entrypoint"], &service["command"]]
                .into_iter()
                .flat_map(words)
                .collect(),
            env: environment(&service["environment"]),
            cpu_limit: cpus(&text(&service["deploy"]["resources"]["limits"]["cpus"]))
                .or_else(|| cpus(&text(&service["cpus"]))),
            has_lasting_volume: service["volumes"]
                .as_array()
                .is_some_and(|volumes| !volumes.is_empty()),
            startup: check.clone().filter(|_| is_awaited(name)),
            liveness: check.filter(|_| is_healed || !service["deploy"]["replicas"].is_null()),
            ..Container::default()
        });
    }
}

/// Docker's defaults: every 30 s, three failures, no grace.
fn health(check: &Value, line: u64) -> Option<Probe> {
    check.as_object().filter(|check| !check.is_empty())?;
    let told = |key: &str| seconds(&text(&check[key]));
    let retries = check["retries"].as_f64().unwrap_or(3.0);
    Some(Probe {
        kind: ProbeKind::Exec(words(&check["test"]).join(" ")),
        window_s: told("start_period").unwrap_or(0.0) + told("interval").unwrap_or(30.0) * retries,
        line,
    })
}

/// `90s`, `1m30s`.
fn seconds(told: &str) -> Option<f64> {
    let amounts = amount::amounts(&lines::normal(told));
    let whole = told
        .strip_suffix('m')
        .and_then(|minutes| minutes.parse::<f64>().ok());
    let minutes = whole.map(|minutes| minutes * 60.0);
    minutes.or_else(|| amounts.first().map(|amount| amount.ms / 1e3))
}

#[cfg(test)]
mod tests {
    use super::super::containers;

    #[test]
    fn a_health_check_counts_where_somebody_acts_on_it() {
        let check =
            "    healthcheck: {test: [CMD, x], interval: 5s, retries: 4, start_period: 1m}\n";
        let read = |more: &str| {
            let text = format!("services:\n  a:\n    image: b\n{check}{more}");
            let all = containers("compose.yaml", &text);
            let windows = [&all[0].startup, &all[0].liveness];
            windows.map(|probe| probe.as_ref().map(|probe| probe.window_s))
        };
        assert_eq!(read(""), [None, None]);
        let healer = "  h:\n    image: willfarrell/autoheal\n";
        assert_eq!(read(healer), [None, Some(80.0)]);
        let waiting = "  c:\n    image: c\n    depends_on: {a: {condition: service_healthy}}\n";
        assert_eq!(read(waiting), [Some(80.0), None]);
    }
}
