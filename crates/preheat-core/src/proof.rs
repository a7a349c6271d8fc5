//! What opens readiness.
//!
//! [`Criteria::judge`] is the only maker of a [`Proof`], and a [`Pass`] comes only from a proof or,
//! where the user asked to skip warm-up, from the lifecycle. A serving gate takes a pass by value.

mod evidence;

use std::time::Duration;

use crate::failure::{Failure, FailureKind};
use crate::moment::Moment;
use crate::phase::Phase;
use crate::warmup::{Path, median};

pub use evidence::{
    ConcurrencyEvidence, Evidence, FirstRequests, LoadEvidence, MemoryEvidence, WeightsEvidence,
};

/// What must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Criteria {
    /// The first request after warm-up may cost this many times the steady one.
    pub max_first_ratio: f64,
    /// Latency criteria are also met within this much time: noise must not keep a good replica out.
    pub slack: Duration,
    /// Share of the memory limit that must stay free.
    pub headroom: f64,
    /// The p95 that the optional synthetic load must stay under.
    pub slo_p95: Duration,
    pub when_unsettled: WhenUnsettled,
}

/// What to do about a replica whose answers are right and whose latency never settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenUnsettled {
    /// Serve it, plainly marked; a gateway uses it last.
    Degrade,
    Fail,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CheckId {
    P1,
    P2,
    P3,
    P4,
    P5,
    P6,
}

impl CheckId {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            CheckId::P1 => "P1",
            CheckId::P2 => "P2",
            CheckId::P3 => "P3",
            CheckId::P4 => "P4",
            CheckId::P5 => "P5",
            CheckId::P6 => "P6",
        }
    }
}

/// One item of the readiness report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub id: CheckId,
    pub what: &'static str,
    pub ok: bool,
    pub value: String,
    pub limit: String,
    /// A miss may be noise: tried again, and excused at the end if the settings say so.
    pub latency_only: bool,
}

/// The judgement: every check, and what follows.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    pub checks: Vec<Check>,
    pub outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Proven(Proof),
    /// Only latency missed, which may be noise: measure once more. Inside is what follows if there
    /// is no time for that.
    Again(Box<Outcome>),
    Failed(Failure),
}

/// The token that says: this replica was warm, at this moment, by these criteria.
#[derive(Debug, Clone, PartialEq)]
pub struct Proof {
    at: Moment,
    degraded: bool,
    steady: Duration,
    first: Duration,
    capacity: Option<f64>,
}

impl Proof {
    #[must_use]
    pub fn at(&self) -> Moment {
        self.at
    }

    /// Median steady latency through the front door.
    #[must_use]
    pub fn steady(&self) -> Duration {
        self.steady
    }

    /// Median of the first requests on fresh connections after warm-up.
    #[must_use]
    pub fn first(&self) -> Duration {
        self.first
    }

    /// Requests a second that it carried under the objective, where a load was part of the proof.
    #[must_use]
    pub fn capacity(&self) -> Option<f64> {
        self.capacity
    }

    /// Latency never settled, and the settings allow serving all the same.
    #[must_use]
    pub fn degraded(&self) -> bool {
        self.degraded
    }
}

/// What a serving gate is opened with.
#[derive(Debug, Clone, PartialEq)]
pub struct Pass(PassKind);

#[derive(Debug, Clone, PartialEq)]
enum PassKind {
    Proof(Proof),
    Skipped,
}

/// How warm the holder of a pass is known to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Warmth {
    Proven,
    Degraded,
    /// Warm-up was skipped at the user's wish: nothing is known.
    Skipped,
}

impl Warmth {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Warmth::Proven => "proven",
            Warmth::Degraded => "degraded",
            Warmth::Skipped => "skipped",
        }
    }
}

impl Pass {
    pub(crate) fn skipped() -> Self {
        Pass(PassKind::Skipped)
    }

    #[must_use]
    pub fn warmth(&self) -> Warmth {
        match &self.0 {
            PassKind::Proof(proof) if proof.degraded => Warmth::Degraded,
            PassKind::Proof(_) => Warmth::Proven,
            PassKind::Skipped => Warmth::Skipped,
        }
    }

    #[must_use]
    pub fn proof(&self) -> Option<&Proof> {
        match &self.0 {
            PassKind::Proof(proof) => Some(proof),
            PassKind::Skipped => None,
        }
    }
}

impl From<Proof> for Pass {
    fn from(proof: Proof) -> Self {
        Pass(PassKind::Proof(proof))
    }
}

impl Criteria {
    /// Judges a replica by what was observed.
    #[must_use]
    pub fn judge(&self, evidence: &Evidence, now: Moment) -> Verdict {
        let checks = self.checks(evidence);
        let missed = |excusable| checks.iter().find(|c| !c.ok && c.latency_only == excusable);
        let outcome = match (missed(false), missed(true)) {
            (Some(hard), _) => Outcome::Failed(failure(hard)),
            (None, None) => Outcome::Proven(self.proof(evidence, now, false)),
            (None, Some(latency)) => Outcome::Again(Box::new(match self.when_unsettled {
                WhenUnsettled::Degrade => Outcome::Proven(self.proof(evidence, now, true)),
                WhenUnsettled::Fail => Outcome::Failed(failure(latency)),
            })),
        };
        Verdict { checks, outcome }
    }

    fn proof(&self, evidence: &Evidence, at: Moment, degraded: bool) -> Proof {
        let http = evidence
            .first_requests
            .iter()
            .find(|d| d.path == Path::Http);
        let door = http.or(evidence.first_requests.first());
        let in_time = |load: &LoadEvidence| load.errors == 0 && load.p95 <= self.slo_p95;
        let load = evidence.load.filter(in_time);
        Proof {
            at,
            degraded,
            steady: door.map_or(Duration::ZERO, |d| median(&d.steady)),
            first: door.map_or(Duration::ZERO, |d| median(&d.first)),
            capacity: load.map(|load| load.rate).filter(|rate| *rate > 0.0),
        }
    }

    fn checks(&self, evidence: &Evidence) -> Vec<Check> {
        let mut checks = vec![
            match &evidence.server {
                Some(said) => server(said),
                None => weights(&evidence.weights),
            },
            ran(evidence),
            settled(evidence),
            self.first_request(&evidence.first_requests),
            concurrency(evidence.concurrency.as_ref()),
            self.memory(&evidence.memory),
        ];
        if let Some(load) = &evidence.load {
            checks.extend(self.load(load));
        }
        checks
    }

    /// Whether the first requests through a door cost no more than may be.
    #[must_use]
    pub fn allows(&self, door: &FirstRequests) -> bool {
        let beyond = median(&door.first).saturating_sub(median(&door.steady));
        door.ratio() <= self.max_first_ratio || beyond <= self.slack
    }

    fn first_request(&self, doors: &[FirstRequests]) -> Check {
        let worst = doors.iter().max_by(|a, b| a.ratio().total_cmp(&b.ratio()));
        Check {
            id: CheckId::P3,
            what: "first request after warm-up, through the front door",
            ok: !doors.is_empty() && doors.iter().all(|door| self.allows(door)),
            value: worst.map_or("not measured".into(), |d| {
                format!("{:.2} × steady ({})", d.ratio(), d.path.name())
            }),
            // A difference that counts as noise passes whatever its ratio.
            limit: format!(
                "{:.2} × steady, or {:.1} ms more",
                self.max_first_ratio,
                self.slack.as_secs_f64() * 1e3
            ),
            latency_only: !doors.is_empty(),
        }
    }

    fn memory(&self, memory: &MemoryEvidence) -> Check {
        let used = 1.0 - memory.headroom();
        Check {
            id: CheckId::P5,
            what: "peak memory",
            ok: memory.headroom() >= self.headroom,
            value: match memory.limit_bytes {
                0 => "the limit is not known".into(),
                _ => format!("{:.1} %", used * 100.0),
            },
            limit: format!("{:.1} %", (1.0 - self.headroom) * 100.0),
            latency_only: false,
        }
    }

    fn load(&self, load: &LoadEvidence) -> [Check; 2] {
        let check = |what, ok, value, limit, latency_only| Check {
            id: CheckId::P6,
            what,
            ok,
            value,
            limit,
            latency_only,
        };
        [
            check(
                "errors under synthetic load",
                load.errors == 0 && load.requests > 0,
                format!("{} of {}", load.errors, load.requests),
                "0".into(),
                false,
            ),
            check(
                "p95 under synthetic load",
                load.p95 <= self.slo_p95,
                format!(
                    "{:.1} ms at {:.1}/s",
                    load.p95.as_secs_f64() * 1e3,
                    load.rate
                ),
                format!("{:.1} ms", self.slo_p95.as_secs_f64() * 1e3),
                true,
            ),
        ]
    }
}

fn weights(weights: &WeightsEvidence) -> Check {
    let checksum = match weights.checksum_ok {
        Some(true) => "checksum right",
        Some(false) => "checksum wrong",
        None => "no checksum to compare with",
    };
    let tokenizer = if weights.tokenizer_ready {
        "ready"
    } else {
        "missing"
    };
    Check {
        id: CheckId::P1,
        what: "weights loaded, checksum right where known, tokenizer ready",
        ok: weights.checksum_ok != Some(false) && weights.tokenizer_ready,
        value: format!("on {}, {checksum}, tokenizer {tokenizer}", weights.device),
        limit: "loaded, checksum right where known".into(),
        latency_only: false,
    }
}

/// Necessary, and never sufficient: the other checks are what it is held against.
fn server(said: &str) -> Check {
    Check {
        id: CheckId::P1,
        what: "the server says that it is ready",
        ok: true,
        value: said.to_owned(),
        limit: "says so".into(),
        latency_only: false,
    }
}

fn ran(evidence: &Evidence) -> Check {
    let runs = evidence.cases.len();
    Check {
        id: CheckId::P2,
        what: "every planned case ran on every instance and path",
        ok: evidence.missing.is_empty() && runs > 0,
        value: match evidence.missing.first() {
            Some(first) => format!("{} missing, first: {first}", evidence.missing.len()),
            None => format!("{runs} of {runs}"),
        },
        limit: "all".into(),
        latency_only: false,
    }
}

fn settled(evidence: &Evidence) -> Check {
    let unsettled: Vec<_> = evidence.cases.iter().filter(|c| !c.settled).collect();
    Check {
        id: CheckId::P2,
        what: "latency settled",
        ok: unsettled.is_empty(),
        value: match unsettled.first() {
            Some(c) => {
                format!(
                    "{} unsettled, first: {} on {}",
                    unsettled.len(),
                    c.name,
                    c.path.name()
                )
            }
            None => "all settled".into(),
        },
        limit: "all settled".into(),
        latency_only: true,
    }
}

fn concurrency(evidence: Option<&ConcurrencyEvidence>) -> Check {
    Check {
        id: CheckId::P4,
        what: "overlapping requests give the same answers",
        ok: evidence
            .is_some_and(|e| e.requests > 0 && e.failed == 0 && e.max_difference <= e.tolerance),
        value: evidence.map_or("not measured".into(), |e| {
            format!(
                "{} requests, {} failed, off by {:.1e}",
                e.requests, e.failed, e.max_difference
            )
        }),
        limit: evidence.map_or(String::new(), |e| format!("off by {:.1e}", e.tolerance)),
        latency_only: false,
    }
}

fn failure(missed: &Check) -> Failure {
    let (kind, remedy) = match missed.id {
        CheckId::P1 => (
            FailureKind::Load,
            "fetch the model again (preheat models rm, then pull) or correct the expected checksum",
        ),
        CheckId::P2 => (
            FailureKind::Proof,
            "give warm-up more rounds or time ([warmup] max_rounds, timeout), or quieten the machine",
        ),
        CheckId::P3 => (
            FailureKind::Proof,
            "look at the warm-up diff for what the first request still pays, or raise [warmup] max_first_ratio",
        ),
        CheckId::P4 => (
            FailureKind::Proof,
            "the engine mixes up overlapping requests, or its answers depend on what runs beside them: set \
             instances = 1 and batching.max_batch = 1, and report it",
        ),
        CheckId::P5 => (
            FailureKind::Memory,
            "raise the memory limit, lower max_batch or max_tokens, or set [memory] headroom",
        ),
        CheckId::P6 => (
            FailureKind::Proof,
            "lower [warmup.load] rate, raise [slo] p95, or give the replica more CPU",
        ),
    };
    let cause = format!("{}: {}, limit {}", missed.what, missed.value, missed.limit);
    Failure::new(kind, &Phase::Proving, cause, remedy)
}

#[cfg(test)]
mod tests;
