//! A ready replica stays as warm as it was proven, and says what it does for that.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client;
use crate::replica::{Replica, Start};

const PATIENCE: Duration = Duration::from_secs(60);

/// Proven for short texts alone.
const SHORT: &str = r#"
[[model]]
name = "embedder"
engine = "sim"
[model.batching]
max_batch = 1
buckets = { batch = [1], tokens = [16, 64] }
[[model.warmup.case]]
name = "short"
generate = { texts = 1, tokens = 8 }
[model.sim]
weights = "20ms"
first_run = "5ms"
run = "2ms"
"#;

/// Asks until what comes is as wanted.
async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> T, wanted: impl Fn(&T) -> bool) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = ask().await;
        if wanted(&found) {
            return found;
        }
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn number(replica: &Replica, name: &str) -> f64 {
    let page = client::get(replica.admin, "/metrics").await.unwrap().text();
    let line = page.lines().find(|line| line.starts_with(name));
    line.map_or(0.0, |line| {
        line.rsplit(' ').next().unwrap().parse().unwrap()
    })
}

async fn ask(replica: &Replica, words: usize) {
    let text = vec!["word"; words].join(" ");
    let answer = replica.post("/embed", &json!([text])).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

fn has_case(report: &Value, name: &str) -> bool {
    let cases = report["models"][0]["cases"].as_array().unwrap();
    cases.iter().any(|case| case["name"] == name)
}

#[tokio::test]
async fn a_shape_that_users_bring_is_warmed_and_joins_the_plan() {
    let config = format!("[drift]\nat_least = 20\n{SHORT}");
    let replica = Start::with(&config).ready().await;
    for _ in 0..30 {
        ask(&replica, 40).await;
    }
    let covered = until(
        "covered",
        async || replica.report().await,
        |report| has_case(report, "drift 1x64"),
    );
    assert_eq!(covered.await["status"], "ready", "it served all the while");
    // The case is in the report a moment before its shape counts as planned.
    let unplanned = async || {
        let before = number(&replica, "preheat_unplanned_shape_total").await;
        ask(&replica, 40).await;
        number(&replica, "preheat_unplanned_shape_total").await - before
    };
    until("planned", unplanned, |more| *more == 0.0).await;

    let advising = format!("[drift]\nat_least = 20\nmode = \"advise\"\n{SHORT}");
    let replica = Start::with(&advising).ready().await;
    for _ in 0..30 {
        ask(&replica, 40).await;
    }
    let advised = async || replica.log().contains("advise_cover");
    until("advised", advised, |is| *is).await;
    assert!(!has_case(&replica.report().await, "drift 1x64"));
}

#[tokio::test]
async fn an_idle_replica_runs_its_hot_shapes_and_its_gateway_tells() {
    let config = format!("[keepwarm]\nidle = \"1s\"\nevery = \"1s\"\n{SHORT}");
    let replica = Start::with(&config).ready().await;
    let runs = async || number(&replica, "preheat_keepwarm_runs_total").await;
    until("two passes", runs, |runs| *runs >= 2.0).await;
    assert_eq!(
        number(&replica, "preheat_requests_total{route=\"/embed\"").await,
        0.0,
        "they are nobody's"
    );
    drop(replica);

    let gateway = Start::with(&config).gateway().ready().await;
    let decisions = async || {
        client::get(gateway.admin, "/v1/decisions")
            .await
            .unwrap()
            .json()
    };
    let kept = |decisions: &Value| {
        let all = decisions.as_array().unwrap();
        all.iter().find(|d| d["action"] == "keep_warm").cloned()
    };
    let decisions = until("told", decisions, |decisions| kept(decisions).is_some()).await;
    let kept = kept(&decisions).unwrap();
    assert_eq!(kept["replica"], "r1", "{kept:#}");
    assert!(
        kept["inputs"]["idle"].as_f64().unwrap() >= 900.0,
        "{kept:#}"
    );
    assert!(kept["inputs"]["took"].as_f64().unwrap() > 0.0, "{kept:#}");

    let off = format!("[keepwarm]\nmode = \"off\"\nidle = \"1s\"\nevery = \"1s\"\n{SHORT}");
    let replica = Start::with(&off).ready().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(number(&replica, "preheat_keepwarm_runs_total").await, 0.0);
}
