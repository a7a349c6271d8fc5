//! Task definitions of ECS → containers.

use serde_json::Value;

use super::{Place, environment, text, words};
use crate::{Container, Probe, ProbeKind};

/// Of so many units, ECS makes one processor.
const UNITS: f64 = 1024.0;

/// Whether a text may be one.
pub(super) fn may_be(text: &str) -> bool {
    text.contains("\"containerDefinitions\"")
}

pub(super) fn containers(value: &Value, place: &Place<'_>, all: &mut Vec<Container>) {
    let task = match value["taskDefinition"].is_object() {
        true => &value["taskDefinition"],
        false => value,
    };
    let Some(definitions) = task["containerDefinitions"].as_array() else {
        return;
    };
    for definition in definitions.iter().take(64) {
        let units = number(&definition["cpu"]).or_else(|| number(&task["cpu"]));
        let check = &definition["healthCheck"];
        let told = |key: &str, default: f64| check[key].as_f64().unwrap_or(default);
        let liveness = check.is_object().then(|| Probe {
            kind: ProbeKind::Exec(words(&check["command"]).join(" ")),
            window_s: told("startPeriod", 0.0) + told("interval", 30.0) * told("retries", 3.0),
            line: place.first_line,
        });
        let keys = |value: &Value| value.as_array().is_some_and(|list| !list.is_empty());
        all.push(Container {
            name: text(&definition["name"]),
            source: place.source.to_owned(),
            line: place.first_line,
            image: text(&definition["image"]),
            command: [&definition["entryPoint"], &definition["command"]]
                .into_iter()
                .flat_map(words)
                .collect(),
            env: environment(&definition["environment"]),
            cpu_limit: units
                .filter(|units| *units > 0.0)
                .map(|units| units / UNITS),
            has_accelerator: keys(&definition["resourceRequirements"]),
            has_lasting_volume: keys(&definition["mountPoints"]),
            liveness,
            ..Container::default()
        });
    }
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::super::{containers, is_one};

    #[test]
    fn a_task_definition_is_read() {
        let text = r#"{"family": "e", "containerDefinitions": [{"name": "e", "image": "b:1", "cpu": 2048, "command": ["gunicorn", "-w", "8"], "environment": [{"name": "A", "value": "1"}], "healthCheck": {"command": ["CMD", "x"], "interval": 5, "retries": 2, "startPeriod": 20}}]}"#;
        assert!(is_one("task.json", text));
        let all = containers("task.json", text);
        assert_eq!((all[0].cpu_limit, all[0].command.len()), (Some(2.0), 3));
        assert_eq!(all[0].liveness.as_ref().unwrap().window_s, 30.0);
        assert!(!is_one("a.json", "{\"family\": \"x\"}"));
    }
}
