//! Somebody finds nobody who listens: where weights are loaded in the same input, that is why, if it
//! is the server that was asked, and not one that the server asks.

use std::collections::BTreeSet;

use super::cause::Cause;
use super::line::text::digits;
use super::rules::Part;
use super::{Diagnosis, Evidence};

/// Ports and refusals that are kept.
const PORTS: usize = 32;

/// Words of whoever waits for a server, or watches it.
const ASKING: [&str; 27] = [
    "nc ",
    "telnet",
    "tcp check",
    "client",
    "retries",
    "establish",
    "connect to",
    "http://",
    "dial tcp",
    "predict",
    "embed",
    "infer",
    "attempt",
    "retry",
    "curl",
    "wget",
    "health",
    "ready",
    "live",
    "probe",
    "upstream",
    "wait",
    "startup",
    "backend",
    "is down",
    "proxy",
    "gateway",
];

#[derive(Debug, Default)]
pub(super) struct Refusals {
    all: Vec<Refusal>,
    /// Where somebody listens, sooner or later.
    ports: BTreeSet<u16>,
    /// That nobody listens until something is loaded.
    late: Vec<Evidence>,
    /// Texts that tell of a load.
    pub(super) loads: BTreeSet<String>,
    /// Of these, the ones in which it failed, and nothing is loaded since.
    ended: BTreeSet<String>,
}

#[derive(Debug)]
struct Refusal {
    ports: Vec<u16>,
    /// The line is about a probe, or about somebody who waits for the server.
    is_asked: bool,
    evidence: Evidence,
}

impl Refusals {
    pub(super) fn refused(&mut self, text: &str, evidence: &Evidence) {
        // Nobody will listen any more.
        let is_ended = self.ended.contains(&evidence.source);
        if self.all.len() < PORTS && !is_ended {
            self.all.push(Refusal {
                ports: ports(text).take(PORTS).collect(),
                is_asked: ASKING.iter().any(|word| text.contains(word)),
                evidence: evidence.clone(),
            });
        }
    }

    pub(super) fn are_in(&self, source: &str) -> bool {
        self.all
            .iter()
            .any(|refusal| refusal.evidence.source == source)
    }

    pub(super) fn opens_late(&mut self, evidence: &Evidence) {
        if self.late.len() < PORTS {
            self.late.push(evidence.clone());
        }
    }

    /// Something is loaded in this text.
    pub(super) fn loads(&mut self, source: &str) {
        self.begins(source);
        if self.loads.len() < PORTS && !self.loads.contains(source) {
            self.loads.insert(source.to_owned());
        }
    }

    /// Somebody starts, and may listen again.
    pub(super) fn begins(&mut self, source: &str) {
        self.ended.remove(source);
    }

    /// What is loaded in this text fails.
    pub(super) fn ends(&mut self, source: &str) {
        if self.loads.contains(source) && !self.ended.contains(source) {
            self.ended.insert(source.to_owned());
        }
    }

    pub(super) fn listening(&mut self, text: &str) {
        let room = PORTS.saturating_sub(self.ports.len());
        self.ports.extend(ports(text).take(room));
    }

    /// The first one that is for a load in one of these inputs.
    fn beside(&self, sources: &BTreeSet<&str>) -> Option<&Evidence> {
        let is_near = |refused: &Refusal| sources.contains(refused.evidence.source.as_str());
        let is_ours = |refused: &Refusal| {
            refused.is_asked || refused.ports.iter().any(|port| self.ports.contains(port))
        };
        let mut all = self.all.iter();
        let refused = all.find(|refused| is_near(refused) && is_ours(refused))?;
        Some(&refused.evidence)
    }
}

/// Ports that a line names: `:8000`, `port 8000`, `('127.0.0.1', 8000)`.
fn ports(text: &str) -> impl Iterator<Item = u16> + '_ {
    [
        ":",
        "port ",
        "port=",
        "', ",
        "port: ",
        "on ",
        "localhost ",
        "127.0.0.1 ",
    ]
    .into_iter()
    .flat_map(move |open| text.match_indices(open).map(move |(at, _)| at + open.len()))
    .filter_map(|at| {
        let (port, rest) = digits(&text[at..]);
        let is_port = port == "80" || port.len() >= 3;
        let more = rest.strip_prefix([':', '.']);
        let is_clock = more.is_some_and(|more| more.starts_with(|c: char| c.is_ascii_digit()));
        port.parse().ok().filter(|_| is_port && !is_clock)
    })
}

impl Diagnosis {
    pub(super) fn refused_while_loading(&mut self) {
        let restarts = std::mem::take(&mut self.restarts);
        let is_leaving = |evidence: &Evidence| restarts.is_leaving(evidence);
        self.drop_evidence(Cause::ConnectionRefused, is_leaving);
        let all = &mut self.refusals.all;
        all.retain(|refused| !is_leaving(&refused.evidence));
        self.restarts = restarts;
        let loads = self
            .at_start
            .iter()
            .filter(|((part, _), _)| *part == Part::Weights);
        let sources = loads.flat_map(|(_, load)| load.evidence.iter().map(|e| e.source.as_str()));
        let told = self.refusals.loads.iter().map(String::as_str);
        let refused = self.refusals.beside(&sources.chain(told).collect());
        // Who asks in vain may say no more than that it asks no longer.
        let refused = refused.or_else(|| self.opened_too_late());
        if let Some(evidence) = refused.cloned()
            && !self.seen.contains_key(&Cause::ConnectionRefused)
        {
            self.see(Cause::ConnectionRefused, 0.7, evidence, None, None);
        }
    }
    /// A server says that it listens after its load, and a probe gave it up before.
    fn opened_too_late(&self) -> Option<&Evidence> {
        let ends = [Cause::ProbeWindow, Cause::LivenessKills];
        let ended = ends.iter().filter_map(|cause| self.seen.get(cause));
        let ended: Vec<&Evidence> = ended.flat_map(|seen| &seen.evidence).collect();
        let is_ended = |late: &Evidence| {
            let behind = |end: &&Evidence| end.source == late.source && end.line > late.line;
            ended.iter().any(behind)
        };
        self.refusals.late.iter().find(|late| is_ended(late))
    }
}
