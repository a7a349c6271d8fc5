//! What a run says: what users met under each fault, and what must not have happened.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::schedule::{FAULTS, Fault};
use super::watch::Watch;
use crate::bench::ms;
use crate::bench::stats::{median, percentile, worst};
use crate::bench::users::{Outcome, Sample};

/// Users that must have been answered, of all whose way was not cut. Where all replicas are killed at
/// once, after others had failed to start, a start may take longer than the three seconds that a
/// request has: those are refused, and rightly so.
const ANSWERED: f64 = 0.97;

/// So many times played, a fault must have shown.
const ENOUGH: usize = 5;

/// Offences that are told one by one.
const TOLD: usize = 10;

/// Everything that was seen.
pub(super) struct Seen {
    pub(super) samples: Vec<Sample>,
    /// For each kind of fault, how long until the fleet was whole again after each.
    pub(super) whole: BTreeMap<usize, Vec<Duration>>,
    pub(super) watch: Watch,
    /// Connections of users that the bench has cut.
    pub(super) cut: usize,
    /// Connections to replicas that it has cut.
    pub(super) cut_behind: usize,
    /// Processes of the fleet that outlived it.
    pub(super) left: Vec<u32>,
    /// What went wrong while faults were played.
    pub(super) failed: Vec<String>,
}

impl Seen {
    /// What must not be; empty in a good run.
    pub(super) fn offences(&self) -> Vec<String> {
        let mut offences = self.failed.clone();
        let wrong = self.samples.iter().filter_map(|s| match &s.outcome {
            Outcome::Wrong(what) => Some(format!(
                "{}, {:.1} s: {what}",
                name(s.label),
                s.at.as_secs_f64()
            )),
            _ => None,
        });
        offences.extend(wrong.take(TOLD));
        let count =
            |is: fn(&Outcome) -> bool| self.samples.iter().filter(|s| is(&s.outcome)).count();
        let cut = count(|o| *o == Outcome::Cut);
        if cut > self.cut {
            offences.push(format!(
                "{cut} connections of users broke, {} of them were cut by the bench",
                self.cut
            ));
        }
        let answered = count(|o| *o == Outcome::Answered);
        if (answered as f64) < ANSWERED * (self.samples.len() - cut) as f64 {
            offences.push(format!(
                "{answered} of {} were answered",
                self.samples.len()
            ));
        }
        let broken = self
            .whole
            .iter()
            .filter(|(label, _)| FAULTS.get(**label) == Some(&Fault::BreakReplicaWay));
        let broken: usize = broken.map(|(_, times)| times.len()).sum();
        // Chance may spare one or two.
        if broken >= ENOUGH && self.cut_behind == 0 {
            offences.push("no connection to a replica was cut: that was not tested".into());
        }
        if self.watch.cold() > 0.0 {
            offences.push(format!("{} met something cold", self.watch.cold()));
        }
        if !self.left.is_empty() {
            offences.push(format!("processes were left: {:?}", self.left));
        }
        offences.extend(self.watch.leaks());
        offences.extend(self.watch.crowded.iter().take(TOLD).cloned());
        offences
    }

    /// A row for each kind of fault, one for the quiet between, and one for all.
    pub(super) fn rows(&self) -> Vec<Vec<String>> {
        let mut rows: Vec<_> = (0..=FAULTS.len()).map(|label| self.row(label)).collect();
        let all: Vec<&Sample> = self.samples.iter().collect();
        let all = figures(&all);
        rows.push([vec!["all".into(), String::new()], all, vec![String::new()]].concat());
        rows
    }

    fn row(&self, label: usize) -> Vec<String> {
        let of: Vec<&Sample> = self.samples.iter().filter(|s| s.label == label).collect();
        let none = Vec::new();
        let whole = self.whole.get(&label).unwrap_or(&none);
        let seconds: Vec<f64> = whole.iter().map(Duration::as_secs_f64).collect();
        let times = match label < FAULTS.len() {
            true => whole.len().to_string(),
            false => String::new(),
        };
        let again = match seconds.is_empty() {
            true => String::new(),
            false => format!("{:.1} ({:.1})", median(&seconds), worst(&seconds)),
        };
        [vec![name(label).into(), times], figures(&of), vec![again]].concat()
    }

    pub(super) fn samples(&self) -> Value {
        let rows: Value = self.rows().into();
        json!({"rows": rows, "gateway": self.watch.samples()})
    }
}

pub(super) const COLUMNS: &[&str] = &[
    "",
    "times",
    "requests",
    "refused",
    "cut by the bench",
    "no gateway, tried again",
    "p95 ms",
    "worst ms",
    "whole again after s (worst)",
];

fn name(label: usize) -> &'static str {
    FAULTS.get(label).map_or("none", |fault| fault.name())
}

fn figures(samples: &[&Sample]) -> Vec<String> {
    let mut refused = BTreeMap::<&str, usize>::new();
    for sample in samples {
        if let Outcome::Refused { code, .. } = &sample.outcome {
            *refused.entry(code).or_default() += 1;
        }
    }
    let refused = match refused.is_empty() {
        true => "0".to_owned(),
        false => refused
            .iter()
            .map(|(code, count)| format!("{count} {code}"))
            .collect::<Vec<_>>()
            .join(", "),
    };
    let answered = samples.iter().filter(|s| s.outcome == Outcome::Answered);
    let times: Vec<f64> = answered.map(|s| s.ms).collect();
    let cut = samples.iter().filter(|s| s.outcome == Outcome::Cut).count();
    let again = samples.iter().filter(|s| s.again > 0).count();
    vec![
        samples.len().to_string(),
        refused,
        cut.to_string(),
        again.to_string(),
        ms(percentile(&times, 0.95)),
        ms(worst(&times)),
    ]
}
