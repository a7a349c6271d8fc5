//! `probe` as people and gates call it, and what `diagnose` asks by itself.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;

use super::Shell;
use crate::replica::{SIM, Start, root};

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

/// Of a server that never tells its models: longer than anybody waits for it.
const SILENT: &str = "silent";

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
            SILENT => {
                std::thread::sleep(Duration::from_secs(3));
                return false;
            }
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

/// Some servers break, refuse or never answer what nobody asked for.
#[test]
fn a_plan_that_names_the_model_needs_nobody_who_tells() {
    let shell = Shell::new();
    shell.write("p.toml", "model = \"my-model\"\nmax_ratio = 1000\n");
    for models in ["", SILENT, "503 Service Unavailable"] {
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
