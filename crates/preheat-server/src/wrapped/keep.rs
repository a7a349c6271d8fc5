//! A ready server is kept as warm as it was proven: while nobody comes it is asked what its plan asks,
//! and warmed and proven again when its answers have become slower.

use std::sync::Arc;
use std::time::Duration;

use preheat_core::CaseReport;
use preheat_core::warmup::Path;
use tokio::time::{sleep, timeout};

use super::ask::Chosen;
use super::work::ServerWork;
use crate::door::{Doors, HttpConnection};
use crate::replica::Replica;
use crate::replica::keep::{Compared, HOT, Keep, LOOK, RUNS, further, is_proven};

/// Starts it, to go on as long as the replica lives.
pub fn begin(work: &Arc<ServerWork>, replica: &Arc<Replica>) {
    let (work, replica) = (Arc::clone(work), Arc::clone(replica));
    let (tasks, token) = (replica.tasks.clone(), replica.tasks.token().clone());
    tasks.spawn("keep warm", async move {
        tokio::select! {
            () = go_on(&work, &replica) => {}
            () = token.cancelled() => {}
        }
    });
}

async fn go_on(work: &ServerWork, replica: &Arc<Replica>) {
    let mut facts = replica.board.watch();
    while facts.wait_for(is_proven).await.is_ok() {
        let mut keep = Keep::proven(replica);
        while replica.board.read(is_proven) {
            sleep(LOOK).await;
            if keep.is_due() {
                keep.passed(pass(work, replica).await);
            }
        }
    }
}

/// The first cases of the plan, straight to the server; the one that is furthest from its proof.
async fn pass(work: &ServerWork, replica: &Replica) -> Option<Compared> {
    let doors = work.door()?;
    let mut worst = None;
    for case in work.chosen().iter().take(HOT) {
        let Some(steady) = steady(case, replica) else {
            continue;
        };
        let asking = runs(case, &doors);
        let limit = replica.settings.limits.request_timeout;
        let Ok(Some(took)) = timeout(limit, asking).await else {
            continue;
        };
        worst = Some(worst.map_or((took, steady), |worst| further(worst, (took, steady))));
    }
    worst
}

/// What the server itself took for it when it was warmed.
fn steady(case: &Chosen, replica: &Replica) -> Option<Duration> {
    let same = |report: &&CaseReport| report.name == case.name() && report.path == Path::Engine;
    replica.board.read(|facts| {
        let report = facts.warmup.cases.iter().find(same);
        report.map(CaseReport::steady)
    })
}

/// The middle one of some answers; none where one is not right.
async fn runs(case: &Chosen, doors: &Doors) -> Option<Duration> {
    let asked = async {
        let (mut connection, first): (HttpConnection, _) = case.first(doors).await?;
        let mut took = vec![first.took];
        while took.len() < RUNS {
            took.push(case.again(&mut connection, doors).await?.took);
        }
        took.sort_unstable();
        Ok::<_, super::ask::Problem>(took[RUNS / 2])
    };
    match asked.await {
        Ok(took) => Some(took),
        Err(problem) => {
            tracing::warn!(event = "keep_warm_failed", case = case.name(), %problem,
                "the server did not answer a case of its plan while nobody came: {problem}");
            None
        }
    }
}
