//! `diagnose` and `init` as people and scripts call them.

use std::io::Write;
use std::process::{Command, Stdio};

use insta::assert_snapshot;
use serde_json::json;

use super::Shell;
use crate::replica::root;

const COLD: &str = "\
2026-11-27T10:00:00.000Z INFO  loader    weights loaded in 1.8 s
2026-11-27T10:00:00.700Z INFO  loader    tokenizer loaded in 0.7 s
2026-11-27T10:00:00.800Z INFO  server    server ready, accepting traffic
2026-11-27T10:00:09.000Z INFO  server    first request received
2026-11-27T10:00:11.300Z INFO  cuda      CUDA context created in 2.3 s
2026-11-27T10:00:12.500Z INFO  nvrtc     kernel compilation took 1.2 s
2026-11-27T10:00:12.500Z WARN  model     sequence length 512 where warm-up ran 128
2026-11-27T10:05:00.000Z WARN  metrics   p95 1450 ms for five minutes against 120 ms steady
";

#[test]
fn a_cold_first_request_is_explained() {
    let shell = Shell::new();
    shell.write("cold.log", COLD);
    assert_snapshot!(shell.call(["diagnose", "cold.log"]).whole());

    let called = shell.call(["diagnose", "cold.log", "--json"]);
    let json = called.json();
    assert_eq!(called.code, 1);
    assert_eq!(
        json["first_request"],
        json!({ "now_ms": 3620.0, "after_ms": 120.0 })
    );
    let findings = json["findings"].as_array().unwrap();
    let context = findings
        .iter()
        .find(|f| f["id"] == "cuda-context-at-first-request")
        .unwrap();
    assert_eq!(context["cost_ms"], json!(2300.0));
    assert_eq!(
        (
            &context["evidence"][0]["source"],
            &context["evidence"][0]["line"]
        ),
        (&json!("cold.log"), &json!(5))
    );
    for key in ["id", "title", "evidence", "cost_ms", "confidence", "change"] {
        assert!(findings.iter().all(|f| f.get(key).is_some()), "{key}");
    }
}

#[test]
fn nothing_known_is_nothing_found_and_what_cannot_be_read_is_said() {
    let shell = Shell::new();
    shell.write("calm.log", "all is well\n");
    assert_snapshot!(shell.call(["diagnose", "calm.log"]).whole(), @r"
    nothing found: no known cause of a slow first request or a failed start
    ── stderr ──
    ── code 0 ──
    ");
    assert_eq!(shell.call(["diagnose", "nowhere.log"]).code, 10);
    assert_eq!(shell.call(["diagnose", "."]).code, 10);
}

#[test]
fn of_several_pods_the_one_that_is_meant_is_named() {
    let shell = Shell::new();
    let pod = |name: &str, event: &str| {
        format!(
            "Name:  {name}\nContainers:\n  web:\n    Port:  80/TCP\n    Startup:  http-get http://:80/ready delay=0s timeout=1s period=1s #success=1 #failure=9\n    Readiness:  http-get http://:80/ready delay=0s timeout=1s period=1s #success=1 #failure=3\nEvents:\n{event}\n"
        )
    };
    let killed =
        "  Normal  Killing  2m  kubelet  Container web failed startup probe, will be restarted";
    let (first, second) = (pod("web-0", ""), pod("web-1", killed));
    shell.write("pods.txt", &format!("{first}{second}"));
    let text = shell.call(["diagnose", "pods.txt"]).stdout;
    for shown in [
        "pods.txt:5: pod web-0: container web: the startup probe gives up after 9 s",
        "pods.txt:16: pod web-1: Normal  Killing  2m",
    ] {
        assert!(text.contains(shown), "{text}");
    }
    let evidence = |name: &str| {
        let json = shell.call(["diagnose", name, "--json"]).json();
        json["findings"][0]["evidence"].clone()
    };
    let several = evidence("pods.txt");
    let pods: Vec<_> = several
        .as_array()
        .unwrap()
        .iter()
        .map(|e| &e["pod"])
        .collect();
    assert!(
        pods.contains(&&json!("web-0")) && pods.contains(&&json!("web-1")),
        "{several}"
    );
    shell.write("pod.txt", &second);
    assert_eq!(evidence("pod.txt")[0].get("pod"), None, "there is but one");
}

#[test]
fn standard_input_is_read_too() {
    let shell = Shell::new();
    let mut command = shell.command(["diagnose", "-", "--json"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"reason: OOMKilled\n")
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["findings"][0]["id"], "out-of-memory");
}

/// What the folder `deploy/` holds.
const SHIPPED: [&str; 7] = [
    "init",
    "--from",
    "deploy/report.json",
    "--out",
    "deploy",
    "--image",
    "preheat:latest",
];

#[test]
fn files_are_valid_and_have_no_known_fault() {
    let shell = Shell::new();
    std::fs::create_dir(shell.path().join("deploy")).unwrap();
    let report = std::fs::read_to_string(root().join("deploy/report.json")).unwrap();
    shell.write("deploy/report.json", &report);
    let called = shell.call(SHIPPED);
    assert_eq!(called.code, 0, "{called:?}");
    assert_eq!(
        shell.call(SHIPPED).code,
        10,
        "files are not overwritten by accident"
    );

    let written: Vec<&str> = called.stdout.lines().collect();
    for file in &written {
        let here = std::fs::read_to_string(shell.path().join(file)).unwrap();
        let shipped = std::fs::read_to_string(root().join(file)).unwrap();
        assert_eq!(
            here,
            shipped,
            "{file}: run `preheat {}` in the repository with --force",
            SHIPPED.join(" ")
        );
    }
    render_chart(&shell);
    kserve_pod(&shell);
    let foreign = [
        "keda.yaml",
        "kserve.yaml",
        "kustomization.yaml",
        "Chart.yaml",
        "values.yaml",
        "compose.yaml",
    ];
    let standard = |file: &&str| {
        file.ends_with(".yaml")
            && !foreign.iter().any(|name| file.ends_with(name))
            && !file.contains("templates")
    };
    let mut manifests: Vec<String> = written
        .iter()
        .copied()
        .filter(standard)
        .map(str::to_owned)
        .collect();
    manifests.extend(
        ["deployment", "service", "disruption", "autoscaler"]
            .map(|name| format!("rendered/{name}.yaml")),
    );
    manifests.push("rendered/kserve.yaml".to_owned());
    let validate = Command::new(root().join("target/venv/bin/kubernetes-validate"))
        .arg("--strict")
        .args(&manifests)
        .current_dir(shell.path())
        .output()
        .unwrap();
    assert!(validate.status.success(), "{validate:?}");

    let mut all = vec![
        "diagnose".to_owned(),
        "deploy/compose.yaml".to_owned(),
        "deploy/kubernetes/keda.yaml".to_owned(),
        "deploy/kubernetes/kserve.yaml".to_owned(),
    ];
    all.extend(manifests);
    let diagnosed = shell.call(all);
    assert_eq!(diagnosed.code, 0, "{diagnosed:?}");
}

/// KServe's own schema is not at hand; what it makes a pod of is one of Kubernetes.
fn kserve_pod(shell: &Shell) {
    let path = shell.path().join("deploy/kubernetes/kserve.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let at = text.find("    # Drain delay").unwrap();
    let spec: Vec<_> = text[at..].lines().map(|line| &line[2..]).collect();
    let measured = text
        .lines()
        .find(|line| line.contains("preheat/measured-start"))
        .unwrap();
    let metadata = format!("metadata:\n  name: embedder\n  annotations:\n{measured}");
    let pod = format!(
        "apiVersion: v1\nkind: Pod\n{metadata}\nspec:\n{}\n",
        spec.join("\n")
    );
    shell.write("rendered/kserve.yaml", &pod);
}

/// The chart's templates use values and the release's name only, so that they can be filled in
/// without Helm.
fn render_chart(shell: &Shell) {
    let chart = shell.path().join("deploy/chart");
    let values = std::fs::read_to_string(chart.join("values.yaml")).unwrap();
    std::fs::create_dir(shell.path().join("rendered")).unwrap();
    for name in ["deployment", "service", "disruption", "autoscaler"] {
        let mut text =
            std::fs::read_to_string(chart.join(format!("templates/{name}.yaml"))).unwrap();
        text = text.replace("{{ .Release.Name }}", "embedder");
        for line in values.lines().filter(|line| !line.starts_with('#')) {
            let (key, value) = line.split_once(": ").unwrap();
            text = text.replace(&format!("{{{{ .Values.{key} }}}}"), value.trim_matches('"'));
        }
        assert!(!text.contains("{{"), "{name}: {text}");
        shell.write(&format!("rendered/{name}.yaml"), &text);
    }
}
