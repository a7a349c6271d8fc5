//! Programs that others wrote, unmodified, against a warm replica.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::reference;
use crate::replica::{Replica, SIM, Start, root};

/// A client that neither ends nor fails is killed after this.
const PATIENCE: Duration = Duration::from_secs(240);

fn python() -> Command {
    program(&root().join("target/venv/bin/python"))
}

fn program(path: &Path) -> Command {
    assert!(
        path.exists(),
        "{} is not here: run `cargo xtask setup`",
        path.display()
    );
    let mut command = Command::new(path);
    command.kill_on_drop(true).stdin(Stdio::null());
    command.current_dir(root().join("tests/clients"));
    command
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("NO_PROXY", "*");
    command
}

fn against(mut command: Command, http: SocketAddr, grpc: SocketAddr) -> Command {
    command.env("PREHEAT_TEST_HTTP", http.to_string());
    command.env("PREHEAT_TEST_GRPC", grpc.to_string());
    command.env("PREHEAT_TEST_MODEL", "embedder");
    command.env("PREHEAT_TEST_REFERENCE", reference::PATH);
    command
}

async fn must_end_well(mut command: Command) {
    let output = tokio::time::timeout(PATIENCE, command.output())
        .await
        .expect("ends")
        .unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

async fn script(name: &str) {
    let replica = Replica::shared().await;
    let mut command = python();
    command.arg(name);
    must_end_well(against(command, replica.http, replica.grpc)).await;
}

#[tokio::test]
async fn openai_for_python() {
    script("openai_client.py").await;
}

#[tokio::test]
async fn openai_for_node() {
    let replica = Replica::shared().await;
    let mut command = Command::new("node");
    command.kill_on_drop(true).arg("openai_client.mjs");
    command.current_dir(root().join("tests/clients/node"));
    must_end_well(against(command, replica.http, replica.grpc)).await;
}

#[tokio::test]
async fn hugging_face() {
    script("hugging_face_client.py").await;
}

#[tokio::test]
async fn triton_over_http() {
    script("triton_http_client.py").await;
}

#[tokio::test]
async fn triton_over_grpc() {
    script("triton_grpc_client.py").await;
}

#[tokio::test]
async fn grpc_health_and_reflection() {
    script("grpc_health_check.py").await;
}

/// A watcher learns of readiness and of its loss by push, through the whole life of a replica.
#[tokio::test]
async fn grpc_health_watch() {
    let mut replica = Start::with(&format!("[drain]\ndelay = \"1s\"\n{SIM}")).spawn();
    let mut command = python();
    command.arg("grpc_health_watch.py").stdout(Stdio::piped());
    let mut watcher = against(command, replica.http, replica.grpc)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watcher.stdout.take().unwrap()).lines();
    let mut seen = Vec::new();
    while let Some(line) = tokio::time::timeout(PATIENCE, lines.next_line())
        .await
        .unwrap()
        .unwrap()
    {
        if line == "SERVING" {
            assert_eq!(replica.get("/ready").await.status, 200);
            replica.terminate();
        }
        seen.push(line);
    }
    assert!(watcher.wait().await.unwrap().success(), "saw {seen:?}");
    assert_eq!(seen[seen.len() - 2..], ["SERVING", "NOT_SERVING"]);
    assert!(replica.exit().await.success());
}

/// Generated requests against the published document: no server error, nothing undocumented.
#[tokio::test]
async fn schemathesis() {
    let replica = Start::with(SIM).ready().await;
    let mut command = program(&root().join("target/venv/bin/schemathesis"));
    // It leaves files where it runs.
    let folder = tempfile::tempdir().unwrap();
    command.current_dir(folder.path());
    command.args(["run", "--seed", "1", "--max-examples", "15", "--no-color"]);
    command.args(["--generation-database", "none", "--checks"]);
    command.arg(
        "not_a_server_error,status_code_conformance,content_type_conformance,\
         response_headers_conformance,response_schema_conformance",
    );
    command.arg(format!("http://{}/openapi.json", replica.http));
    must_end_well(command).await;
}
