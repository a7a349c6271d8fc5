//! A ready replica is kept as warm as it was proven.
//!
//! While nobody comes it runs its hot shapes now and then, and warms and proves itself again when
//! they have become slower. What users bring that no proof covered is warmed beside their requests.
//! `preheat_core` decides; every decision is told with its grounds. One task, which sleeps.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use preheat_api::config::Upkeep as Mode;
use preheat_core::ShapeBucket;
use preheat_core::drift::{Drift, Uncovered};
use preheat_core::warmup::Path;
use tokio::time::sleep;

use super::keep::{HOT, Keep, LOOK, RUNS, decided, further, is_proven};
use super::model_work::ModelWork;
use crate::lifecycle::Command;
use crate::model::Loaded;
use crate::plan::{self, Ready};
use crate::service::Service;
use crate::warm;

/// Starts it, to go on as long as the replica lives.
pub(super) fn begin(work: &Arc<ModelWork>) {
    let (work, token) = (Arc::clone(work), work.tasks.token().clone());
    work.tasks.clone().spawn("upkeep", async move {
        tokio::select! {
            () = go_on(work) => {}
            () = token.cancelled() => {}
        }
    });
}

async fn go_on(work: Arc<ModelWork>) {
    let mut facts = work.replica.board.watch();
    while facts.wait_for(is_proven).await.is_ok() {
        let mut upkeep = Upkeep::of(Arc::clone(&work));
        while work.replica.board.read(is_proven) {
            sleep(LOOK).await;
            upkeep.look().await;
        }
    }
}

struct Upkeep {
    work: Arc<ModelWork>,
    keep: Keep,
    drift: Drift,
    /// Shapes that cannot be warmed from here.
    hopeless: HashSet<ShapeBucket>,
}

impl Upkeep {
    fn of(work: Arc<ModelWork>) -> Self {
        let now = work.replica.now();
        Upkeep {
            keep: Keep::proven(&work.replica),
            drift: Drift::new(work.replica.settings.drift.1, now),
            hopeless: HashSet::new(),
            work,
        }
    }

    async fn look(&mut self) {
        let replica = Arc::clone(&self.work.replica);
        let Some(loaded) = replica.service.loaded() else {
            return;
        };
        let now = replica.now();
        for (shape, requests) in loaded.coverage.take_served() {
            self.drift.saw(shape, requests, now);
        }
        if self.keep.is_due() {
            self.pass(&loaded).await;
        }
        let (mode, _) = &replica.settings.drift;
        if *mode != Mode::Off {
            self.cover(&loaded, *mode).await;
        }
    }

    /// Every hot case on every instance; the one that is furthest from its proof counts.
    async fn pass(&mut self, loaded: &Loaded) {
        let mut worst = None;
        for ready in self.hot(loaded) {
            for instance in 0..loaded.instances.count() {
                let Some(steady) = self.steady(&ready, instance) else {
                    continue;
                };
                let service = &self.work.replica.service;
                let Some(took) = runs(&ready, instance, loaded, service).await else {
                    continue;
                };
                let compared = (took, steady);
                worst = Some(worst.map_or(compared, |worst| further(worst, compared)));
            }
        }
        self.keep.passed(worst);
    }

    /// The cases of the shapes that users bring most; without users the smallest.
    fn hot(&self, loaded: &Loaded) -> Vec<Ready> {
        let cases = self.work.cases();
        let of = |shape: ShapeBucket| cases.iter().find(|c| warm::shape(c, loaded) == shape);
        let shares = self.drift.shares().into_iter();
        let hot: Vec<_> = shares
            .filter_map(|(s, _)| of(s))
            .take(HOT)
            .cloned()
            .collect();
        match hot.is_empty() {
            true => cases.into_iter().take(1).collect(),
            false => hot,
        }
    }

    fn steady(&self, ready: &Ready, instance: usize) -> Option<Duration> {
        self.work.replica.board.read(|facts| {
            let mut cases = facts.warmup.cases.iter();
            let same = |c: &&preheat_core::CaseReport| {
                c.name == ready.case.name && c.path == Path::Engine && c.instance == Some(instance)
            };
            cases.find(same).map(preheat_core::CaseReport::steady)
        })
    }

    /// The shape with the largest share that no proof covered.
    async fn cover(&mut self, loaded: &Loaded, mode: Mode) {
        let now = self.work.replica.now();
        let is_known = |shape| loaded.coverage.is_planned(shape) || self.hopeless.contains(&shape);
        let uncovered = self.drift.uncovered(is_known, now);
        let Some(Uncovered { shape, because, .. }) = uncovered.into_iter().next() else {
            return;
        };
        let board = &self.work.replica.board;
        board.decided(decided(mode, "cover", "advise_cover"), &because);
        if mode != Mode::On {
            self.hopeless.insert(shape);
            return;
        }
        let mut ready = match plan::generated(shape, loaded) {
            Ok(ready) => ready,
            Err(why) => {
                tracing::warn!(event = "not_covered", %shape, why, "give a warm-up case for it");
                self.hopeless.insert(shape);
                return;
            }
        };
        let policy = self.work.policy(loaded);
        for instance in 0..loaded.instances.count() {
            let warmed = warm::case(&mut ready, instance, loaded, policy, board).await;
            if let Err(failure) = warmed {
                // What is found wrong here closes the gate, as it would have at the start.
                let _ = self.work.replica.commands.try_send(Command::Fail(failure));
                self.hopeless.insert(shape);
                return;
            }
        }
        // Cut texts and a smaller memory may have made another shape of it.
        loaded.coverage.plan(shape);
        self.work.adopt_case(ready);
    }
}

/// The middle one of some runs; none where the instance has no time or fails, or a request comes, which
/// is not to wait for them.
async fn runs(
    ready: &Ready,
    instance: usize,
    loaded: &Loaded,
    service: &Arc<Service>,
) -> Option<Duration> {
    let mut took = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        if !service.is_empty() {
            return None;
        }
        let (instances, service) = (&loaded.instances, Arc::clone(service));
        let is_wanted = move || service.is_empty();
        let ran = instances
            .run_while(instance, ready.batch(), is_wanted)
            .await;
        ran.result.ok()?;
        took.push(ran.took);
    }
    took.sort_unstable();
    took.get(RUNS / 2).copied()
}
