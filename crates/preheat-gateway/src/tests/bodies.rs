//! Requests' bodies: those that come late, those that trickle, those that nobody reads.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::stream;
use http::Request;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::play::Play;
use super::{MILLI, SECOND, post};

/// Its next request would lie behind a body that nobody reads.
#[tokio::test(start_paused = true)]
async fn who_is_refused_before_the_body_came_is_told_that_the_connection_ends() {
    let gateway = Play::default().gateway(|_, _| {});
    let never = StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>());
    let request = Request::post("/embed").header("content-length", "999999999");
    let request = request.header("host", "gateway").body(never).unwrap();
    let response = gateway.ask(request).await.unwrap();
    assert_eq!(response.status(), 413);
    assert_eq!(response.headers()["connection"], "close");
    gateway.until(|report| report.status == "ready").await;
    let response = gateway.ask(post("/embed")).await.unwrap();
    assert!(!response.headers().contains_key("connection"));
}

/// One whose body never comes.
fn bodiless(path: &str) -> Request<impl http_body::Body<Data = Bytes, Error = Infallible> + use<>> {
    let never = StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>());
    let request = Request::post(path).header("host", "gateway");
    request.header("content-length", "9").body(never).unwrap()
}

/// What can be said by the head alone is said before a byte of the body is read.
#[tokio::test(start_paused = true)]
async fn a_refusal_costs_no_body() {
    let play = Play {
        rate: Some(1.0),
        ..Play::default()
    };
    let gateway = play.gateway(|_, _| {});
    gateway.until(|report| report.status == "ready").await;
    while gateway.ask(post("/embed")).await.unwrap().status() == 200 {}
    let without = Play::default().gateway(|_, _| {});
    without.until(|report| report.status == "ready").await;
    let since = Instant::now();
    for (gateway, path, status) in [(gateway, "/embed", 429), (without, "/nowhere", 404)] {
        let response = gateway.ask(bodiless(path)).await.unwrap();
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(response.headers()["connection"], "close");
    }
    assert!(since.elapsed() < SECOND, "{:?}", since.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_body_has_as_long_as_its_own_service_gives_a_request() {
    let play = Play {
        request_timeout: 5 * SECOND,
        ..Play::default()
    };
    let gateway = play.gateway(|_, _| {});
    gateway.until(|report| report.status == "ready").await;
    let pieces = stream::unfold((), |()| async {
        sleep(SECOND).await;
        let frame = Frame::data(Bytes::from_static(b"x"));
        Some((Ok::<_, Infallible>(frame), ()))
    });
    let slow = Request::post("/embed").header("host", "gateway");
    let slow = slow.header("content-length", "60");
    let since = Instant::now();
    let response = gateway.ask(slow.body(StreamBody::new(pieces)).unwrap());
    assert_eq!(response.await.unwrap().status(), 408);
    assert!(since.elapsed() < 6 * SECOND, "{:?}", since.elapsed());
}

/// A client on a slow line takes its own time, and no place of a replica.
#[tokio::test(start_paused = true)]
async fn a_body_that_trickles_takes_nobodys_place() {
    let play = Play::default();
    let gateway = play.gateway(|settings, _| {
        settings.concurrency = 1;
        settings.scale.max = 1;
    });
    gateway.until(|report| report.status == "ready").await;
    let slow = |length: Option<&str>| {
        let mut request = Request::post("/embed").header("host", "gateway");
        if let Some(length) = length {
            request = request.header("content-length", length);
        }
        let pieces = stream::unfold(0, |piece| async move {
            sleep(SECOND).await;
            let frame = Frame::data(Bytes::from_static(b"x"));
            (piece < 5).then_some((Ok::<_, Infallible>(frame), piece + 1))
        });
        request.body(StreamBody::new(pieces)).unwrap()
    };
    let mut slowly = JoinSet::new();
    for request in [slow(Some("5")), slow(None), slow(None)] {
        let gateway = gateway.clone();
        slowly.spawn(async move { gateway.ask(request).await.unwrap() });
    }
    sleep(2 * SECOND).await;
    for _ in 0..20 {
        let since = Instant::now();
        let response = gateway.ask(post("/embed")).await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(since.elapsed() < 20 * MILLI, "{:?}", since.elapsed());
    }
    for response in slowly.join_all().await {
        assert_eq!(response.status(), 200);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "xxxxx");
    }
}
