//! A container that is started again and again, in a text that does not say who ends it: where its
//! startup probe failed on an answer, and nothing shows that it ended by itself, that probe did.

use std::collections::BTreeSet;

use super::cause::{Cause, Paid};
use super::line::list::List;
use super::rules::endings::{ASKED_FOR_LIFE, NO_LONGER, OF_MANAGERS, ON_PLATFORM, START_LIMIT};
use super::{Diagnosis, Evidence};

/// So many lines on, it is ended for what was said of it.
const CLOSE: u64 = 6;

/// Where the newest stands first.
const ABOVE: u64 = 2;

/// Pods that are told apart.
const PODS: usize = 64;

/// More than a guess, as nothing else is seen, and less than what kubelet says in so many words.
const CONFIDENCE: f64 = 0.7;

#[derive(Debug, Default)]
pub(super) struct Restarts {
    unstarted: Vec<Seen>,
    held_back: Vec<Seen>,
    /// Ended by itself.
    crashed: Vec<Seen>,
    unalive: Vec<Seen>,
    /// Ended from outside.
    stopped: Vec<Seen>,
    /// The same two as anybody says them.
    unwell: Vec<Seen>,
    downed: Vec<Seen>,
    /// Ended for giving no sign in time, and by what is said of it.
    silenced: Vec<(Option<Cause>, Evidence)>,
    /// Texts in which somebody is asked whether it lives.
    asked: BTreeSet<String>,
}

#[derive(Debug)]
struct Seen {
    pod: Option<String>,
    evidence: Evidence,
}

impl Restarts {
    pub(super) fn unstarted(&mut self, evidence: &Evidence) {
        note(&mut self.unstarted, evidence);
    }

    pub(super) fn held_back(&mut self, evidence: &Evidence) {
        note(&mut self.held_back, evidence);
    }

    pub(super) fn crashed(&mut self, evidence: &Evidence) {
        note(&mut self.crashed, evidence);
    }

    pub(super) fn unalive(&mut self, evidence: &Evidence) {
        note(&mut self.unalive, evidence);
    }

    pub(super) fn stopped(&mut self, evidence: &Evidence) {
        note(&mut self.stopped, evidence);
    }

    pub(super) fn unwell(&mut self, evidence: &Evidence) {
        note_each(&mut self.unwell, evidence);
    }

    pub(super) fn downed(&mut self, evidence: &Evidence) {
        note_each(&mut self.downed, evidence);
    }

    pub(super) fn silenced(&mut self, text: &str, evidence: &Evidence) {
        if self.silenced.len() < PODS {
            self.silenced.push((ended_by(text), evidence.clone()));
        }
    }

    pub(super) fn asks_life(&mut self, source: &str) {
        if self.asked.len() < PODS && !self.asked.contains(source) {
            self.asked.insert(source.to_owned());
        }
    }

    /// Somebody who loads was ended for its silence: by whoever asks whether it lives, if nobody else is
    /// told.
    fn ended_silent(&self, sources: &BTreeSet<String>) -> Option<(Cause, &Evidence)> {
        let mut silenced = self.silenced.iter();
        silenced.find_map(|(cause, ended)| {
            let other = match self.asked.contains(&ended.source) {
                true => Cause::LivenessKills,
                false => Cause::WorkerTimeout,
            };
            let is_ended = !NO_LONGER.iter().any(|word| ended.text.contains(word));
            let cause = cause.or_else(|| is_ended.then_some(other));
            cause
                .filter(|_| sources.contains(&ended.source))
                .map(|cause| (cause, ended))
        })
    }

    /// Somebody was found unwell in one of these texts, and ended right behind that.
    fn ended_unwell(&self, sources: &BTreeSet<String>) -> Option<[&Evidence; 2]> {
        let mut unwell = self.unwell.iter();
        unwell.find_map(|failed| {
            let mut ended = self.downed.iter();
            let ended = ended.find(|ended| {
                // Consoles show what is newest first.
                let (one, other) = (failed.evidence.line, ended.evidence.line);
                let is_close = one + CLOSE >= other && other + ABOVE >= one;
                failed.is_of_one_with(ended) && is_close
            })?;
            let loads = sources.contains(&failed.evidence.source);
            loads.then_some([&failed.evidence, &ended.evidence])
        })
    }

    /// Whether a line names a pod that is being stopped, and not for its probe: whoever asks it then finds
    /// nobody.
    pub(super) fn is_leaving(&self, evidence: &Evidence) -> bool {
        let Some(name) = pod(&evidence.text) else {
            return false;
        };
        let is_its = |seen: &&Seen| {
            let text = &seen.evidence.text;
            seen.pod.as_ref() == Some(&name) && text.contains("Stopping container")
        };
        let is_unalive = || {
            self.unalive
                .iter()
                .any(|seen| seen.pod.as_ref() == Some(&name))
        };
        self.stopped.iter().any(|seen| is_its(&seen)) && !is_unalive()
    }

    /// What is said of one pod: its liveness probe failed, and it was ended from outside.
    fn ended_unalive(&self) -> Option<[&Evidence; 2]> {
        self.unalive.iter().find_map(|failed| {
            let mut ended = self.stopped.iter();
            let ended = ended.find(|ended| failed.is_of_one_with(ended))?;
            Some([&failed.evidence, &ended.evidence])
        })
    }

    /// What is said of one pod: its startup probe failed, and it is kept from starting again.
    fn of_one_pod(&self) -> Option<[&Evidence; 2]> {
        let crashed = |seen: &Seen| self.crashed.iter().any(|other| seen.may_be_one_with(other));
        let mut failed = self.unstarted.iter().filter(|failed| !crashed(failed));
        failed.find_map(|failed| {
            let mut held = self.held_back.iter().filter(|held| !crashed(held));
            let held = held.find(|held| failed.is_of_one_with(held))?;
            Some([&failed.evidence, &held.evidence])
        })
    }
}

/// Who ends it, by whom and what a line names.
fn ended_by(text: &str) -> Option<Cause> {
    static WORDS: List = List::new(&[ASKED_FOR_LIFE, OF_MANAGERS, ON_PLATFORM, START_LIMIT]);
    let mut is_told = [false; 4];
    WORDS.all(text).for_each(|found| is_told[found.list] = true);
    match is_told {
        [.., true] => Some(Cause::ProbeWindow),
        [true, ..] => Some(Cause::LivenessKills),
        [_, true, ..] => Some(Cause::WorkerTimeout),
        [_, _, true, _] => Some(Cause::ProbeWindow),
        _ => None,
    }
}

impl Seen {
    fn is_of_one_with(&self, other: &Seen) -> bool {
        self.may_be_one_with(other) && self.evidence.source == other.evidence.source
    }

    fn may_be_one_with(&self, other: &Seen) -> bool {
        match (&self.pod, &other.pod) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        }
    }
}

fn note(seen: &mut Vec<Seen>, evidence: &Evidence) {
    let pod = evidence.pod.clone().or_else(|| pod(&evidence.text));
    if seen.len() < PODS && seen.iter().all(|known| known.pod != pod) {
        seen.push(Seen {
            pod,
            evidence: evidence.clone(),
        });
    }
}

/// Whoever watches may find it well again, and unwell once more.
fn note_each(seen: &mut Vec<Seen>, evidence: &Evidence) {
    // The oldest goes, as what follows is near the newest.
    if seen.len() >= PODS {
        seen.remove(0);
    }
    let pod = evidence.pod.clone().or_else(|| pod(&evidence.text));
    let evidence = evidence.clone();
    seen.push(Seen { pod, evidence });
}

/// Its name, as `pod/NAME` in a column or as `in pod NAME_NAMESPACE(ID)` in a sentence.
fn pod(text: &str) -> Option<String> {
    let named = text.split_whitespace().find_map(|w| w.strip_prefix("pod/"));
    let told = || text.split_once(" in pod ")?.1.split(['_', '(', ' ']).next();
    named.or_else(told).map(str::to_owned)
}

impl Diagnosis {
    /// After everything that names a reason.
    pub(super) fn ended_by_its_probe(&mut self) {
        let another = self.seen.iter().any(|(cause, sighting)| match cause {
            Cause::ConnectionRefused => false,
            // Exit code 137 alone says that somebody killed it, and a crash loop that it keeps ending.
            cause => cause.about().paid == Paid::Otherwise && !sighting.is_guess(),
        });
        if another {
            return;
        }
        let startup = self.restarts.of_one_pod();
        let ended = startup.map(|seen| (Cause::ProbeWindow, seen));
        let ended = ended.or_else(|| {
            let seen = self.restarts.ended_unalive()?;
            Some((Cause::LivenessKills, seen))
        });
        let ended = ended.or_else(|| {
            let seen = self.restarts.ended_unwell(&self.refusals.loads)?;
            Some((Cause::LivenessKills, seen))
        });
        let ended = ended.map(|(cause, seen)| (cause, seen.map(Clone::clone).to_vec()));
        let ended = ended.or_else(|| {
            let (cause, seen) = self.restarts.ended_silent(&self.refusals.loads)?;
            Some((cause, vec![seen.clone()]))
        });
        let Some((cause, seen)) = ended else { return };
        for evidence in seen {
            self.see(cause, CONFIDENCE, evidence, None, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pod that fails its checks all night does not hide who is ended in the morning.
    #[test]
    fn the_newest_checks_are_remembered() {
        let mut seen = Vec::new();
        for number in 1..=PODS as u64 + 1 {
            let evidence = Evidence {
                source: "events".into(),
                pod: None,
                line: number,
                text: "Unhealthy pod/llm-0 Liveness probe failed".into(),
            };
            note_each(&mut seen, &evidence);
        }
        let lines = seen.iter().map(|seen| seen.evidence.line);
        assert!(lines.eq(2..=PODS as u64 + 1));
        assert!(seen.iter().all(|seen| seen.pod.as_deref() == Some("llm-0")));
    }
}
