//! Kubernetes manifests and Compose files → containers.

mod composed;
mod remarks;
mod tasks;
mod values;

pub(super) use remarks::start_s;

use crate::containers::{cpus, is_accelerator, is_other};
use crate::{Container, Probe, ProbeKind};
use serde_json::Value;

/// Documents of one file that are looked at.
const DOCUMENTS: usize = 256;

/// Kinds whose pods serve requests.
const SERVING: [&str; 9] = [
    "Deployment",
    "Rollout",
    "CloneSet",
    "StatefulSet",
    "DaemonSet",
    "ReplicaSet",
    "Pod",
    "Service",
    "InferenceService",
];

/// Whether a text is a manifest, by its name and its first keys.
pub fn is_one(source: &str, text: &str) -> bool {
    let named = [".yaml", ".yml"].iter().any(|end| source.ends_with(end));
    let key = |line: &str| {
        ["apiVersion:", "kind:", "services:", "spec:"]
            .iter()
            .any(|key| line.starts_with(key))
    };
    let keyed = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .take(40)
        .any(key);
    (named && values::may_be(text))
        || tasks::may_be(text)
        || keyed
            && (named
                || text
                    .lines()
                    .any(|line| line.starts_with("kind:") || line.starts_with("services:")))
}

/// Every container in a file. What is not YAML, or not a manifest, has none.
pub fn containers(source: &str, text: &str) -> Vec<Container> {
    let mut all = Vec::new();
    for (first_line, document) in documents(text) {
        let Ok(value) = serde_yaml_ng::from_str::<Value>(&document) else {
            continue;
        };
        let place = Place {
            source,
            document: &document,
            first_line,
        };
        let known = all.len();
        kubernetes(&value, &place, &mut all);
        composed::containers(&value, &place, &mut all);
        tasks::containers(&value, &place, &mut all);
        if value["kind"].is_null() && value["services"].is_null() {
            values::containers(&value, &place, 0, &mut all);
        }
        let start_s = remarks::start_s(&document);
        for container in &mut all[known..] {
            container.start_s = start_s;
        }
    }
    all
}

struct Place<'a> {
    source: &'a str,
    document: &'a str,
    first_line: u64,
}

impl Place<'_> {
    /// The line, from `after` on, that begins with `text` but for dashes and blanks.
    fn line(&self, text: &str, after: u64) -> Option<u64> {
        let begins = |line: &str| line.trim_start_matches([' ', '-']).starts_with(text);
        let numbered = (self.first_line..).zip(self.document.lines());
        numbered
            .filter(|(number, _)| *number >= after)
            .find(|(_, line)| begins(line))
            .map(|(number, _)| number)
    }
}

/// The documents of a stream with the line that each begins on.
fn documents(text: &str) -> Vec<(u64, String)> {
    let mut all = vec![(1, String::new())];
    for (number, line) in (1..).zip(text.lines()) {
        // What a console shows ends where the next command is given.
        let is_next = ["--- ", "$ "].iter().any(|begin| line.starts_with(begin));
        if line.trim_end() == "---" || is_next {
            if all.len() == DOCUMENTS {
                break;
            }
            all.push((number + 1, String::new()));
        } else if let Some((_, document)) = all.last_mut() {
            document.push_str(line);
            document.push('\n');
        }
    }
    all
}

fn kubernetes(value: &Value, place: &Place<'_>, all: &mut Vec<Container>) {
    let kind = value["kind"].as_str().unwrap_or_default();
    if let Some(items) = value["items"].as_array().filter(|_| kind.ends_with("List")) {
        for item in items.iter().take(DOCUMENTS) {
            kubernetes(item, place, all);
        }
        return;
    }
    let template = &value["spec"]["template"];
    let job = &value["spec"]["jobTemplate"]["spec"]["template"];
    let predictor = &value["spec"]["predictor"];
    let (spec, metadata) = match kind {
        "Pod" => (&value["spec"], &value["metadata"]),
        "CronJob" => (&job["spec"], &job["metadata"]),
        "InferenceService" => (predictor, &value["metadata"]),
        _ => (&template["spec"], &template["metadata"]),
    };
    if kind == "InferenceService" {
        all.extend(stored(predictor, place));
    }
    let serving = SERVING.contains(&kind);
    let first = spec["initContainers"].as_array().into_iter().flatten();
    // One that is restarted always is a sidecar.
    for container in first.filter(|one| one["restartPolicy"].is_null()).take(64) {
        all.push(Container {
            is_init: true,
            has_lasting_volume: has_lasting_volume(spec, container),
            ..container_of(container, place)
        });
    }
    let Some(containers) = spec["containers"].as_array() else {
        return;
    };
    // Beside others, the one that serves is the one that has ports.
    let alone = containers.len() == 1;
    for container in containers.iter().take(64) {
        let has_ports = container["ports"]
            .as_array()
            .is_some_and(|ports| !ports.is_empty());
        let mut read = container_of(container, place);
        read.is_served = serving
            && (alone || has_ports)
            && !is_other(&read.image)
            && value["status"]["phase"] != "Pending";
        read.is_down = is_down(&value["status"], &read.name);
        read.has_lasting_volume = has_lasting_volume(spec, container);
        read.is_measured = [metadata, &value["metadata"]]
            .iter()
            .any(|m| !m["annotations"]["preheat/measured-start"].is_null());
        all.push(read);
    }
}

/// Whether a pod's status says that a container does not run.
fn is_down(status: &Value, name: &str) -> bool {
    let mut all = status["containerStatuses"].as_array().into_iter().flatten();
    all.any(|one| {
        let state = &one["state"];
        let is_told = one["ready"] == false || state["waiting"].is_object();
        one["name"] == name && is_told && state["running"].is_null()
    })
}

/// A model that KServe fetches and whose container it brings: `model: {storageUri}`, or in older files
/// the framework's name instead of `model`.
fn stored(predictor: &Value, place: &Place<'_>) -> Option<Container> {
    let (name, model) = predictor
        .as_object()?
        .iter()
        .find(|(_, model)| model["storageUri"].is_string())?;
    Some(Container {
        line: place.line("storageUri:", 0).unwrap_or(place.first_line),
        storage: Some(text(&model["storageUri"])),
        // KServe's runtimes have probes of their own, which the file does not show.
        is_served: false,
        name: name.clone(),
        ..container_of(model, place)
    })
}

fn container_of(container: &Value, place: &Place<'_>) -> Container {
    let name = text(&container["name"]);
    let line = place
        .line(&format!("name: {name}"), 0)
        .or_else(|| place.line("image:", 0))
        .unwrap_or(place.first_line);
    let probe = |key: &str| {
        let at = place
            .line(&format!("{key}:"), line)
            .or_else(|| place.line(&format!("{key}:"), 0))
            .unwrap_or(line);
        probe_of(&container[key], at)
    };
    Container {
        source: place.source.to_owned(),
        line,
        image: text(&container["image"]),
        command: [&container["command"], &container["args"]]
            .into_iter()
            .flat_map(words)
            .collect(),
        env: environment(&container["env"]),
        cpu_limit: cpus(&text(&container["resources"]["limits"]["cpu"])),
        has_accelerator: container["resources"]["limits"]
            .as_object()
            .is_some_and(|limits| limits.keys().any(|name| is_accelerator(name))),
        startup: probe("startupProbe"),
        readiness: probe("readinessProbe"),
        liveness: probe("livenessProbe"),
        name,
        ..Container::default()
    }
}

/// Defaults as Kubernetes has them: every 10 s, three failures.
fn probe_of(probe: &Value, line: u64) -> Option<Probe> {
    // Values of charts leave a probe out so.
    probe.as_object().filter(|probe| !probe.is_empty())?;
    let number = |key: &str, default: f64| probe[key].as_f64().unwrap_or(default);
    let kind = match (&probe["httpGet"], &probe["tcpSocket"]) {
        (Value::Object(get), _) => {
            ProbeKind::Http(get.get("path").map(text).unwrap_or_else(|| "/".into()))
        }
        (_, Value::Object(_)) => ProbeKind::Tcp,
        _ if probe["exec"].is_object() => {
            ProbeKind::Exec(words(&probe["exec"]["command"]).join(" "))
        }
        _ => ProbeKind::Other,
    };
    let window_s = number("initialDelaySeconds", 0.0)
        + number("periodSeconds", 10.0) * number("failureThreshold", 3.0);
    Some(Probe {
        kind,
        window_s,
        line,
    })
}

fn has_lasting_volume(spec: &Value, container: &Value) -> bool {
    let mounted = |name: &str| {
        let mounts = container["volumeMounts"].as_array();
        mounts.is_some_and(|mounts| mounts.iter().any(|mount| mount["name"] == name))
    };
    let lasting = |volume: &&Value| {
        let kept = [
            "persistentVolumeClaim",
            "hostPath",
            "csi",
            "nfs",
            "image",
            "ephemeral",
        ];
        kept.iter().any(|key| !volume[*key].is_null())
            && mounted(volume["name"].as_str().unwrap_or_default())
    };
    // Claims of a StatefulSet are mounted by name without a volume of their own.
    let claimed = |mount: &Value| {
        let name = &mount["name"];
        spec["volumes"]
            .as_array()
            .is_none_or(|volumes| volumes.iter().all(|volume| volume["name"] != *name))
    };
    let volumes = spec["volumes"].as_array();
    volumes.is_some_and(|volumes| volumes.iter().any(|volume| lasting(&volume)))
        || container["volumeMounts"]
            .as_array()
            .is_some_and(|mounts| mounts.iter().any(claimed))
}

/// A command as a list or as one string.
fn words(value: &Value) -> Vec<String> {
    match value {
        Value::Array(words) => words.iter().map(text).collect(),
        Value::String(line) => line.split_whitespace().map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// `[{name, value}]`, `{NAME: value}` and `["NAME=value"]`. What refers elsewhere has an empty value.
fn environment(value: &Value) -> Vec<(String, String)> {
    match value {
        Value::Array(list) => list
            .iter()
            .take(512)
            .map(|entry| match entry.as_str() {
                Some(pair) => pair
                    .split_once('=')
                    .map_or((pair.to_owned(), String::new()), |(name, value)| {
                        (name.to_owned(), value.to_owned())
                    }),
                None => (text(&entry["name"]), text(&entry["value"])),
            })
            .collect(),
        Value::Object(map) => map
            .iter()
            .take(512)
            .map(|(name, value)| (name.clone(), text(value)))
            .collect(),
        _ => Vec::new(),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_and_a_compose_file_are_read() {
        let text = "# x\napiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - name: a\n    image: b:1\n    command: [uvicorn, app:app]\n    args: ['--workers', 2]\n    env:\n    - {name: X, value: '1'}\n    resources: {limits: {cpu: 500m}}\n    livenessProbe:\n      tcpSocket: {port: 1}\n      failureThreshold: 6\n---\nservices:\n  web:\n    image: c\n    command: run it\n    environment: {Y: 2}\n";
        assert!(is_one("a.yaml", text));
        let all = containers("a.yaml", text);
        let pod = &all[0];
        assert_eq!(
            (pod.name.as_str(), pod.line, pod.cpu_limit),
            ("a", 6, Some(0.5))
        );
        assert_eq!(pod.command, ["uvicorn", "app:app", "--workers", "2"]);
        assert_eq!(
            pod.liveness,
            Some(Probe {
                kind: ProbeKind::Tcp,
                window_s: 60.0,
                line: 13
            })
        );
        assert!(pod.is_served);
        let web = &all[1];
        assert_eq!(
            (web.name.as_str(), web.line, web.env[0].1.as_str()),
            ("web", 18, "2")
        );
    }

    #[test]
    fn whatever_is_no_manifest_has_no_containers() {
        for text in [
            "",
            "a: [",
            "kind: Pod",
            "kind: 7\nspec: x",
            "- 1",
            "services: [1]",
            "&a [*a]",
        ] {
            assert_eq!(containers("x.yaml", text), [], "{text}");
        }
    }
}
