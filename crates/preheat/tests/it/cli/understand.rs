//! `diagnose`, `probe` and `init` as people and scripts call them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use insta::assert_snapshot;
use serde_json::json;

use super::Shell;
use crate::replica::{SIM, Start, root};

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

/// A server that loads its model in the first request, ended when dropped.
struct Lazy {
    child: Child,
    address: String,
}

impl Lazy {
    fn start() -> Self {
        let mut child = Command::new(python())
            .arg(root().join("tests/clients/lazy_server.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut address)
            .unwrap();
        let address = address.trim().to_owned();
        Lazy { child, address }
    }
}

impl Drop for Lazy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn python() -> PathBuf {
    root().join("target/venv/bin/python")
}

#[test]
fn a_server_that_loads_lazily_is_found_cold_and_is_warm_afterwards() {
    let (shell, server) = (Shell::new(), Lazy::start());
    // A busy machine must not decide: only what it was and what it is count here.
    let cold = shell.call(["probe", &server.address, "--max-ratio", "10", "--json"]);
    let json = cold.json();
    assert_eq!(
        (cold.code, &json["was_cold"], &json["warm"]),
        (0, &json!(true), &json!(true)),
        "{json}"
    );
    assert_eq!(json["cases"][0]["name"], "short");
    assert!(json["cases"][0]["ratio"].as_f64().unwrap() > 10.0, "{json}");
    // What it was is said once: the load is not met again.
    let warm = shell.call(["probe", &server.address, "--json"]).json();
    let first = |json: &serde_json::Value| json["cases"][0]["first_ms"].as_f64().unwrap();
    assert!(first(&warm) < first(&json) / 2.0, "{warm}");
}

/// A server behind a port that takes connections before it does: they are broken at first. Then it
/// answers, to those who know what its model is called, which it tells by `models`.
fn starting_behind_a_port(models: &'static str) -> String {
    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = port.local_addr().unwrap();
    let serve = move || {
        for (number, connection) in port.incoming().enumerate() {
            if number >= 3 {
                let connection = connection.unwrap();
                std::thread::Builder::new()
                    .spawn(move || while answer(&connection, models) {})
                    .unwrap();
            }
        }
    };
    std::thread::Builder::new().spawn(serve).unwrap();
    format!("http://{address}/v1/embeddings")
}

fn answer(connection: &TcpStream, models: &'static str) -> bool {
    let (mut reader, mut length, mut first) = (BufReader::new(connection), 0, String::new());
    reader.read_line(&mut first).unwrap();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(bytes) = line.strip_prefix("content-length:") {
            length = bytes.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let body = String::from_utf8(body).unwrap();
    let (status, said) = match &first[..] {
        "" => return false,
        first if first.starts_with("GET /v1/models ") => match models {
            "" => return false,
            models => (models, r#"{"data":[{"id":"my-model"}]}"#),
        },
        _ if body.contains(r#""model":"my-model""#) => {
            ("200 OK", r#"{"data":[{"embedding":[1.0]}]}"#)
        }
        _ => ("404 Not Found", r#"{"error":"there is no such model"}"#),
    };
    let length = said.len();
    let said = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{said}");
    (&*connection).write_all(said.as_bytes()).is_ok()
}

#[test]
fn a_gate_waits_for_a_server_that_starts_and_asks_it_for_its_models_name() {
    let shell = Shell::new();
    shell.write(
        "p.toml",
        "[[case]]\nname = \"x\"\ntexts = [\"a\"]\n[[case]]\nname = \"x\"\ntexts = [\"b\"]\n",
    );
    let address = starting_behind_a_port("200 OK");
    let args = [
        "probe",
        &address,
        "--max-ratio",
        "1000",
        "--plan",
        "p.toml",
        "--json",
    ];
    let called = shell.call(args);
    assert_eq!(called.code, 0, "{called:?}");
    let json = called.json();
    // Two series of one name are none.
    let names = [0, 1].map(|at| json["cases"][at]["name"].clone());
    assert_eq!(names, [json!("x"), json!("x (2)")]);
    let both = shell.call(["probe", &address, "--json", "--format", "junit"]);
    assert_eq!(both.code, 2, "{both:?}");
}

/// Some servers break or refuse what nobody asked for.
#[test]
fn a_plan_that_names_the_model_needs_nobody_who_tells() {
    let shell = Shell::new();
    shell.write("p.toml", "model = \"my-model\"\nmax_ratio = 1000\n");
    for models in ["", "503 Service Unavailable"] {
        let address = starting_behind_a_port(models);
        let timed = ["probe", &address, "--timeout", "30s"];
        let called = shell.call([&timed[..], &["--plan", "p.toml"]].concat());
        assert_eq!(called.code, 0, "{models}: {called:?}");
    }
    let address = starting_behind_a_port("503 Service Unavailable");
    let called = shell.call(["probe", &address, "--timeout", "2s"]);
    assert!(
        called.stdout.contains("GET /v1/models: status 503"),
        "{called:?}"
    );
}

/// Waiting does not help against what will not pass.
#[test]
fn who_speaks_no_tls_is_not_waited_for() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("https://{}", port.local_addr().unwrap());
    let refuse = move || {
        let refused = |connection: TcpStream| {
            let refusal = b"HTTP/1.1 400 Bad Request\r\n\r\n";
            (&connection).write_all(refusal).unwrap();
            connection
        };
        port.incoming()
            .map_while(Result::ok)
            .map(refused)
            .collect::<Vec<_>>()
    };
    std::thread::Builder::new().spawn(refuse).unwrap();
    let called = Shell::new().call(["probe", &address, "--timeout", "20s"]);
    assert_eq!(called.code, 13, "{called:?}");
    let said = "cannot be reached by TLS";
    assert!(
        called.stdout.contains(&format!("short: {address} {said}")),
        "{called:?}"
    );
}

#[test]
fn a_gate_may_ask_for_a_warm_first_request_and_diagnosis_asks_by_itself() {
    let (shell, server) = (Shell::new(), Lazy::start());
    let url = format!("{}/embed", server.address);
    // A busy machine must not decide: only what its first request cost counts here.
    let gate = shell.call([
        "probe",
        &url,
        "--max-ratio",
        "10",
        "--max-first-ratio",
        "3",
        "--format",
        "junit",
    ]);
    assert_eq!(gate.code, 14, "{gate:?}");
    assert!(gate.stdout.contains("<failure type=\"cold\""), "{gate:?}");

    let server = Lazy::start();
    let json = shell.call(["diagnose", &server.address, "--json"]).json();
    let ids: Vec<_> = json["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["id"].clone())
        .collect();
    assert_eq!(ids, ["warmed-by-traffic", "readiness-too-early"], "{json}");
}

#[test]
fn a_plan_says_what_is_sent_and_what_must_come() {
    let (shell, server) = (Shell::new(), Lazy::start());
    shell.write("p.toml", "rounds = 4\nmax_ratio = 10\n[[case]]\nname = \"two\"\ntexts = [\"a\", \"b\"]\nexpect = { rows = 2, dim = 2 }\n");
    let good = shell.call([
        "probe",
        &server.address,
        "--plan",
        "p.toml",
        "--format",
        "prometheus",
    ]);
    assert_eq!(good.code, 0, "{good:?}");
    assert!(
        good.stdout
            .contains("preheat_warmup_first_seconds{case=\"two\"} "),
        "{good:?}"
    );
    shell.write(
        "p.toml",
        "[[case]]\ntexts = [\"a\"]\nexpect = { dim = 3 }\n",
    );
    assert_eq!(
        shell
            .call(["probe", &server.address, "--plan", "p.toml"])
            .code,
        13
    );
    shell.write("p.toml", "[[case]]\ntexst = [\"a\"]\n");
    assert_eq!(
        shell
            .call(["probe", &server.address, "--plan", "p.toml"])
            .code,
        10
    );
    assert_eq!(
        shell
            .call(["probe", "http://127.0.0.1:9", "--timeout", "1s"])
            .code,
        13
    );
}

#[tokio::test]
async fn preheat_itself_is_found_warm() {
    let replica = Start::with(SIM).ready().await;
    let shell = Shell::new();
    let url = format!("http://{}", replica.http);
    let openai = "/v1/embeddings?api-version=1";
    for path in ["", openai, "/v2/models/embedder/infer"] {
        let address = format!("{url}{path}");
        let probed = || {
            shell
                .call(["probe", &address, "--rounds", "8", "--json"])
                .json()
        };
        let answered = |json: &serde_json::Value| {
            let cases = json["cases"].as_array().unwrap();
            cases.iter().all(|case| case["outcome"] != "failed")
        };
        // Every look meets a warm replica; a busy machine may spoil one.
        let warm = (0..3).any(|_| {
            let json = probed();
            assert!(answered(&json), "{json}");
            json["was_cold"] == json!(false)
        });
        assert!(warm, "{address}");
    }
    let nothing = || shell.call(["diagnose", &url, "--json"]).json()["findings"] == json!([]);
    assert!((0..3).any(|_| nothing()));

    // Its own report gives the files their figures.
    let called = shell.call(["init", "--from", &url, "--out", "d"]);
    assert_eq!(called.code, 0, "{called:?}");
    let deployment =
        std::fs::read_to_string(shell.path().join("d/kubernetes/deployment.yaml")).unwrap();
    assert!(deployment.contains("# Measured: proven "), "{deployment}");
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
