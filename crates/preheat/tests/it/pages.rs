//! Pages of other sites, as their browsers ask for them.

use http::{HeaderValue, Method, header};

use crate::client::{self, Answer};
use crate::replica::{Replica, SIM, Start};

const PAGE: &str = "https://app.example.com";

/// What a browser asks before it sends a request of a page's with headers of its own.
async fn may_i(replica: &Replica, origin: &'static str, headers: &'static str) -> Answer {
    let mut ask = client::request(Method::OPTIONS, "/v1/embeddings", "");
    let own = ask.headers_mut();
    own.insert(header::ORIGIN, HeaderValue::from_static(origin));
    own.insert(
        header::ACCESS_CONTROL_REQUEST_METHOD,
        HeaderValue::from_static("POST"),
    );
    own.insert(
        header::ACCESS_CONTROL_REQUEST_HEADERS,
        HeaderValue::from_static(headers),
    );
    client::send(replica.http, ask).await.unwrap()
}

async fn called_from(replica: &Replica, origin: &'static str) -> Answer {
    let mut ask = client::request(Method::POST, "/embed", r#"["x"]"#);
    ask.headers_mut()
        .insert(header::ORIGIN, HeaderValue::from_static(origin));
    client::send(replica.http, ask).await.unwrap()
}

#[tokio::test]
async fn a_listed_page_may_send_what_its_client_sends_and_read_what_comes_back() {
    let config = format!("[server]\ncors_origins = [\"{PAGE}\"]\n{SIM}");
    let replica = Start::with(&config).ready().await;
    // As the client of OpenAI and one with a key of ours ask.
    let headers = "authorization,content-type,x-api-key,x-stainless-lang";
    let answer = may_i(&replica, PAGE, headers).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), PAGE);
    assert_eq!(answer.header("access-control-allow-headers"), headers);
    assert_eq!(answer.header("access-control-allow-methods"), "POST");
    let answer = called_from(&replica, PAGE).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), PAGE);
    assert_eq!(answer.header("access-control-expose-headers"), "*");
    for answer in [
        may_i(&replica, "https://evil.example.com", headers).await,
        called_from(&replica, "https://evil.example.com").await,
    ] {
        assert_eq!(answer.header("access-control-allow-origin"), "");
    }
}

#[tokio::test]
async fn every_page_may_call_where_a_star_says_so() {
    let config = format!("[server]\ncors_origins = [\"*\"]\n{SIM}");
    let replica = Start::with(&config).ready().await;
    let answer = called_from(&replica, PAGE).await;
    assert_eq!(answer.header("access-control-allow-origin"), "*");
}
