//! What everything that was seen comes to.

mod combined;
mod dropped;

use std::collections::BTreeSet;

use super::cause::{Cause, Paid};
use super::rules::Part;
use super::sighting::Sighting;
use super::{Diagnosis, Evidence};

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
            self.stream = stream.number;
            for work in stream.rest() {
                self.settle(work);
            }
            let mut again = std::mem::take(&mut stream.again);
            for evidence in again.evidence {
                let told = again.told_ms.take();
                self.see(Cause::Recompiled, again.confidence, evidence, told, None);
            }
        }
        self.stream = 0;
        for stream in streams.values() {
            self.serves(stream);
            self.has_served(stream);
            self.drop_overcome(stream);
            self.too_early(stream);
            self.loaded_twice(stream);
            self.died_loading(stream);
        }
        self.miss_devices();
        self.refused_while_loading();
        self.uncovered();
        self.outnumbered();
        self.slow_requests();
        self.compiled_first(&streams);
        self.compiled_lazily(&streams);
        self.drop_primed();
        self.ready_unwarmed();
        self.cold_cache();
        self.containers();
        self.ended_by_its_probe();
        self.drop_of_others();
        self.drop_what_is_talk();
        self.drop_ends_of_service();
        self.drop_the_pulled();
        self.drop_the_placed();
        self.drop_ends_of_long_lives();
        self.drop_denied();
        self.drop_explained();
        self.drop_consequences();
        self.keep_the_payers(&streams);
        self.add_start();
        let first_request = self.first_request();
        Report {
            findings: self.findings(first_request),
            first_request,
            start: self.stages(),
            plan: self.plan(),
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
        let at_start = |part: Part| self.stage(part).and_then(|stage| stage.longest_ms);
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

    /// A part of the start: the longest of those who tell of it.
    fn stage(&self, part: Part) -> Option<&Sighting> {
        let all = self
            .at_start
            .iter()
            .filter(|((known, _), _)| *known == part);
        let took = |stage: &Sighting| stage.longest_ms.unwrap_or(0.0);
        all.map(|(_, stage)| stage)
            .reduce(|a, b| if took(b) > took(a) { b } else { a })
    }

    fn stages(&self) -> Vec<Stage> {
        let name = |part: &Part| match part {
            Part::Weights => "weights",
            Part::Tokenizer => "tokenizer",
            Part::Context => "device context",
            Part::Kernels => "kernels",
            Part::Download => "download",
        };
        let parts: BTreeSet<Part> = self.at_start.keys().map(|(part, _)| *part).collect();
        let stages = parts.iter().filter_map(|part| {
            Some(Stage {
                name: name(part),
                ms: self.stage(*part)?.longest_ms?,
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
