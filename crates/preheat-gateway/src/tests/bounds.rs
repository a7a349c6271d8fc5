//! How many replicas there are, and how much each has to do.

use preheat_api::config::Upkeep;
use tokio::time::sleep;

use super::play::{Manner, Play};
use super::{MILLI, SECOND, at_once};

/// Who wants to see first what the load would ask for.
#[tokio::test(start_paused = true)]
async fn a_gateway_that_only_advises_changes_nothing() {
    let play = Play {
        manner: Manner::Takes(50 * MILLI),
        ..Play::default()
    };
    let gateway = play.gateway(|settings, _| settings.scaling = Upkeep::Advise);
    gateway.until(|report| report.status == "ready").await;
    for _ in 0..40 {
        at_once(&gateway, 60).await;
        sleep(SECOND / 4).await;
    }
    assert_eq!((play.started(), gateway.report().wanted), (1, 1));
    let reason = gateway.report().reason;
    assert!(reason.contains("the load would want"), "{reason}");
    let advice = gateway.decisions();
    let advice = advice.iter().filter(|d| d.action == "advise_want");
    let most = advice.map(|d| d.inputs["advised"] as usize).max();
    assert!(most > Some(1), "{most:?}");
}

/// Whatever the load does, there are never more than the maximum and never more in flight at one
/// replica than it takes; and nobody is lost.
#[tokio::test(start_paused = true)]
async fn bounds_hold_through_bursts() {
    let play = Play {
        cold_start: 10 * SECOND,
        manner: Manner::Takes(50 * MILLI),
        ..Play::default()
    };
    let gateway = play.gateway(|settings, _| {
        settings.concurrency = 3;
        settings.scale.max = 4;
    });
    gateway.until(|report| report.status == "ready").await;
    for burst in [1, 30, 5, 60, 2] {
        let answers = at_once(&gateway, burst).await;
        let odd: Vec<_> = answers
            .iter()
            .filter(|(s, _)| *s != 200 && *s != 429)
            .collect();
        assert!(odd.is_empty(), "{odd:?}");
        sleep(5 * SECOND).await;
    }
    assert!(
        play.most_in_flight() <= 3,
        "{} at once",
        play.most_in_flight()
    );
    assert!(play.most_alive() <= 4, "{} replicas", play.most_alive());
}
