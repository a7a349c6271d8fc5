//! Causes that a line names, and when what it says of one is a trifle, or of somebody else.

use super::age;
use crate::Diagnosis;
use crate::cause::Cause;
use crate::devices::is_mere;
use crate::gate::is_well;
use crate::line::wording::{fits, is_of_library, warns};
use crate::line::{Parsed, amount};
use crate::lives::ends_a_long_life;
use crate::memory::is_of_service;
use crate::placement::image;
use crate::rules::{CONSEQUENCE, Mark, Meaning};
use crate::subject::is_of_another;
use crate::timeline::Stream;

/// Pulling an image is worth a word from here on.
pub(super) const SLOW_PULL_MS: f64 = 10_000.0;

/// Somebody serves all the same.
const KEEPS: [&str; 8] = [
    "keeps serving",
    "keep serving",
    "still serving",
    "still serves",
    "continues to serve",
    "continue to serve",
    "stays in service",
    "rolled back to",
];

impl Diagnosis {
    /// Causes that the line names.
    pub(super) fn named(&mut self, stream: &mut Stream, line: &Parsed<'_>) {
        for hit in line.hits {
            let Meaning::Names(cause) = hit.means else {
                continue;
            };
            let cost = match cause {
                Cause::Recompiled
                | Cause::UncoveredLength
                | Cause::ColdPageCache
                | Cause::ImagePullTime => line.cost(hit),
                _ => None,
            };
            let cost = match cause {
                Cause::ImagePullTime => cost.or_else(|| stream.pulled(line.at, age(line))),
                _ => cost,
            };
            if cause == Cause::ImagePullTime {
                self.placement.pulled(&line.evidence);
            }
            if cause == Cause::AddressInUse && retries(line.text) {
                stream.failures.add(&line.evidence);
                stream.failures.goes_on();
            }
            let trifle = match cause {
                Cause::ImagePullTime => {
                    cost.is_none_or(|ms| ms < SLOW_PULL_MS)
                        || is_of_another(image(line.text).unwrap_or_default())
                }
                // What a request uses up, once others were served, is not the start's.
                Cause::OutOfMemory => {
                    // gunicorn guesses so wherever it kills.
                    (line.text.contains("perhaps out of memory") && stream.is_timed_out)
                        || stream.began_long_ago(line.at)
                        || is_of_service(stream, line)
                        || line.has(Mark::Another)
                        || line.text.contains("(for query)")
                        || line.text.contains("tactic")
                }
                // sentence-transformers says so where nobody asks for one.
                Cause::DeviceFallback if line.text.contains("no device provided") => true,
                Cause::DeviceFallback if self.devices.is_spared(&line.evidence.source) => true,
                Cause::DeviceFallback if hit.confidence <= CONSEQUENCE || is_mere(line) => {
                    self.devices.absent(hit.confidence, &line.evidence);
                    true
                }
                // One that has served is not at its first run.
                Cause::WorkerTimeout => {
                    let has_run = stream.is_steady() || (stream.is_warmed && stream.is_started());
                    stream.began_long_ago(line.at) || (has_run && !stream.has_workers())
                }
                Cause::AddressInUse => {
                    // Whoever holds the port may be named behind.
                    let who = line.text.split(':').next().unwrap_or_default();
                    takes_another(line.text) || is_of_another(who)
                }
                Cause::ImagePull => is_of_another(image(line.text).unwrap_or_default()),
                Cause::CpuLimit if line.text.contains("throttled periods") => {
                    is_rare(line) || fits(line.text, &amount::integers(line.text, &line.amounts))
                }
                Cause::LivenessKills => stream.began_long_ago(line.at) || line.has(Mark::Another),
                Cause::WarmupFailed => is_well(line.text),
                // One that was to take the place of another, which stays.
                Cause::LoadFailure => {
                    KEEPS.iter().any(|word| line.text.contains(word))
                        || is_optional(line.text)
                        || is_of_a_device(line.text)
                        || line.names(Cause::LivenessKills)
                        || line.names(Cause::ProbeWindow)
                }
                Cause::Recompiled => is_of_library(line.text),
                // A warm-up that fails says which shape it failed with.
                Cause::UncoveredLength => line.names(Cause::WarmupFailed),
                Cause::CpuLimit => {
                    let numbers = amount::integers(line.text, &line.amounts);
                    fits(line.text, &numbers) || is_only_counted(line.text, &numbers)
                }
                _ => false,
            };
            match cause {
                Cause::WorkerTimeout => stream.is_timed_out = true,
                // One guess for each kill.
                Cause::OutOfMemory => stream.is_timed_out = false,
                _ => {}
            }
            let may_end = matches!(cause, Cause::OutOfMemory | Cause::LivenessKills);
            if may_end && ends_a_long_life(line.text, &line.amounts) {
                self.lived_long(&line.evidence.source, line.evidence.pod.as_deref());
            }
            stream.compiles_for_shape |=
                cause == Cause::Recompiled && !trifle && stream.is_started();
            let is_others = || ends_by_itself(cause) && is_of_another(line.text);
            if !(trifle || is_others()) {
                let evidence = line.evidence.clone();
                // Of a warm-up, if a start is said to end behind it.
                if cause == Cause::Recompiled && stream.may_be_starting() {
                    stream.again.add(evidence, hit.confidence, cost, None);
                } else {
                    self.see(cause, hit.confidence, evidence, cost, None);
                }
                if cause == Cause::OutOfMemory {
                    self.did_not_fit(stream, line);
                }
            }
        }
    }
}

/// Whether what cannot be loaded is a library of the device, and no model.
fn is_of_a_device(text: &str) -> bool {
    const LIBRARIES: [&str; 8] = [
        "libcu",
        "libnv",
        "libamd",
        "libhip",
        "librocm",
        "providers cuda",
        "providers tensorrt",
        "providers rocm",
    ];
    let is_library = || text.contains("shared object") || text.contains("failed to load library");
    let ends = ["importerror", "oserror"]
        .iter()
        .any(|error| text.contains(error));
    LIBRARIES.iter().any(|name| text.contains(name)) && is_library() && !ends
}

/// Whether somebody warns of a module that is not there, and goes on without it.
fn is_optional(text: &str) -> bool {
    warns(text)
        && ["no module named", "importerror", "could not import"]
            .iter()
            .any(|w| text.contains(w))
}

/// Whether threads are told beside the word for a limit, and neither its figure nor what follows from it:
/// `pool=4 why=cgroup quota`.
fn is_only_counted(text: &str, numbers: &[(usize, u64)]) -> bool {
    const FELT: [&str; 8] = [
        "throttl", "oversub", "affinity", "host", "machine", "node", "all ", "cfs",
    ];
    numbers.len() == 1 && !FELT.iter().any(|word| text.contains(word)) && !text.contains('.')
}

/// A counter that counts so few periods tells of a server that is well.
const RARE: u64 = 100;

/// `…throttled_periods_total 12`
fn is_rare(line: &Parsed<'_>) -> bool {
    let numbers = amount::integers(line.text, &line.amounts);
    numbers.last().is_some_and(|(at, count)| {
        let ends = line.text[*at..].bytes().all(|b| b.is_ascii_digit());
        ends && *count < RARE
    })
}

/// Whether somebody tries the same once more.
fn retries(text: &str) -> bool {
    ["retry", "trying again", "try again", "(attempt "]
        .iter()
        .any(|word| text.contains(word))
}

/// Whether somebody takes another port, as the one is taken.
fn takes_another(text: &str) -> bool {
    [
        "instead",
        "taking ",
        ", using ",
        "next free",
        "trying another",
        "trying next",
        "picking another",
        "using another",
        "opening ",
        "falling back",
    ]
    .iter()
    .any(|word| text.contains(word))
}

/// What a line tells of whom it names, and of nobody else.
fn ends_by_itself(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::OutOfMemory
            | Cause::LivenessKills
            | Cause::ProbeWindow
            | Cause::ImagePull
            | Cause::ImagePullTime
            | Cause::Unschedulable
    )
}
