//! What passes between a client and its replica.

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::play::{Manner, Play};
use super::{MILLI, SECOND, post};

#[tokio::test(start_paused = true)]
async fn an_answer_passes_piece_by_piece_and_keeps_its_permit_until_its_end() {
    let play = Play {
        manner: Manner::Streams(5, SECOND),
        ..Play::default()
    };
    let gateway = play.gateway(|settings, _| settings.concurrency = 1);
    gateway.until(|report| report.status == "ready").await;
    let since = Instant::now();
    let mut response = gateway.ask(post("/embed")).await.unwrap();
    for piece in 1..=5 {
        let frame = response.body_mut().frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "piece\n");
        assert_eq!(since.elapsed().as_secs(), piece);
        if piece < 5 {
            let busy = gateway.report().replicas[0].in_flight;
            assert_eq!(busy, 1, "after {piece} pieces");
        }
    }
    assert!(response.body_mut().frame().await.is_none());
    gateway
        .until(|report| report.replicas[0].in_flight == 0)
        .await;
}

/// Its head comes at once, and its place is taken until its end: that is what replicas are needed for.
#[tokio::test(start_paused = true)]
async fn streams_count_for_as_long_as_they_last() {
    let play = Play {
        manner: Manner::Streams(20, SECOND),
        ..Play::default()
    };
    let gateway = play.gateway(|settings, _| {
        settings.concurrency = 2;
        settings.scale.max = 6;
    });
    gateway.until(|report| report.status == "ready").await;
    let mut asking = JoinSet::new();
    // Four at once on average.
    for _ in 0..60 {
        let gateway = gateway.clone();
        asking.spawn(async move {
            let response = gateway.ask(post("/embed")).await.unwrap();
            let status = response.status();
            response.into_body().collect().await.unwrap();
            status
        });
        sleep(5 * SECOND).await;
    }
    let wanted = gateway.report().wanted;
    assert!((2..=4).contains(&wanted), "{:#?}", gateway.report());
    let answers = asking.join_all().await;
    let late = &answers[answers.len() / 2..];
    assert!(late.iter().all(|status| *status == 200), "{answers:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_cancels_its_work() {
    let play = Play {
        manner: Manner::Takes(3600 * SECOND),
        ..Play::default()
    };
    let gateway = play.gateway(|_, _| ());
    gateway.until(|report| report.status == "ready").await;
    let asking = gateway.clone();
    let mut client = JoinSet::new();
    client.spawn(async move { asking.ask(post("/embed")).await.map(drop) });
    gateway
        .until(|report| report.replicas[0].in_flight == 1)
        .await;
    client.abort_all();
    gateway
        .until(|report| report.replicas[0].in_flight == 0)
        .await;
    while play.in_flight() > 0 {
        sleep(MILLI).await;
    }
}

/// An offer to speak something else may be ignored: what comes then is an answer like any other, however
/// long, and tells as much about its replica.
#[tokio::test(start_paused = true)]
async fn an_upgrade_that_is_not_agreed_to_is_a_request_like_any_other() {
    let offer = || {
        let request = Request::get("/embed").header("host", "gateway");
        let request = request.header("connection", "upgrade");
        let request = request.header("upgrade", "other/1");
        request.body(Full::<Bytes>::default()).unwrap()
    };
    let play = Play {
        manner: Manner::Streams(20_000, MILLI),
        ..Play::default()
    };
    let gateway = play.gateway(|_, _| {});
    gateway.until(|report| report.status == "ready").await;
    let response = gateway.ask(offer()).await.unwrap();
    assert_eq!(response.status(), 200);
    let whole = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(whole.len(), 20_000 * "piece\n".len());

    let failing = Play {
        manner: Manner::Says(StatusCode::BAD_GATEWAY),
        ..Play::default()
    };
    let gateway = failing.gateway(|_, _| {});
    gateway.until(|report| report.status == "ready").await;
    assert_eq!(gateway.ask(offer()).await.unwrap().status(), 502);
    while gateway.failures("status") == 0 {
        sleep(MILLI).await;
    }

    let leaving = Play {
        manner: Manner::TurnsAwayFirst,
        ..Play::default()
    };
    let gateway = leaving.gateway(|settings, _| settings.scale.max = 1);
    gateway.until(|report| report.status == "ready").await;
    assert_eq!(gateway.ask(offer()).await.unwrap().status(), 200);
}
