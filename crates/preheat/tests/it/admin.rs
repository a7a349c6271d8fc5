//! What operators see of a replica and may ask of it.

use http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client;
use crate::replica::{Replica, SIM, Start};

async fn ask(replica: &Replica, method: Method, path: &str) -> client::Answer {
    client::send(replica.admin, client::request(method, path, ""))
        .await
        .unwrap()
}

fn phases(passport: &Value) -> Vec<String> {
    let phases = passport["phases"].as_array().unwrap();
    phases
        .iter()
        .map(|change| change["phase"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn the_passport_names_the_replica_and_the_way_it_came() {
    let replica = Start::with(SIM).ready().await;
    let passport = ask(&replica, Method::GET, "/v1/replica").await.json();
    assert_eq!(passport["http"], replica.http.to_string());
    assert_eq!(passport["grpc"], replica.grpc.to_string());
    assert_eq!(passport["admin"], replica.admin.to_string());
    let expected = [
        "starting", "fetching", "loading", "warming", "proving", "ready",
    ];
    assert_eq!(phases(&passport), expected);
    let times = passport["phases"].as_array().unwrap().iter();
    let times: Vec<f64> = times
        .map(|change| change["at_ms"].as_f64().unwrap())
        .collect();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(passport["report"]["status"], "ready");
}

/// Two replicas can be told apart even when they are the same in everything else.
#[tokio::test]
async fn memory_in_the_report_is_the_kernels_own() {
    let replica = Start::with(SIM).ready().await;
    let passport = ask(&replica, Method::GET, "/v1/replica").await.json();
    let reported = &passport["report"]["models"][0]["memory"];
    let status = std::fs::read_to_string(format!("/proc/{}/status", passport["pid"])).unwrap();
    for (key, line) in [("resident_bytes", "VmRSS:"), ("peak_bytes", "VmHWM:")] {
        let kernel = status.lines().find_map(|l| l.strip_prefix(line)).unwrap();
        let kernel = kernel
            .trim()
            .trim_end_matches(" kB")
            .parse::<f64>()
            .unwrap()
            * 1024.0;
        let ratio = reported[key].as_f64().unwrap() / kernel;
        assert!((0.95..=1.05).contains(&ratio), "{key}: {ratio}");
    }
}

#[tokio::test]
async fn every_start_is_another_replica() {
    let one = Start::with(SIM).ready().await;
    let two = Start::with(SIM).ready().await;
    let one = ask(&one, Method::GET, "/v1/replica").await.json();
    let two = ask(&two, Method::GET, "/v1/replica").await.json();
    assert!(one["id"].as_str().is_some_and(|id| !id.is_empty()));
    assert_ne!(one["id"], two["id"]);
}

#[tokio::test]
async fn events_tell_the_whole_start_in_order() {
    let mut replica = Start::with(SIM).spawn();
    replica.wait_for("an answer", |_| true).await;
    let text = events_until(&replica, "", "0", "\"phase\":\"ready\"").await;
    let passport = ask(&replica, Method::GET, "/v1/replica").await.json();
    let epoch = passport["epoch"].as_str().unwrap();
    let ids: Vec<usize> = text
        .lines()
        .filter_map(|line| line.strip_prefix("id:"))
        .map(|id| id.trim().strip_prefix(epoch).unwrap()[1..].parse().unwrap())
        .collect();
    let expected: Vec<usize> = (1..=ids.len()).collect();
    assert_eq!(ids, expected, "nothing is missing, nothing comes twice");
    for kind in ["phase", "stage", "case", "check"] {
        assert!(
            text.contains(&format!("event: {kind}\n")),
            "{kind} in\n{text}"
        );
    }
}

#[tokio::test]
async fn a_replica_is_warmed_and_proven_again_while_it_serves() {
    let replica = Start::with(SIM).ready().await;
    let before = ask(&replica, Method::GET, "/v1/replica").await.json();
    let accepted = ask(&replica, Method::POST, "/v1/rewarm").await;
    assert_eq!(accepted.status, 202, "{accepted:?}");
    assert_eq!(replica.post("/embed", &json!(["x"])).await.status, 200);
    let after = format!(
        "{}-{}",
        before["epoch"].as_str().unwrap(),
        before["sequence"]
    );
    let text = events_until(&replica, "", &after, "\"id\":\"P5\"").await;
    // What came in the same packet is of the time after it.
    let (text, _) = text.split_once("\"id\":\"P5\"").unwrap();
    assert!(
        !text.contains("\"phase\":\"ready\""),
        "what was told before is not told again"
    );
    assert!(text.contains("event: case\n"), "{text}");
    assert_eq!(replica.get("/ready").await.status, 200);
    // What the first user would have paid is not forgotten.
    let firsts = |passport: &Value| {
        let cases = passport["report"]["models"][0]["cases"].clone();
        let cases = cases.as_array().unwrap().iter();
        let mut firsts: Vec<_> = cases
            .map(|case| format!("{} {} {}", case["name"], case["path"], case["first_ms"]))
            .collect();
        firsts.sort();
        firsts
    };
    let passport = ask(&replica, Method::GET, "/v1/replica").await.json();
    assert_eq!(firsts(&passport), firsts(&before));
    let stages = |passport: &Value| passport["report"]["models"][0]["waterfall"].clone();
    let mut now = stages(&passport);
    // The start is over; the first user came after it.
    let last = now.as_array_mut().unwrap().pop().unwrap();
    assert_eq!(
        (&last["stage"], now),
        (&json!("first_request"), stages(&before))
    );
}

#[tokio::test]
async fn events_of_another_start_are_no_place_to_go_on_from() {
    let replica = Start::with(SIM).ready().await;
    // A number alone may be of another start, too.
    let largest = u64::MAX.to_string();
    for beyond in ["9999", &largest] {
        events_until(&replica, "", beyond, "\"phase\":\"ready\"").await;
    }
    let text = events_until(&replica, "", "0badcafe-9999", "\"phase\":\"ready\"").await;
    assert!(text.contains("\"phase\":\"starting\""), "{text}");
}

#[tokio::test]
async fn users_requests_are_told_one_by_one_to_those_who_ask() {
    let replica = Start::with(SIM).ready().await;
    assert_eq!(replica.post("/embed", &json!(["x"])).await.status, 200);
    assert_eq!(replica.post("/embed", &json!([])).await.status, 400);
    let text = events_until(&replica, "?kinds=requests,gauges", "0", "\"served\":1").await;
    let requests: Vec<Value> = text
        .split("event: requests\ndata: ")
        .skip(1)
        .map(|rest| serde_json::from_str(rest.lines().next().unwrap()).unwrap())
        .collect();
    let answered: Vec<&Value> = requests
        .iter()
        .flat_map(|event| event["answered"].as_array().unwrap())
        .collect();
    let outcomes: Vec<&str> = answered
        .iter()
        .map(|one| one[3].as_str().unwrap())
        .collect();
    assert_eq!(outcomes, ["ok", "bad"], "warm-up is not counted: {text}");
    assert!(answered[0][2].as_f64().unwrap() > 0.0);

    let quiet = events_until(&replica, "", "0", "\"phase\":\"ready\"").await;
    assert!(!quiet.contains("event: requests"), "{quiet}");
    let unknown = ask(&replica, Method::GET, "/v1/events?kinds=nonsense").await;
    assert_eq!(unknown.status, 400);
}

#[tokio::test]
async fn only_so_many_follow_events_and_probes_are_answered_all_the_same() {
    let replica = Start::with(SIM).ready().await;
    let mut followers = Vec::new();
    for _ in 0..64 {
        let mut stream = TcpStream::connect(replica.admin).await.unwrap();
        let request = "GET /v1/events?kinds=requests,gauges HTTP/1.1\r\nhost: preheat.test\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 200");
        followers.push(stream);
    }
    let refused = ask(&replica, Method::GET, "/v1/events").await;
    assert_eq!(refused.status, 429, "{refused:?}");
    assert_eq!(ask(&replica, Method::GET, "/readyz").await.status, 200);
}

#[tokio::test]
async fn pages_of_other_sites_may_ask_for_nothing() {
    let replica = Start::with(SIM).ready().await;
    let foreign = [
        ("sec-fetch-site", "cross-site"),
        ("origin", "http://elsewhere.test"),
        ("host", "rebound.example.com"),
    ];
    for (name, value) in foreign {
        for (method, path) in [(Method::GET, "/v1/replica"), (Method::POST, "/v1/drain")] {
            let mut request = client::request(method, path, "");
            request.headers_mut().insert(name, value.parse().unwrap());
            let answer = client::send(replica.admin, request).await.unwrap();
            assert_eq!(answer.status, 403, "{name}: {value} {path}");
        }
    }
    let mut form = client::request(Method::POST, "/v1/drain", "");
    let kind = "application/x-www-form-urlencoded".parse().unwrap();
    form.headers_mut().insert("content-type", kind);
    assert_eq!(client::send(replica.admin, form).await.unwrap().status, 415);
    assert_eq!(replica.get("/ready").await.status, 200);
}

#[tokio::test]
async fn the_dashboard_and_its_playground_are_on_the_admin_listener() {
    let replica = Start::with(SIM).ready().await;
    let page = ask(&replica, Method::GET, "/").await;
    assert_eq!(
        (page.status.as_u16(), page.header("content-type")),
        (200, "text/html; charset=utf-8")
    );
    let body = json!(["x"]);
    let tried = client::post(replica.admin, "/v1/try/embed", &body)
        .await
        .unwrap();
    let direct = replica.post("/embed", &body).await;
    assert_eq!((tried.status, tried.json()), (direct.status, direct.json()));
    assert!(tried.header("server-timing").contains("inference"));
    let unknown = client::post(replica.admin, "/v1/try/nothing", &body)
        .await
        .unwrap();
    assert_eq!(unknown.status, 404);
}

/// What the event stream tells after an event, up to some words.
async fn events_until(replica: &Replica, query: &str, after: &str, words: &str) -> String {
    let mut stream = TcpStream::connect(replica.admin).await.unwrap();
    let request = format!(
        "GET /v1/events{query} HTTP/1.1\r\nhost: preheat.test\r\nlast-event-id: {after}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    client::read_until(&mut stream, words).await
}

#[tokio::test]
async fn a_replica_can_be_drained_without_a_signal() {
    let mut replica = Start::with(&format!("[drain]\ndelay = \"0s\"\n{SIM}"))
        .ready()
        .await;
    assert_eq!(ask(&replica, Method::POST, "/v1/drain").await.status, 202);
    assert_eq!(replica.exit().await.code(), Some(0));
}

#[tokio::test]
async fn admin_keys_guard_everything_but_probes_and_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    std::fs::write(&keys, "right\n").unwrap();
    let config = format!("[auth]\nadmin_keys_file = '{}'\n{SIM}", keys.display());
    let replica = Start::with(&config).ready().await;
    for path in ["/readyz", "/livez", "/metrics"] {
        assert_eq!(ask(&replica, Method::GET, path).await.status, 200, "{path}");
    }
    let guarded = [
        (Method::GET, "/v1/replica"),
        (Method::GET, "/v1/events"),
        (Method::POST, "/v1/rewarm"),
        (Method::POST, "/v1/drain"),
        (Method::POST, "/v1/try/embed"),
        (Method::POST, "/v2/repository/index"),
        (Method::POST, "/v2/repository/models/embedder/load"),
        (Method::POST, "/v2/repository/models/embedder/unload"),
    ];
    for (method, path) in guarded {
        assert_eq!(
            ask(&replica, method.clone(), path).await.status,
            401,
            "{path}"
        );
        let mut wrong = client::request(method, path, "");
        wrong
            .headers_mut()
            .insert("x-api-key", "wrong".parse().unwrap());
        assert_eq!(
            client::send(replica.admin, wrong).await.unwrap().status,
            403,
            "{path}"
        );
    }
    let mut right = client::request(Method::GET, "/v1/replica", "");
    right
        .headers_mut()
        .insert("authorization", "Bearer right".parse().unwrap());
    assert_eq!(
        client::send(replica.admin, right).await.unwrap().status,
        200
    );
}

#[tokio::test]
async fn admin_routes_are_not_on_the_data_listener() {
    let replica = Start::with(SIM).ready().await;
    for path in ["/v1/replica", "/v1/events"] {
        assert_eq!(replica.get(path).await.status, 404, "{path}");
    }
    for path in ["/v1/rewarm", "/v1/drain", "/v2/repository/index"] {
        let answer = replica.post(path, &json!({})).await;
        assert!(
            [404, 405].contains(&answer.status.as_u16()),
            "{path}: {answer:?}"
        );
    }
    assert_eq!(replica.get("/ready").await.status, 200);
}

#[tokio::test]
async fn an_order_that_cannot_be_read_is_answered_in_the_routes_own_style() {
    let replica = Start::with(SIM).ready().await;
    let answer = client::post(replica.admin, "/v1/load", &json!({}))
        .await
        .unwrap();
    assert_eq!(answer.status, 400, "{answer:?}");
    let said = answer.json()["error"]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(said.contains("rate"), "{said}");
    let nowhere = ask(&replica, Method::GET, "/no/such/route").await;
    let id = nowhere.json()["request_id"].clone();
    assert_eq!(id, nowhere.header("x-request-id"), "{nowhere:?}");
    assert_ne!(id, "", "{nowhere:?}");
}

#[tokio::test]
async fn the_repository_has_one_model_which_is_loaded_and_stays() {
    let replica = Start::with(SIM).ready().await;
    let post = async |path: &str, body: Value| {
        let path = format!("/v2/repository/{path}");
        client::post(replica.admin, &path, &body).await.unwrap()
    };
    let loaded = post("models/embedder/load", json!({})).await;
    assert_eq!((loaded.status.as_u16(), loaded.json()), (200, json!({})));
    let kept = post("models/embedder/unload", json!({})).await;
    assert_eq!(kept.status, 400, "{kept:?}");
    let said = kept.json()["error"].as_str().unwrap().to_owned();
    assert!(
        said.contains("embedder") && said.contains("/v1/drain"),
        "{said}"
    );
    for verb in ["load", "unload"] {
        let unknown = post(&format!("models/other/{verb}"), json!({})).await;
        assert_eq!(unknown.status, 404, "{unknown:?}");
        let said = unknown.json()["error"].as_str().unwrap().to_owned();
        assert!(said.starts_with("Request for unknown model"), "{said}");
    }
    let index = post("index", json!({ "ready": true })).await.json();
    assert_eq!(index[0]["state"], "READY", "{index}");
    assert_eq!(replica.report().await["status"], "ready");
}

/// A lazy model waits for its first request, or for an operator.
#[tokio::test]
async fn loading_begins_the_start_of_a_lazy_model_and_ends_with_it() {
    let lazy = SIM.replace("engine = \"sim\"", "engine = \"sim\"\nload = \"lazy\"");
    let mut replica = Start::with(&lazy).spawn();
    replica
        .wait_for("listening", |answer| answer.status == 503)
        .await;
    let index = async || {
        let wish = json!({ "ready": true });
        let path = "/v2/repository/index";
        client::post(replica.admin, path, &wish)
            .await
            .unwrap()
            .json()
    };
    assert_eq!(index().await, json!([]), "nothing is ready");
    let path = "/v2/repository/models/embedder/load";
    let loaded = client::post(replica.admin, path, &json!({})).await.unwrap();
    assert_eq!(loaded.status, 200, "{loaded:?}");
    assert_eq!(index().await[0]["state"], "READY");
    let page = client::get(replica.admin, "/metrics").await.unwrap().text();
    assert!(
        page.contains("preheat_cold_requests_total{model=\"embedder\"} 0\n"),
        "{page}"
    );
}

#[tokio::test]
async fn metrics_come_in_the_format_that_is_asked_for() {
    let replica = Start::with(SIM).ready().await;
    let gateway = Start::with(SIM).gateway().ready().await;
    for address in [replica.http, replica.admin, gateway.http, gateway.admin] {
        for (accept, kind, counter, last) in [
            (
                "*/*",
                "text/plain; version=0.0.4; charset=utf-8",
                "_total",
                "\n",
            ),
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3",
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
                "",
                "# EOF\n",
            ),
        ] {
            let mut asked = client::request(Method::GET, "/metrics", "");
            asked
                .headers_mut()
                .insert("accept", accept.parse().unwrap());
            let answer = client::send(address, asked).await.unwrap();
            assert_eq!(answer.header("content-type"), kind);
            let page = answer.text();
            let told = format!("\n# TYPE preheat_cold_requests{counter} counter\n");
            assert!(page.contains(&told) && page.ends_with(last), "{page}");
            assert_eq!(page.contains("# EOF"), last.contains("EOF"));
        }
    }
}

/// As it is written, and as clients write it who encode a name before they put it into a path.
#[tokio::test]
async fn a_name_with_a_slash_is_found_in_paths() {
    let replica = Start::with(&SIM.replace("\"embedder\"", "\"org/embedder\""))
        .ready()
        .await;
    let ask =
        json!({ "inputs": [{ "name": "text", "datatype": "BYTES", "shape": [1], "data": ["x"] }] });
    for name in ["org/embedder", "org%2Fembedder"] {
        for path in ["infer", "versions/1/infer"] {
            let path = format!("/v2/models/{name}/{path}");
            let answer = replica.post(&path, &ask).await;
            assert_eq!(answer.status, 200, "{path}: {answer:?}");
            assert_eq!(answer.json()["model_name"], "org/embedder");
        }
        for path in ["v2/models", "v1/models"] {
            let answer = replica.get(&format!("/{path}/{name}")).await;
            assert_eq!(answer.status, 200, "{path}/{name}: {answer:?}");
        }
        for address in [replica.http, replica.admin] {
            let path = format!("/v2/models/{name}/ready?verbose=1");
            let answer = client::get(address, &path).await.unwrap();
            assert_eq!(answer.status, 200, "{path}: {answer:?}");
        }
    }
    for path in [
        "/v2/models/org/other/ready",
        "/v2/models/org",
        "/v1/models/org/embedder2",
    ] {
        assert_eq!(replica.get(path).await.status, 404, "{path}");
    }
}
