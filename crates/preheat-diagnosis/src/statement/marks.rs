//! Where in its life a process is, as the marks of a line tell.

use super::age;
use crate::access::asks_for_state;
use crate::cause::Cause;
use crate::line::Parsed;
use crate::line::wording::{Telling, ended, process, without_numbers};
use crate::rules::{Mark, Meaning, Part};
use crate::timeline::{Place, Stream, Work};
use crate::{Diagnosis, Evidence};

/// Texts whose services begin anew.
const SERVICES: usize = 64;

impl Diagnosis {
    pub(crate) fn claims_ready(&mut self, stream: &mut Stream, evidence: &Evidence) {
        // Said to our gate, which nobody comes through before the proof.
        const BEHIND: [&str; 2] = ["event=\"server_said\"", "event=\"server_ready\""];
        if BEHIND.iter().any(|event| evidence.text.contains(event)) {
            return;
        }
        stream.claims_ready(evidence);
        self.claimed.get_or_insert_with(|| evidence.clone());
    }

    /// How often all processes of a text's service were replaced.
    pub(super) fn starts_of(&self, source: &str) -> u32 {
        self.starts_anew.get(source).copied().unwrap_or(0)
    }

    fn begins_anew(&mut self, source: &str) {
        if self.starts_anew.len() < SERVICES || self.starts_anew.contains_key(source) {
            let starts = self.starts_anew.entry(source.to_owned()).or_default();
            *starts = starts.saturating_add(1);
        }
    }

    /// What a request asked for is not there: a claim before it came too early.
    pub(crate) fn turned_away(&mut self, stream: &mut Stream) {
        if stream.turned_away()
            && let Some(claim) = self.claimed.clone()
        {
            self.loads_beside = true;
            self.see(Cause::ReadyTooEarly, 0.7, claim, None, None);
        }
    }

    pub(super) fn marks(&mut self, stream: &mut Stream, line: &Parsed<'_>) {
        // What began to load after its server had come up is there now: no claim, but the load's end.
        let ready = line.first(Mark::Ready);
        let took = ready.and_then(|hit| line.amounts.iter().find(|took| took.start >= hit.at));
        // Ours says how long the whole start took.
        let is_ours = line.text.contains("event=\"ready\"");
        let ends_load = stream.loads_late() && took.is_some() && !is_ours;
        if ends_load {
            let place = stream.begun(Part::Weights).unwrap_or(Place::AtStart);
            let work = Work {
                told_ms: took.map(|took| took.ms),
                ..Work::new(Part::Weights, place, line)
            };
            if let Some(work) = stream.work(work, line.at, Telling::End) {
                self.settle(work);
            }
        }
        for hit in line.hits {
            let Meaning::Marks(mark) = hit.means else {
                continue;
            };
            match mark {
                Mark::Booted => {
                    stream.is_timed_out = false;
                    stream.booted(process(line.text), line.at);
                }
                Mark::Started => stream.started(process(line.text), line.at),
                Mark::Parent => stream.parent(),
                // Whoever manages them all says so, and begins anew.
                Mark::Ended if begins_anew(line.text) => self.begins_anew(&line.evidence.source),
                Mark::Ended => stream.ended(ended(line.text)),
                Mark::Request if asks_for_state(line.text) || line.has(Mark::Held) => {}
                Mark::Request if line.names(Cause::WarmupFailed) => {}
                Mark::Request => {
                    stream.request(line.at, None);
                    // A function's start is over once it is called.
                    stream.is_called |= line.text.starts_with("start requestid");
                }
                Mark::Primes => self.primed.hooked(),
                Mark::Held => {
                    (self.is_waited_for, self.is_held) = (true, true);
                    stream.is_waited_for();
                }
                // Whoever goes for it lets the request wait.
                Mark::TurnedAway if !line.has(Mark::Obtains) => self.turned_away(stream),
                Mark::Pulling => stream.pulls(line.at, age(line)),
                Mark::Pulled if !line.names_a_cause() => self.pulled(stream, line),
                Mark::Interrupted => stream.interrupted(),
                Mark::Died => self.died(&line.evidence),
                Mark::Refused => self.refusals.refused(line.text, &line.evidence),
                Mark::OpensLate => self.refusals.opens_late(&line.evidence),
                Mark::Unstarted => self.restarts.unstarted(&line.evidence),
                Mark::HeldBack => self.restarts.held_back(&line.evidence),
                Mark::Crashed => self.restarts.crashed(&line.evidence),
                Mark::Cached => stream.cached(),
                // Whoever waits for it does not ask for a change of models.
                Mark::Replaced if line.has(Mark::AtRequest) => {}
                Mark::Replaced => stream.replaces(),
                Mark::Restarted => stream.restarts(),
                Mark::Listening => {
                    self.latency.begins();
                    self.refusals.listening(line.text);
                    stream.listening(without_numbers(line.text));
                }
                Mark::ScaledUp => self.placement.scaled_up(&line.evidence),
                Mark::Placed => self.placed(&line.evidence),
                Mark::Unalive => self.restarts.unalive(&line.evidence),
                Mark::Stopped => self.restarts.stopped(&line.evidence),
                Mark::Unwell => self.restarts.unwell(&line.evidence),
                Mark::Downed => {
                    stream.replaced(ended(line.text));
                    self.restarts.downed(&line.evidence);
                }
                Mark::Silenced => self.restarts.silenced(line.text, &line.evidence),
                Mark::LongLived => {
                    self.lived_long(&line.evidence.source, line.evidence.pod.as_deref());
                }
                Mark::Disk => self.reads.watched(),
                Mark::Moved => self.reads.moved(&line.evidence),
                Mark::Complete | Mark::Ready if ends_load => {}
                Mark::Complete | Mark::Ready => {
                    // The row of one pod says nothing of the door of another.
                    let gate = is_row_of_a_pod(&line.evidence.text);
                    let gate = gate.then(|| std::mem::take(&mut stream.gate));
                    if mark == Mark::Ready {
                        self.claims_ready(stream, &line.evidence);
                    }
                    let told = line
                        .amounts
                        .iter()
                        .find(|a| a.start >= hit.at)
                        .filter(|_| mark == Mark::Ready && line.parts().next().is_none())
                        .map(|a| a.ms);
                    if mark == Mark::Complete {
                        stream.opens_again();
                    }
                    let seen = stream.complete(line.at);
                    self.latency.begins();
                    if let Some(ms) = told.or(seen) {
                        self.start_took(ms, line.evidence.clone());
                    }
                    if let Some(gate) = gate {
                        stream.gate = gate;
                    }
                }
                _ => {}
            }
        }
    }
}

/// Whether all processes of a service are replaced by new ones.
fn begins_anew(text: &str) -> bool {
    ["scheduled restart job", "signal: hup"]
        .iter()
        .any(|word| text.contains(word))
}

/// `embed-7c9d8f6b5-x2x4z   1/1   Running   0   12d`
fn is_row_of_a_pod(text: &str) -> bool {
    let both = text
        .split_whitespace()
        .nth(1)
        .and_then(|word| word.split_once('/'));
    both.is_some_and(|(one, all)| one.parse::<u8>().is_ok() && all.parse::<u8>().is_ok())
}
