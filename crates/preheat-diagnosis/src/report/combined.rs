//! Causes that no line names by itself: what several lines, containers and measurements show together.

use std::collections::{BTreeMap, BTreeSet};

use crate::cause::{Cause, Paid};
use crate::rules::CONSEQUENCE;
use crate::rules::Part;
use crate::sighting::Sighting;
use crate::timeline::Stream;
use crate::{Container, Diagnosis, Evidence, ProbeKind};

/// A start's stage is a finding of its own from here on, where the first request is slow too.
const LONG_STAGE_MS: f64 = 500.0;

/// A first request that pays less is not slow.
const SLOW_MS: f64 = 100.0;

/// What a first request may have had to do.
const EXPLAINING: [Cause; 5] = [
    Cause::LazyModel,
    Cause::LazyTokenizer,
    Cause::CudaContext,
    Cause::Kernels,
    Cause::WarmupSkipped,
];

impl Diagnosis {
    pub(super) fn too_early(&mut self, stream: &Stream) {
        let is_early = stream.ready_then_cold || stream.loads_behind_claim;
        let Some(ready) = stream.ready.as_ref().filter(|_| is_early) else {
            return;
        };
        let lazily = [
            Cause::LazyModel,
            Cause::CudaContext,
            Cause::Kernels,
            Cause::LazyTokenizer,
        ];
        let is_lazy = || lazily.iter().any(|cause| self.seen.contains_key(cause));
        if stream.loads_behind_claim || is_lazy() {
            self.stream = stream.number;
            self.see(Cause::ReadyTooEarly, 0.85, ready.clone(), None, None);
            self.stream = 0;
        }
    }

    /// Readiness was claimed, and the first requests after that show that nothing was warm.
    pub(super) fn ready_unwarmed(&mut self) {
        let Some(claim) = &self.claimed.clone().or_else(|| self.passed_its_probe()) else {
            return;
        };
        // Whoever writes down later what was ready then may write it anywhere.
        let is_past = [" was ", " were ", " had "]
            .iter()
            .any(|word| claim.text.contains(word));
        let is_behind =
            |slow: &Evidence| slow.source == claim.source && (is_past || slow.line >= claim.line);
        let cold = [
            Cause::WarmedByTraffic,
            Cause::LazyModel,
            Cause::CudaContext,
            Cause::Kernels,
            Cause::LazyTokenizer,
        ];
        let mut cold = cold.iter().filter_map(|cause| self.seen.get(cause));
        if cold.any(|slow| slow.evidence.iter().any(is_behind)) {
            self.see(Cause::ReadyTooEarly, 0.7, claim.clone(), None, None);
        }
    }

    /// Where a path was answered well that a container's readiness probe asks.
    fn passed_its_probe(&self) -> Option<Evidence> {
        let asks = |container: &Container, path: &str| {
            let asked = container.readiness.as_ref().map(|probe| &probe.kind);
            matches!(asked, Some(ProbeKind::Http(asked)) if asked.eq_ignore_ascii_case(path))
        };
        let mut probed = self.probed.iter();
        let is_asked = |path: &str| {
            self.containers
                .iter()
                .any(|container| asks(container, path))
        };
        probed
            .find(|(path, _)| is_asked(path))
            .map(|(_, evidence)| evidence.clone())
    }

    pub(super) fn loaded_twice(&mut self, stream: &Stream) {
        let Some(load) = stream.loads.again() else {
            return;
        };
        // What a request loads for itself beside its server's start is no worker's.
        let lazy = self.seen.get(&Cause::LazyModel);
        if !stream.has_workers() && lazy.is_some_and(|lazy| lazy.evidence.contains(load)) {
            return;
        }
        if let Some(reloader) = self.seen.get_mut(&Cause::DoubleLoadReloader) {
            reloader.add(load.clone(), 0.95, None, None);
        } else if stream.is_of_several() {
            let once = self
                .stage(Part::Weights)
                .and_then(|weights| weights.longest_ms);
            self.see(Cause::DoubleLoadWorkers, 0.9, load.clone(), once, None);
        }
    }

    /// A load had begun and a process ended: most likely that one, and for that.
    pub(super) fn died_loading(&mut self, stream: &Stream) {
        let Some(load) = &stream.loading else { return };
        let is_its = |died: &&Evidence| died.source == load.source && died.line > load.line;
        if let Some(died) = self.died.iter().find(is_its).cloned() {
            self.see(Cause::LoadFailure, CONSEQUENCE, died, None, None);
        }
    }

    pub(super) fn uncovered(&mut self) {
        let gap = self
            .lengths
            .gap()
            .map(|(evidence, cost)| (evidence.clone(), cost));
        if let Some((evidence, cost)) = gap {
            // What a warm request takes is not the gap's.
            let steady = self.latency.steady_ms().unwrap_or(0.0);
            let cost = cost.map(|ms| (ms - steady).max(0.0));
            self.see(Cause::UncoveredLength, 0.85, evidence, cost, None);
        }
    }

    pub(super) fn slow_requests(&mut self) {
        let is_explained = EXPLAINING.iter().any(|cause| self.seen.contains_key(cause));
        // Percentiles fall, too, once threads are put right.
        let is_throttled = self.seen.contains_key(&Cause::CpuLimit) && !is_explained;
        let slow = self.latency.slow(is_explained).into_iter();
        for slow in slow.filter(|slow| !(is_throttled && slow.is_of_many)) {
            let sighting = self.seen.entry(Cause::WarmedByTraffic).or_default();
            // Several views of one thing: the dearest counts.
            let cost = sighting
                .told_ms
                .map_or(slow.cost_ms, |known| known.max(slow.cost_ms));
            sighting.add(slow.evidence, slow.confidence, None, None);
            sighting.seen_in(slow.stream);
            sighting.told_ms = Some(cost);
        }
    }

    /// What is compiled again was compiled before: where no start did so, the slow first request waited for it.
    pub(super) fn compiled_first(&mut self, streams: &BTreeMap<String, Stream>) {
        let mut parts = self.at_start.keys();
        let is_at_start = parts.any(|(part, _)| *part == Part::Kernels)
            || self.lengths.is_warmed()
            || streams.values().any(|stream| stream.is_warmed);
        let is_explained = EXPLAINING.iter().any(|cause| self.seen.contains_key(cause));
        let seen = |cause| {
            self.seen
                .get(&cause)
                .filter(|_| !is_at_start && !is_explained)
        };
        let Some((again, slow)) = seen(Cause::Recompiled).zip(seen(Cause::WarmedByTraffic)) else {
            return;
        };
        let first = slow.evidence.first().cloned();
        let is_before = |first: &Evidence| {
            let mut all = again.evidence.iter();
            all.all(|again| again.source == first.source && again.line > first.line)
        };
        if let Some(first) = first.filter(is_before) {
            self.see(Cause::Kernels, 0.65, first, None, None);
        }
    }

    /// A compiler that is only set up at the start runs in the first request, whose time tells that it did.
    pub(super) fn compiled_lazily(&mut self, streams: &BTreeMap<String, Stream>) {
        let is_explained = EXPLAINING.iter().any(|cause| self.seen.contains_key(cause));
        let slow = self.seen.get(&Cause::WarmedByTraffic);
        let is_of = |source: &str| {
            slow.is_some_and(|slow| slow.evidence.iter().any(|seen| seen.source == source))
        };
        let at_start = self.stage(Part::Kernels);
        let is_warm = at_start.is_some_and(|stage| stage.longest_ms.is_some())
            || self.lengths.is_warmed()
            || streams.values().any(|stream| stream.is_warmed);
        if let Some(set_up) = self.compiler.clone()
            && is_of(&set_up.source)
            && !is_explained
            && !is_warm
        {
            self.see(Cause::Kernels, 0.65, set_up, None, None);
        }
    }

    pub(super) fn containers(&mut self) {
        let start = self.start.clone();
        for container in std::mem::take(&mut self.containers) {
            for found in container.check(start.as_ref().map(|(ms, _)| ms / 1e3)) {
                self.see(found.cause, found.confidence, found.evidence, None, None);
                let timed = matches!(found.cause, Cause::LivenessKills | Cause::ProbeWindow);
                if let Some((_, evidence)) = start.as_ref().filter(|_| timed) {
                    self.see(found.cause, found.confidence, evidence.clone(), None, None);
                }
            }
        }
    }

    /// Where several write into one text, the start that matters is that of those whose requests pay:
    /// all of them do if it is told by somebody who starts nothing, such as a proxy.
    pub(super) fn keep_the_payers(&mut self, streams: &BTreeMap<String, Stream>) {
        let paid = self.seen.iter().filter(|(cause, _)| is_paid(cause));
        let payers: BTreeSet<u32> = paid.flat_map(|(_, s)| s.streams.iter().copied()).collect();
        let works = |payer: &u32| {
            let mut all = streams.values();
            all.any(|stream| stream.number == *payer && stream.works)
        };
        if !payers.is_empty() && payers.iter().all(works) {
            self.at_start
                .retain(|(_, stream), _| payers.contains(stream));
        }
    }

    /// The start's own parts are worth a word where the first request is slow: moving work before
    /// readiness adds to them.
    pub(super) fn add_start(&mut self) {
        let is_slow = |seen: &Sighting| seen.cost_ms().is_none_or(|ms| ms >= SLOW_MS);
        // Whoever is turned away by a server that loads beside its door waits for nothing.
        let is_beside = |cause: &Cause| *cause == Cause::ReadyTooEarly && self.loads_beside;
        let paid = self.seen.iter().filter(|(cause, _)| is_paid(cause));
        let mut paid = paid.filter(|(cause, _)| !is_beside(cause));
        let is_paid_for = self.is_waited_for || paid.any(|(_, seen)| is_slow(seen));
        for (part, cause) in [
            (Part::Weights, Cause::WeightsAtStart),
            (Part::Tokenizer, Cause::TokenizerAtStart),
        ] {
            let Some(stage) = self.stage(part).cloned() else {
                continue;
            };
            // Who waited for so long may have waited for this.
            let is_paid = |ms: f64| is_paid_for || self.waited >= ms;
            // Stamps tell enough of what somebody waited for.
            let is_told = stage.told_ms.is_some() || self.is_held;
            let longest = stage.longest_ms.filter(|_| is_told);
            if longest.is_some_and(|ms| ms >= LONG_STAGE_MS && is_paid(ms)) {
                let told_ms = stage.longest_ms;
                self.seen.insert(cause, Sighting { told_ms, ..stage });
            }
        }
    }
}

/// Whether a request pays for what could be done before it.
fn is_paid(cause: &Cause) -> bool {
    let are_others = [
        Cause::CpuLimit,
        Cause::UncoveredLength,
        Cause::Recompiled,
        Cause::WarmupSkipped,
    ];
    cause.about().paid == Paid::ByFirstRequest && !are_others.contains(cause)
}
