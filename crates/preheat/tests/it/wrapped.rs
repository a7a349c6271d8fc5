//! Model servers of others behind our doors: real ones, in other languages, honest and not.

mod fleet;

use std::time::{Duration, Instant};

use http::Method;
use http_body_util::BodyExt;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::client;
use crate::replica::{Start, root};

const PATIENCE: Duration = Duration::from_secs(60);

/// A plan for the servers of `tests/servers` that embed. What other tests do to latency meanwhile is
/// not what these are about.
const EMBED: &str = r#"
[warmup]
slack = "100ms"
[drain]
delay = "0s"
[[model]]
name = "plain"
[[model.warmup.case]]
name = "short"
path = "/embed"
texts = ["a", "bb"]
expect = { rows = 2 }
"#;

fn server(file: &str) -> String {
    root()
        .join("tests/servers")
        .join(file)
        .display()
        .to_string()
}

fn node() -> Vec<String> {
    vec!["node".into(), server("plain.mjs")]
}

fn wrap(config: &str, command: &[String]) -> Start {
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    Start::with(config).wrap(&command)
}

/// Processes that this one has started and that live, by the word in their command line.
fn living(word: &str) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let pid = |entry: std::fs::DirEntry| entry.file_name().to_str()?.parse::<u32>().ok();
    all.filter_map(pid)
        .filter(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(word)
        })
        .collect()
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_plain_server_is_warmed_proven_and_passed_on_to() {
    let mut replica = wrap(EMBED, &node()).ready().await;
    let report = replica.report().await;
    let model = &report["models"][0];
    assert_eq!(model["engine"]["name"], "http");
    assert_eq!(model["proof"]["status"], "passed", "{report:#}");
    let straight = &model["cases"][0];
    assert_eq!(straight["path"], "engine");
    assert_eq!(straight["output"]["shape"], json!([2, 2]));
    // The model was slow at first, and no user met that.
    assert!(
        straight["first_ms"].as_f64().unwrap() >= 150.0,
        "{straight}"
    );
    assert!(
        straight["steady_ms"].as_f64().unwrap() < 150.0,
        "{straight}"
    );

    let answer = replica.post("/embed", &json!(["xyz"])).await;
    assert_eq!(answer.json()["embeddings"], json!([[3, 1]]));
    assert_eq!(answer.header("preheat-warm"), "proven");
    // Its own routes stay its own, and so does what it does not know.
    let missing = replica.get("/nothing").await;
    assert_eq!(
        (missing.status.as_u16(), missing.json()),
        (404, json!({ "detail": "no such route" }))
    );
    // The probes are ours.
    assert_eq!(replica.get("/health").await.json()["status"], "alive");
    let page = client::get(replica.admin, "/metrics").await.unwrap().text();
    assert!(
        page.contains(r#"preheat_cold_requests_total{model="plain"} 0"#),
        "{page}"
    );

    replica.terminate();
    assert_eq!(replica.exit().await.code(), Some(0));
}

/// Nobody comes: it is asked what its plan asks, and those are nobody's requests.
#[tokio::test]
async fn an_idle_server_is_kept_warm_by_its_plan() {
    let config = format!("[keepwarm]\nidle = \"1s\"\nevery = \"1s\"\n{EMBED}");
    let replica = wrap(&config, &node()).ready().await;
    let line = |page: &str, start: &str| {
        let line = page.lines().find(|line| line.starts_with(start));
        line.map_or(0.0, |line| {
            line.rsplit(' ').next().unwrap().parse().unwrap()
        })
    };
    let deadline = Instant::now() + PATIENCE;
    let page = loop {
        let page = client::get(replica.admin, "/metrics").await.unwrap().text();
        if line(&page, "preheat_keepwarm_runs_total") >= 2.0 {
            break page;
        }
        assert!(Instant::now() < deadline, "never kept warm: {page}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(line(&page, "preheat_cold_requests_total"), 0.0, "{page}");
    let log = replica.log();
    assert!(
        log.contains("keep_warm") && !log.contains("keep_warm_failed"),
        "{log}"
    );
    assert_eq!(replica.report().await["status"], "ready");
}

#[tokio::test]
async fn requests_and_answers_pass_as_they_are() {
    let replica = wrap(EMBED, &node()).ready().await;
    let mut request = client::request(Method::PUT, "/echo?x=1&y=%20", "{\"a\": 1}");
    let headers = request.headers_mut();
    headers.insert("x-mine", "yes".parse().unwrap());
    headers.insert("x-request-id", "seven".parse().unwrap());
    headers.insert("preheat-synthetic", "guessed".parse().unwrap());
    let answer = client::send(replica.http, request).await.unwrap();
    assert_eq!(answer.status, 201);
    let seen = answer.json();
    assert_eq!(seen["url"], "/echo?x=1&y=%20");
    assert_eq!(seen["text"], "{\"a\": 1}");
    assert_eq!(seen["headers"]["x-mine"], "yes");
    assert_eq!(seen["headers"]["x-request-id"], "seven");
    assert_eq!(seen["headers"]["preheat-synthetic"], Value::Null);
    assert!(seen["headers"]["x-forwarded-for"].is_string(), "{seen}");

    // More than may be sent never reaches the server.
    let large = client::request(Method::PUT, "/echo", vec![b'x'; 3_000_000]);
    assert_eq!(client::send(replica.http, large).await.unwrap().status, 413);
}

#[tokio::test]
async fn a_stream_passes_piece_by_piece() {
    let plan = r#"
[warmup]
slack = "100ms"
[drain]
delay = "0s"
[[model]]
[[model.warmup.case]]
path = "/v1/chat/completions"
body = { messages = [{ role = "user", content = "{{text}}" }], stream = true }
texts = ["one two"]
expect = { contains = "[DONE]" }
"#;
    let replica = wrap(plan, &node()).ready().await;
    let stream = TcpStream::connect(replica.http).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    let mut driver = JoinSet::new();
    driver.spawn(async { drop(connection.await) });
    let body = json!({ "messages": [{ "role": "user", "content": "a b c d e" }] });
    let request = client::request(Method::POST, "/v1/chat/completions", body.to_string());
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.into_body();
    let (mut pieces, mut text) = (0, String::new());
    while let Some(frame) = body.frame().await {
        let data = frame.unwrap().into_data().unwrap();
        text += std::str::from_utf8(&data).unwrap();
        pieces += 1;
    }
    assert!(pieces > 2, "{pieces} pieces: it was gathered on the way");
    assert!(text.starts_with("data: {\"word\":\"a\"}\n\n") && text.ends_with("[DONE]\n\n"));
    drop((sender, driver));
}

/// A plan for the FastAPI app, and the command that starts it.
fn fastapi() -> (String, Vec<String>) {
    let plan = format!(
        r#"
[warmup]
slack = "100ms"
[drain]
delay = "0s"
[[model]]
name = "speech"
[model.http]
dir = '{servers}'
ready = "/health"
env = {{ MODEL = '{model}', PYTHONDONTWRITEBYTECODE = "1" }}
[[model.warmup.case]]
name = "silence"
path = "/speech"
body = {{ samples = [0.0, 0.0, 0.0] }}
"#,
        servers = root().join("tests/servers").display(),
        model = root()
            .join("target/models/onnx/silero_vad_16k_op15.onnx")
            .display(),
    );
    let python = root().join("target/venv/bin/python").display().to_string();
    let words = [
        &python,
        "-m",
        "uvicorn",
        "fastapi_app:app",
        "--port",
        "{port}",
    ];
    (plan, words.map(str::to_owned).to_vec())
}

#[tokio::test]
async fn a_fastapi_app_before_onnx_runtime_is_served_warm() {
    let (plan, command) = fastapi();
    let mut replica = wrap(&plan, &command).ready().await;
    let report = replica.report().await;
    let check = &report["models"][0]["checks"][0];
    assert_eq!(
        check["value"], "GET /health answers with success",
        "{report:#}"
    );
    let answer = replica
        .post("/speech", &json!({ "samples": [0.1, 0.2] }))
        .await;
    let probability = answer.json()["probability"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&probability));
    // What it refuses, it refuses itself.
    let refused = replica.post("/speech", &json!({ "sample": 1 })).await;
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("samples"), "{}", refused.text());
    // Its memory counts, and it is not small.
    let resident = report["models"][0]["memory"]["resident_bytes"]
        .as_u64()
        .unwrap();
    assert!(resident > 60_000_000, "{resident}");
    replica.terminate();
    assert_eq!(replica.exit().await.code(), Some(0));
    assert!(
        replica.log().contains("Application shutdown complete"),
        "{}",
        replica.log()
    );
}

#[tokio::test]
async fn nobody_meets_a_server_that_lies_about_its_readiness() {
    let plan = r#"
[warmup]
slack = "100ms"
[drain]
delay = "0s"
[[model]]
[model.http]
ready = "/health"
[[model.warmup.case]]
name = "short"
path = "/embed"
texts = ["a", "b"]
expect = { rows = 2, dim = 3 }
"#;
    let command = ["python3".to_owned(), server("liar.py")];
    let replica = wrap(plan, &command).ready().await;
    // The first answer to a user is right, however often the server was wrong before.
    let answer = replica.post("/embed", &json!(["x"])).await;
    assert_eq!(answer.json()["embeddings"], json!([[0.5, 0.25, 0.125]]));
    let report = replica.report().await;
    let note = report["models"][0]["notes"][0].as_str().unwrap();
    assert!(note.contains("wrong answers before a right one"), "{note}");
    assert!(note.contains("POST /embed"), "{note}");
}

#[tokio::test]
async fn a_server_that_never_tells_the_truth_serves_nobody() {
    let plan = r#"
[warmup]
timeout = "1s"
on_failure = "hold"
[[model]]
[[model.warmup.case]]
path = "/embed"
texts = ["a"]
expect = { dim = 4 }
"#;
    let mark = format!("liar-{}", std::process::id());
    let command = ["python3".to_owned(), server("liar.py"), mark.clone()];
    let mut replica = wrap(plan, &command).spawn();
    let failed = |answer: &client::Answer| answer.json()["phase"] == "failed";
    let report = replica.wait_for("failed", failed).await.json();
    let error = &report["models"][0]["error"];
    let cause = error["cause"].as_str().unwrap();
    assert!(cause.contains("1 rows of 3 came out"), "{cause}");
    assert_eq!(error["exit_code"], 13);
    let refused = replica.post("/embed", &json!(["x"])).await;
    assert_eq!(refused.status, 503);
    // It does not run on behind a closed door; what holds the door has the mark in its own words.
    until("no server", || living(&mark).len() == 1).await;
}

#[tokio::test]
async fn a_server_that_crashes_says_why_and_is_tried_again() {
    let script = "echo 'no module named model' >&2; exit 3";
    let command = ["sh", "-c", script].map(str::to_owned);
    let mut replica = wrap(EMBED, &command).spawn();
    let failed = |answer: &client::Answer| answer.json()["phase"] == "failed";
    let report = replica.wait_for("failed", failed).await.json();
    let error = &report["models"][0]["error"];
    let cause = error["cause"].as_str().unwrap();
    assert!(cause.contains("exit status: 3"), "{cause}");
    assert!(cause.contains("no module named model"), "{cause}");
    assert_eq!(error["retry"], true);
    assert_eq!(replica.get("/livez").await.status, 200);

    // Who asked for it gets the code instead.
    let strict = EMBED.replace("[warmup]\n", "[warmup]\non_failure = \"exit\"\n");
    let mut replica = wrap(&strict, &command).spawn();
    assert_eq!(replica.exit().await.code(), Some(12));
}

#[tokio::test]
async fn a_command_that_is_none_is_named() {
    let strict = EMBED.replace("[warmup]\n", "[warmup]\non_failure = \"exit\"\n");
    let mut replica = wrap(&strict, &["no-such-program-here".to_owned()]).spawn();
    assert_eq!(replica.exit().await.code(), Some(12));
    assert!(
        replica.log().contains("no-such-program-here"),
        "{}",
        replica.log()
    );
}

#[tokio::test]
async fn a_server_that_dies_is_noticed_at_once_and_comes_back() {
    let mut replica = wrap(EMBED, &node()).ready().await;
    let lost = replica.post("/die", &json!({})).await;
    assert_eq!(lost.status, 503);
    assert_eq!(lost.json()["code"], "server_lost");
    replica
        .wait_for("not ready", |answer| answer.status == 503)
        .await;
    let refused = replica.post("/embed", &json!(["a"])).await;
    assert!(
        refused.status == 503 || refused.status == 200,
        "{refused:?}"
    );
    replica.wait_until_ready().await;
    let answer = replica.post("/embed", &json!(["a"])).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn nothing_that_was_started_outlives_the_end() {
    // A child of the server, and one that has left its group and its session.
    let mark = format!("orphan-{}", std::process::id());
    let sleeper = format!("bash -c 'exec -a {mark} sleep 1000'");
    let script = format!(
        "{sleeper} & setsid {sleeper} & exec node {}",
        server("plain.mjs")
    );
    let command = ["bash".to_owned(), "-c".to_owned(), script];
    for kill in [true, false] {
        let mut replica = wrap(EMBED, &command).ready().await;
        // The two sleepers, ourselves and the keeper, whose words hold the script.
        until("both sleep", || living(&mark).len() == 4).await;
        match kill {
            // As the kernel does it: nothing can be cleared away by the one who dies.
            true => replica.kill(),
            false => replica.terminate(),
        }
        replica.exit().await;
        until("no orphan", || living(&mark).is_empty()).await;
    }
}

#[tokio::test]
async fn a_server_that_runs_already_is_joined() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let mut own = std::process::Command::new("node")
        .arg(server("plain.mjs"))
        .env("PORT", port.to_string())
        .spawn()
        .unwrap();
    let config = EMBED.replace(
        "name = \"plain\"\n",
        &format!("name = \"plain\"\nengine = \"http\"\n[model.http]\nurl = \"127.0.0.1:{port}\"\n"),
    );
    let mut replica = Start::with(&config).ready().await;
    let answer = replica.post("/embed", &json!(["ab"])).await;
    assert_eq!(answer.json()["embeddings"], json!([[2, 1]]));
    replica.terminate();
    assert_eq!(replica.exit().await.code(), Some(0));
    // It is somebody else's: it runs on.
    assert!(own.try_wait().unwrap().is_none());
    own.kill().unwrap();
    own.wait().unwrap();
}

/// Whoever listens where the command's server is to listen would be taken for it.
#[tokio::test]
async fn a_stranger_at_the_servers_address_is_not_taken_for_it() {
    let stranger = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = stranger.local_addr().unwrap();
    let mark = format!("stranger-{}", std::process::id());
    let command = ["sh", "-c", "sleep 1000", &mark].map(str::to_owned);
    let http = format!("name = \"plain\"\n[model.http]\nurl = \"{url}\"\n");
    let config = EMBED.replace("name = \"plain\"\n", &http);
    let mut replica = wrap(&config, &command).spawn();
    let failed = |answer: &client::Answer| answer.json()["phase"] == "failed";
    let report = replica.wait_for("failed", failed).await.json();
    let cause = report["models"][0]["error"]["cause"].as_str().unwrap();
    assert!(cause.contains("listens at"), "{cause}");
    drop(stranger);
    replica.terminate();
}

#[tokio::test]
async fn what_was_let_in_is_answered_before_the_server_ends() {
    let mut replica = wrap(EMBED, &node()).ready().await;
    let words = vec!["w"; 40].join(" ");
    let body = json!({ "messages": [{ "role": "user", "content": words }] });
    let request = client::request(Method::POST, "/v1/chat/completions", body.to_string());
    let mut asking = JoinSet::new();
    asking.spawn(client::send(replica.http, request));
    replica.wait_for_inflight(1).await;
    replica.terminate();
    let answer = asking.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(answer.text().matches("data: {").count(), 40);
    assert!(answer.text().ends_with("[DONE]\n\n"));
    assert_eq!(replica.exit().await.code(), Some(0));
}
