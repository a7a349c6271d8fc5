//! How long somebody had lived before it ended. What ends after hours of service did not end while it
//! loaded, and is another matter.

use std::collections::BTreeSet;

use super::cause::Cause;
use super::line::amount::Amount;
use super::line::phrases::Hit;
use super::rules::{Mark, Meaning};
use super::timeline::{Stream, between};
use super::{Diagnosis, Evidence};

/// A start takes no longer, in seconds.
pub(super) const LONG_S: f64 = 3_600.0;

/// Places that are kept.
const KEPT: usize = 64;

/// What ends a replica whenever it happens.
const ENDS: [Cause; 2] = [Cause::OutOfMemory, Cause::LivenessKills];

/// Where somebody ended who had lived long.
#[derive(Debug, Default)]
pub(super) struct Lives {
    long: Vec<(String, Option<String>)>,
    /// Texts in which somebody serves.
    serving: Vec<String>,
    /// Rows of pods: text, name, and whether each of its lives was long.
    rows: Vec<(String, String, bool)>,
    clock: Clock,
}

/// Since when somebody of the newest text serves, as far as stamps tell.
#[derive(Debug, Default)]
struct Clock {
    source: String,
    since: Option<f64>,
    now: Option<f64>,
}

/// What a line tells of a life.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Told {
    pub(super) begins: bool,
    pub(super) serves: bool,
    pub(super) ends: bool,
}

impl Told {
    pub(super) fn of(text: &str, hits: &[Hit]) -> Self {
        let mut told = Told::default();
        for hit in hits {
            match hit.means {
                // Uploads are kept in memory, too.
                Meaning::Marks(Mark::Loads) if text[hit.at..].starts_with("in memory") => {}
                Meaning::Marks(Mark::Loads | Mark::Started | Mark::Booted) => told.begins = true,
                Meaning::Marks(
                    Mark::Ready
                    | Mark::Complete
                    | Mark::Traffic
                    | Mark::Exchange
                    | Mark::Warm
                    | Mark::Exercised,
                ) => {
                    told.serves = true;
                }
                Meaning::Names(cause) => told.ends |= ENDS.contains(&cause),
                _ => {}
            }
        }
        told
    }
}

impl Lives {
    pub(super) fn long(&mut self, source: &str, pod: Option<&str>) {
        let known = |(of, who): &(String, Option<String>)| of == source && who.as_deref() == pod;
        if self.long.len() < KEPT && !self.long.iter().any(known) {
            self.long.push((source.to_owned(), pod.map(str::to_owned)));
        }
    }

    pub(super) fn serves(&mut self, source: &str) {
        if self.serving.len() < KEPT && !self.serving.iter().any(|known| known == source) {
            self.serving.push(source.to_owned());
        }
    }

    /// Whether a line tells the end of somebody who has served for long by then.
    pub(super) fn ends_late(&mut self, source: &str, at: Option<f64>, told: Told) -> bool {
        let clock = &mut self.clock;
        if clock.source != source {
            *clock = Clock {
                source: source.to_owned(),
                ..Clock::default()
            };
        }
        clock.now = at.or(clock.now);
        let both = clock.since.zip(clock.now);
        let is_late = told.ends && both.is_some_and(|(from, to)| between(from, to) >= LONG_S);
        if told.begins {
            clock.since = None;
        }
        if told.serves {
            clock.since = clock.since.or(clock.now);
        }
        is_late
    }

    /// Takes a line in that may be a row of pods.
    pub(super) fn row(&mut self, source: &str, text: &str) {
        if self.rows.len() < KEPT
            && let Some((name, is_long)) = lived(text)
        {
            self.rows
                .push((source.to_owned(), name.to_owned(), is_long));
        }
    }

    /// Whether a row tells of it that its lives were long: the only one, or the one of its name.
    fn is_of_row(&self, evidence: &Evidence) -> bool {
        let own = || {
            self.rows
                .iter()
                .filter(|(source, ..)| *source == evidence.source)
        };
        let mut long = own().filter(|(.., is_long)| *is_long);
        let is_only = own().count() == 1;
        long.any(|(_, name, _)| is_only || evidence.text.contains(name))
    }

    fn is_of(&self, evidence: &Evidence) -> bool {
        self.is_of_row(evidence)
            || self.long.iter().any(|(source, pod)| {
                let is_its = match (pod, &evidence.pod) {
                    (Some(one), Some(other)) => one == other,
                    _ => true,
                };
                *source == evidence.source && is_its
            })
    }
}

impl Diagnosis {
    /// Somebody of this text ended after a long life.
    pub(super) fn lived_long(&mut self, source: &str, pod: Option<&str>) {
        self.lives.long(source, pod);
    }

    pub(super) fn drop_ends_of_long_lives(&mut self) {
        let lives = std::mem::take(&mut self.lives);
        for cause in ENDS {
            self.drop_evidence(cause, |evidence| lives.is_of(evidence));
        }
    }
}

/// Whether a line that tells of an end tells of a long life before it: `OOMKilled after 11h41m of serving`.
pub(super) fn ends_a_long_life(text: &str, amounts: &[Amount]) -> bool {
    const LIVED: [&str; 10] = [
        "after ",
        "serving",
        "uptime",
        "up for",
        "up since",
        "running for",
        "ran for",
        "lived",
        "alive for",
        "since start",
    ];
    LIVED.iter().any(|word| text.contains(word)) && amounts.iter().any(|a| a.ms >= LONG_S * 1e3)
}

/// Whether somebody is said to be up for long: `uptime=71h13m`, `up 6d 04h`, `up: 3 days`.
pub(super) fn is_long_up(behind: &str) -> bool {
    let mut words = behind
        .trim_start_matches(|c: char| !c.is_ascii_alphanumeric())
        .split([' ', ',', ';', ')', '"']);
    let Some(first) = words.next().filter(|_| behind.len() > 1) else {
        return false;
    };
    let number = || first.parse::<f64>().is_ok_and(|count| count >= 1.0);
    let is_unit = |word: &str| ["day", "week", "hours"].iter().any(|u| word.starts_with(u));
    age_s(first).is_some_and(|s| s >= LONG_S) || (number() && words.next().is_some_and(is_unit))
}

/// The name of a pod in a row of `kubectl get pods`, and whether it had lived long before it was started
/// again: `vllm-0   1/1   Running   1 (52m ago)   9d`.
fn lived(text: &str) -> Option<(&str, bool)> {
    let mut words = text.split_whitespace();
    let name = words.next()?;
    let is_share = |word: &str| {
        let both = word.split_once('/');
        both.is_some_and(|(one, all)| one.parse::<u8>().is_ok() && all.parse::<u8>().is_ok())
    };
    is_share(words.next()?).then_some(())?;
    words.next()?;
    let restarts: f64 = words.next()?.parse().ok()?;
    let mut next = words.next()?;
    let mut since = 0.0;
    if let Some(ago) = next.strip_prefix('(') {
        since = age_s(ago)?;
        (words.next()? == "ago)").then_some(())?;
        next = words.next()?;
    }
    let age = age_s(next)?;
    let is_long = restarts >= 1.0 && since > 0.0 && (age - since) / restarts >= LONG_S;
    Some((name, is_long))
}

/// Whether a line may be one, which is cheaper to tell.
pub(super) fn may_be_row(text: &str) -> bool {
    text.ends_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '>' | ' ' | '-'))
        && text.contains(" ago) ")
}

/// `9d`, `52m`, `3h12m`: in seconds.
pub(super) fn age_s(text: &str) -> Option<f64> {
    let mut rest = text.trim_end_matches(',');
    let mut all = 0.0;
    while !rest.is_empty() {
        let length = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: f64 = rest[..length].parse().ok()?;
        let unit = match rest.as_bytes().get(length)? {
            b's' => 1.0,
            b'm' => 60.0,
            b'h' => 3_600.0,
            b'd' => 86_400.0,
            b'y' => 31_536_000.0,
            _ => return None,
        };
        all += number * unit;
        rest = &rest[length + 1..];
    }
    (all > 0.0).then_some(all)
}

impl Diagnosis {
    pub(super) fn has_served(&mut self, stream: &Stream) {
        if stream.has_answered()
            && let Some(source) = self.subjects.source(stream.number)
        {
            self.lives.serves(source);
        }
    }

    /// Somebody served, nothing is said to load, and it is ended: not for a load.
    pub(super) fn drop_ends_of_service(&mut self) {
        let serving = std::mem::take(&mut self.lives.serving);
        let loads = std::mem::take(&mut self.refusals.loads);
        let lazily = [Cause::LazyModel, Cause::LazyTokenizer];
        let lazily = lazily.iter().filter_map(|cause| self.seen.get(cause));
        let lazily: Vec<String> = lazily
            .flat_map(|seen| seen.evidence.iter().map(|e| e.source.clone()))
            .collect();
        let starts: BTreeSet<String> = self
            .at_start
            .values()
            .flat_map(|s| s.evidence.iter().map(|e| e.source.clone()))
            .collect();
        let is_of_service = |evidence: &Evidence| {
            serving.contains(&evidence.source)
                && !loads.contains(&evidence.source)
                && !starts.contains(&evidence.source)
                && !lazily.contains(&evidence.source)
        };
        for cause in [Cause::LivenessKills, Cause::WorkerTimeout] {
            self.drop_evidence(cause, is_of_service);
        }
    }
}

/// From the stamps of a status: `Started:` and `Finished:`, or `startedAt` and `finishedAt`, in either
/// order, and close to each other.
#[derive(Debug, Default)]
pub(super) struct Statuses {
    started: Option<(u64, f64)>,
    finished: Option<(u64, f64)>,
}

/// So many lines apart, the two are of one status.
const TOGETHER: u64 = 3;

impl Statuses {
    /// Takes a line with its stamp in; whether it ends a long life.
    pub(super) fn take(&mut self, number: u64, text: &str, at: Option<f64>) -> bool {
        let Some(at) = at else { return false };
        let key = text.trim_start().trim_start_matches(['"', '-', ' ']);
        let is = |names: [&str; 2]| names.iter().any(|name| key.starts_with(name));
        if is(["Started:", "startedAt"]) {
            self.started = Some((number, at));
        } else if is(["Finished:", "finishedAt"]) {
            self.finished = Some((number, at));
        } else {
            return false;
        }
        let both = self.started.zip(self.finished);
        let is_long = both.is_some_and(|((one, from), (other, to))| {
            one.abs_diff(other) <= TOGETHER && to - from >= LONG_S
        });
        if is_long {
            *self = Statuses::default();
        }
        is_long
    }

    /// Whether a line may be of interest at all.
    pub(super) fn may_be(text: &str) -> bool {
        let key = text.trim_start().trim_start_matches(['"', '-', ' ']);
        ["Started:", "Finished:", "startedAt", "finishedAt"]
            .iter()
            .any(|name| key.starts_with(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One whose age is told again and again leaves room for others.
    #[test]
    fn who_lived_long_is_remembered_once() {
        let mut lives = Lives::default();
        for _ in 0..=KEPT {
            lives.long("pods.txt", Some("vllm-0"));
        }
        lives.long("pods.txt", Some("vllm-1"));
        assert_eq!(lives.long.len(), 2);
    }

    #[test]
    fn a_row_of_pods_tells_how_long_each_life_was() {
        for (row, told) in [
            (
                "vllm-0   1/1   Running   1 (52m ago)   9d  10.42.7.200",
                Some(("vllm-0", true)),
            ),
            (
                "vllm-0   0/1   CrashLoopBackOff   14 (2m ago)   61m",
                Some(("vllm-0", false)),
            ),
            (
                "vllm-0   0/1   Running   3 (40s ago)   8m12s",
                Some(("vllm-0", false)),
            ),
            ("vllm-0   1/1   Running   0   9d", Some(("vllm-0", false))),
            ("vllm-0   Running", None),
            ("é 1/1 x 1 (é ago) 9d", None),
            ("a 1/1 x 1 (9", None),
        ] {
            assert_eq!(lived(row), told, "{row}");
        }
    }
}
