//! What everything that was seen comes to.

use super::cause::{Cause, Paid};
use super::rules::CONSEQUENCE;
use super::rules::Part;
use super::sighting::Sighting;
use super::timeline::Stream;
use super::{Diagnosis, Evidence};

/// A start's stage is a finding of its own from here on, where the first request is slow too.
const LONG_STAGE_MS: f64 = 500.0;

/// Within so many lines, a model that does not load is what follows from another cause.
const NEARBY_LINES: u64 = 20;

/// What fails, and why it does where a line says more than that. Memory comes first, as what it
/// explains explains nothing else then.
const EXPLAINED: &[(Cause, &[Cause])] = &[
    (
        Cause::WarmupFailed,
        &[Cause::OutOfMemory, Cause::ForkAfterCuda],
    ),
    (
        Cause::LoadFailure,
        &[
            Cause::OutOfMemory,
            Cause::WarmupFailed,
            Cause::ForkAfterCuda,
            Cause::DeviceFallback,
        ],
    ),
];

/// What sends SIGKILL by itself: exit code 137 then says nothing of memory.
const KILLS: [Cause; 3] = [
    Cause::WorkerTimeout,
    Cause::LivenessKills,
    Cause::ProbeWindow,
];

/// One cause, with everything a person needs to act on it.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    pub cause: Cause,
    pub evidence: Vec<Evidence>,
    /// Time that it costs, where that is known.
    pub cost_ms: Option<f64>,
    /// From 0 to 1.
    pub confidence: f64,
    /// What the first request would take with this alone changed, where that is known.
    pub after_ms: Option<f64>,
}

/// What the first request takes, and what is left once everything found is changed.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct FirstRequest {
    pub now_ms: Option<f64>,
    pub after_ms: Option<f64>,
}

/// A part of the start and its time.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    pub name: &'static str,
    pub ms: f64,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// What keeps a replica from serving first, then what requests pay, then what the start pays;
    /// the dearest first within each.
    pub findings: Vec<Finding>,
    pub first_request: FirstRequest,
    pub start: Vec<Stage>,
    pub plan: Plan,
}

/// What a start that leaves nothing to the first request does.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// Its time: weights and tokenizer side by side, then the device's context, then the kernels.
    pub start_ms: Option<f64>,
    /// Lengths to add to the warm-up.
    pub lengths: Vec<u64>,
}

impl Diagnosis {
    /// What all that was taken in comes to.
    #[must_use]
    pub fn report(mut self) -> Report {
        let mut streams = std::mem::take(&mut self.streams);
        for stream in streams.values_mut() {
            for work in stream.rest() {
                self.settle(work);
            }
        }
        for stream in streams.values() {
            self.drop_overcome(stream);
            self.too_early(stream);
            self.loaded_twice(stream);
        }
        self.refused_while_loading();
        self.uncovered();
        self.slow_requests();
        self.cold_cache();
        self.containers();
        self.ended_by_its_probe();
        self.drop_explained();
        self.drop_consequences();
        self.add_start();
        let first_request = self.first_request();
        Report {
            findings: self.findings(first_request),
            first_request,
            start: self.stages(),
            plan: self.plan(),
        }
    }

    fn too_early(&mut self, stream: &Stream) {
        let Some(ready) = stream.ready.as_ref().filter(|_| stream.ready_then_cold) else {
            return;
        };
        let lazily = [
            Cause::LazyModel,
            Cause::CudaContext,
            Cause::Kernels,
            Cause::LazyTokenizer,
        ];
        if lazily.iter().any(|cause| self.seen.contains_key(cause)) {
            self.see(Cause::ReadyTooEarly, 0.85, ready.clone(), None, None);
        }
    }

    /// One way to load the model failed, another one did not.
    fn drop_overcome(&mut self, stream: &Stream) {
        let Some(failures) = self.seen.get_mut(&Cause::LoadFailure) else {
            return;
        };
        failures
            .evidence
            .retain(|failure| !stream.overcome().contains(failure));
        if failures.evidence.is_empty() {
            self.seen.remove(&Cause::LoadFailure);
        }
    }

    fn loaded_twice(&mut self, stream: &Stream) {
        let Some(load) = stream
            .load
            .as_ref()
            .filter(|_| stream.loaded_again() || stream.loaded_at_once)
        else {
            return;
        };
        if let Some(reloader) = self.seen.get_mut(&Cause::DoubleLoadReloader) {
            reloader.add(load.clone(), 0.95, None, None);
        } else if stream.most_running > 1 || stream.loaded_at_once {
            let once = self
                .at_start
                .get(&Part::Weights)
                .and_then(|weights| weights.longest_ms);
            self.see(Cause::DoubleLoadWorkers, 0.9, load.clone(), once, None);
        }
    }

    fn uncovered(&mut self) {
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

    fn slow_requests(&mut self) {
        for slow in self.latency.slow() {
            let sighting = self.seen.entry(Cause::WarmedByTraffic).or_default();
            // Several views of one thing: the dearest counts.
            let cost = sighting
                .told_ms
                .map_or(slow.cost_ms, |known| known.max(slow.cost_ms));
            sighting.add(slow.evidence, slow.confidence, None, None);
            sighting.told_ms = Some(cost);
        }
    }

    fn containers(&mut self) {
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

    /// A load or a warm-up that failed beside its reason is no finding of its own.
    fn drop_explained(&mut self) {
        for (failure, reasons) in EXPLAINED {
            self.drop_beside(*failure, reasons);
        }
    }

    fn drop_beside(&mut self, failure: Cause, reasons: &[Cause]) {
        let reasons: Vec<Evidence> = reasons
            .iter()
            .filter_map(|cause| self.seen.get(cause))
            .filter(|sighting| sighting.confidence > CONSEQUENCE)
            .flat_map(|sighting| sighting.evidence.clone())
            .collect();
        let is_explained = |failure: &Evidence| {
            reasons.iter().any(|reason| {
                reason.source == failure.source
                    && reason.line.abs_diff(failure.line) <= NEARBY_LINES
            })
        };
        if let Some(failures) = self.seen.get_mut(&failure) {
            failures.evidence.retain(|failure| !is_explained(failure));
            if failures.evidence.is_empty() {
                self.seen.remove(&failure);
            }
        }
    }

    /// What merely follows from a cause that is named is none of its own.
    fn drop_consequences(&mut self) {
        let told = |cause: Cause, seen: &std::collections::BTreeMap<Cause, Sighting>| {
            seen.get(&cause)
                .is_some_and(|sighting| sighting.confidence > CONSEQUENCE)
        };
        let guessed = |cause: Cause, seen: &std::collections::BTreeMap<Cause, Sighting>| {
            seen.get(&cause)
                .is_some_and(|sighting| sighting.confidence <= CONSEQUENCE)
        };
        let is_killed = KILLS.iter().any(|cause| told(*cause, &self.seen));
        if is_killed && guessed(Cause::OutOfMemory, &self.seen) {
            self.seen.remove(&Cause::OutOfMemory);
        }
        let stopping = Cause::ALL
            .iter()
            .filter(|cause| cause.about().paid == Paid::Otherwise && **cause != Cause::LoadFailure);
        let another = stopping
            .into_iter()
            .any(|cause| self.seen.contains_key(cause));
        if another && guessed(Cause::LoadFailure, &self.seen) {
            self.seen.remove(&Cause::LoadFailure);
        }
    }

    /// The start's own parts are worth a word where the first request is slow: moving work before
    /// readiness adds to them.
    fn add_start(&mut self) {
        let paid =
            |cause: &Cause| cause.about().paid == Paid::ByFirstRequest && *cause != Cause::CpuLimit;
        if !self.seen.keys().any(paid) {
            return;
        }
        for (part, cause) in [
            (Part::Weights, Cause::WeightsAtStart),
            (Part::Tokenizer, Cause::TokenizerAtStart),
        ] {
            let Some(stage) = self.at_start.get(&part) else {
                continue;
            };
            if stage.told_ms.is_some() && stage.longest_ms.is_some_and(|ms| ms >= LONG_STAGE_MS) {
                let told_ms = stage.longest_ms;
                self.seen.insert(
                    cause,
                    Sighting {
                        told_ms,
                        ..stage.clone()
                    },
                );
            }
        }
    }

    fn first_request(&self) -> FirstRequest {
        let steady = self.latency.steady_ms();
        let paid: f64 = self
            .seen
            .iter()
            .filter(|(cause, _)| is_part(**cause))
            .filter_map(|(_, s)| s.cost_ms())
            .sum();
        let summed = (paid > 0.0).then(|| paid + steady.unwrap_or(0.0));
        let first = self.latency.first_ms();
        let now_ms = [first, summed].into_iter().flatten().reduce(f64::max);
        let after_ms = steady.or_else(|| {
            now_ms
                .filter(|_| paid > 0.0)
                .map(|now| now - paid)
                .filter(|left| *left >= 1.0)
        });
        FirstRequest {
            now_ms,
            after_ms: after_ms.filter(|_| now_ms.is_some()),
        }
    }

    fn findings(&self, first: FirstRequest) -> Vec<Finding> {
        let mut findings: Vec<Finding> = self
            .seen
            .iter()
            .map(|(cause, seen)| Finding {
                cause: *cause,
                evidence: seen.evidence.clone(),
                cost_ms: seen.cost_ms(),
                confidence: seen.confidence,
                after_ms: after(*cause, seen.cost_ms(), first),
            })
            .collect();
        let rank = |finding: &Finding| match finding.cause.about().paid {
            Paid::Otherwise => 0,
            Paid::ByFirstRequest => 1,
            Paid::AtStart => 2,
        };
        findings.sort_by(|a, b| {
            let cost = |f: &Finding| f.cost_ms.unwrap_or(0.0);
            rank(a)
                .cmp(&rank(b))
                .then(cost(b).total_cmp(&cost(a)))
                .then(a.cause.cmp(&b.cause))
        });
        findings
    }

    /// None of it where the first request is left nothing.
    fn plan(&self) -> Plan {
        let lengths = self.lengths.missing();
        if !self.seen.keys().any(|cause| is_part(*cause)) {
            return Plan {
                start_ms: None,
                lengths,
            };
        }
        let at_request = |cause: Cause| self.seen.get(&cause).and_then(Sighting::cost_ms);
        let at_start = |part: Part| self.at_start.get(&part).and_then(|stage| stage.longest_ms);
        let whole = |part, cause| at_start(part).or(at_request(cause));
        let loads = [
            whole(Part::Weights, Cause::LazyModel),
            whole(Part::Tokenizer, Cause::LazyTokenizer),
        ];
        let load = loads.into_iter().flatten().reduce(f64::max);
        let after = [
            whole(Part::Context, Cause::CudaContext),
            whole(Part::Kernels, Cause::Kernels),
            at_request(Cause::Recompiled),
        ];
        let start_ms = after
            .into_iter()
            .chain([load])
            .flatten()
            .reduce(|a, b| a + b);
        Plan { start_ms, lengths }
    }

    fn stages(&self) -> Vec<Stage> {
        let name = |part: &Part| match part {
            Part::Weights => "weights",
            Part::Tokenizer => "tokenizer",
            Part::Context => "device context",
            Part::Kernels => "kernels",
            Part::Download => "download",
        };
        let stages = self.at_start.iter().filter_map(|(part, seen)| {
            Some(Stage {
                name: name(part),
                ms: seen.longest_ms?,
            })
        });
        stages.collect()
    }
}

/// Whether its cost is a part of the first request's time, and no other finding's.
fn is_part(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::LazyModel
            | Cause::LazyTokenizer
            | Cause::CudaContext
            | Cause::Kernels
            | Cause::Recompiled
            | Cause::UncoveredLength
    )
}

/// The first request's time with this alone changed.
fn after(cause: Cause, cost: Option<f64>, first: FirstRequest) -> Option<f64> {
    let now = first.now_ms?;
    match cause {
        // A gate that waits for the warm-up takes all of it away.
        Cause::ReadyTooEarly | Cause::WarmedByTraffic | Cause::WarmupSkipped => first.after_ms,
        _ if is_part(cause) => Some((now - cost?).max(first.after_ms.unwrap_or(0.0))),
        _ => Some(now),
    }
}
