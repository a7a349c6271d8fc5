//! Requests that wait for a replica: as long as it pays, and no longer.

use preheat_core::pool::PoolSize;

use super::play::{Manner, Play};
use super::{MILLI, SECOND, at_once};

#[tokio::test(start_paused = true)]
async fn a_long_cold_start_is_waited_for_and_let_go_one_by_one() {
    let play = Play {
        cold_start: 71 * SECOND,
        manner: Manner::Takes(80 * MILLI),
        ..Play::default()
    };
    let gateway = play.gateway(|settings, hold| {
        settings.scale.to_zero_after = Some(300 * SECOND);
        settings.concurrency = 4;
        hold.longest = 120 * SECOND;
    });
    let answers = at_once(&gateway, 40).await;
    for (status, took) in &answers {
        assert_eq!(*status, 200);
        assert!(*took >= 71 * SECOND && *took < 75 * SECOND, "{took:?}");
    }
    assert!(
        play.most_in_flight() <= 4,
        "{} at once",
        play.most_in_flight()
    );
    // What was held arrived once: it is no demand for more.
    assert_eq!(play.started(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_spare_is_in_rotation_within_5_ms_of_the_request_that_found_no_permit() {
    let play = Play {
        cold_start: 71 * SECOND,
        manner: Manner::Takes(80 * MILLI),
        ..Play::default()
    };
    let gateway = play.gateway(|settings, _| {
        settings.concurrency = 2;
        settings.spares = PoolSize::Fixed(2);
        settings.scale.max = 4;
    });
    gateway
        .until(|report| {
            report
                .replicas
                .iter()
                .filter(|r| r.phase == "ready")
                .count()
                == 3
        })
        .await;
    // A newcomer alone takes two at once.
    let answers = at_once(&gateway, 6).await;
    let slowest = answers.iter().map(|(_, took)| *took).max().unwrap();
    assert!(
        answers.iter().all(|(status, _)| *status == 200),
        "{answers:?}"
    );
    assert!(
        slowest < 85 * MILLI,
        "nobody waited for a round: {slowest:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_refused_at_once() {
    let play = Play {
        manner: Manner::Takes(100 * MILLI),
        ..Play::default()
    };
    let gateway = play.gateway(|settings, _| {
        settings.concurrency = 1;
        settings.scale.max = 1;
    });
    gateway.until(|report| report.status == "ready").await;
    let answers = at_once(&gateway, 20).await;
    let (served, refused): (Vec<_>, Vec<_>) = answers.iter().copied().partition(|(s, _)| *s == 200);
    assert!(!served.is_empty() && !refused.is_empty(), "{answers:?}");
    for (status, took) in refused {
        assert_eq!(status, 429);
        assert!(took < 5 * MILLI, "refused after {took:?}");
    }
}
