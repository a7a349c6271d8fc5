//! What is no finding of its own: a failure beside its reason, one that was overcome, what merely
//! follows from a cause that is named.

use crate::cause::{Cause, Paid};
use crate::frames::Frames;
use crate::sighting::Sighting;
use crate::timeline::Stream;
use crate::{Diagnosis, Evidence};

/// Within so many lines, a model that does not load is what follows from another cause.
const NEARBY_LINES: u64 = 20;

/// And within so few what dies at once.
const NEXT_LINES: u64 = 6;

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
            Cause::WorkerTimeout,
            Cause::TokenizerFork,
            Cause::AddressInUse,
            Cause::ImagePull,
        ],
    ),
];

/// Nothing was fetched where this is why the load failed.
const DENIED: [&str; 15] = [
    "401 client",
    "403 client",
    "404 client",
    "401 unauthorized",
    "403 forbidden",
    "404 not found",
    "(401)",
    "(403)",
    "(404)",
    "gated",
    "unauthorized",
    "could not download",
    "couldn't connect",
    "encountered an error",
    "downloaderror",
];

/// What sends SIGKILL by itself, or is followed by it: exit code 137 then says nothing of memory.
const KILLS: [Cause; 4] = [
    Cause::WarmupFailed,
    Cause::WorkerTimeout,
    Cause::LivenessKills,
    Cause::ProbeWindow,
];

impl Diagnosis {
    /// One way to load the model failed, another one did not.
    pub(super) fn drop_overcome(&mut self, stream: &Stream) {
        for cause in [Cause::LoadFailure, Cause::AddressInUse] {
            self.drop_evidence(cause, |failure| stream.failures.is_overcome(failure));
        }
    }

    /// A fetch that was denied took nothing: the load failed for it, and that is all.
    pub(super) fn drop_denied(&mut self) {
        let Some(failures) = self.seen.get(&Cause::LoadFailure) else {
            return;
        };
        let is_denied = |failure: &&Evidence| {
            let said = failure.text.to_ascii_lowercase();
            DENIED.iter().any(|word| said.contains(word))
        };
        let denied = failures.evidence.iter().filter(is_denied);
        let denied: Vec<Evidence> = denied.cloned().collect();
        self.drop_evidence(Cause::DownloadAtStart, |fetch| {
            let is_why = |failure: &Evidence| {
                let lines = failure.line.checked_sub(fetch.line);
                failure.source == fetch.source && lines.is_some_and(|lines| lines <= NEARBY_LINES)
            };
            denied.iter().any(is_why)
        });
    }

    /// A load or a warm-up that failed beside its reason is no finding of its own.
    pub(super) fn drop_explained(&mut self) {
        let frames = std::mem::take(&mut self.frames);
        for (failure, reasons) in EXPLAINED {
            let reasons = reasons
                .iter()
                .filter_map(|cause| Some((*cause, self.seen.get(cause)?)));
            let reasons = reasons.filter(|(_, sighting)| !sighting.is_guess());
            let reasons: Vec<(Cause, Evidence)> = reasons
                .flat_map(|(cause, sighting)| {
                    let evidence = sighting.evidence.iter().cloned();
                    evidence.map(move |evidence| (cause, evidence))
                })
                .collect();
            self.drop_evidence(*failure, |failure| {
                reasons.iter().any(|(cause, reason)| {
                    is_near(*cause, reason, failure, &frames) && explains(*cause, reason, failure)
                })
            });
        }
    }

    pub(crate) fn drop_evidence(&mut self, cause: Cause, is_dropped: impl Fn(&Evidence) -> bool) {
        let Some(sighting) = self.seen.get_mut(&cause) else {
            return;
        };
        sighting.evidence.retain(|evidence| !is_dropped(evidence));
        if sighting.evidence.is_empty() {
            self.seen.remove(&cause);
        }
    }

    /// What merely follows from a cause that is named is none of its own.
    pub(super) fn drop_consequences(&mut self) {
        let is_told = |cause: &Cause| self.seen.get(cause).is_some_and(|seen| !seen.is_guess());
        let is_killed = KILLS.iter().any(is_told);
        // That a shape was not warmed says nothing more where none was.
        let is_unwarmed = is_told(&Cause::WarmupSkipped) && !self.lengths.is_warmed();
        if is_killed {
            self.drop_guess(Cause::OutOfMemory);
        }
        if is_unwarmed {
            self.seen.remove(&Cause::UncoveredLength);
        }
        let stops =
            |cause: &Cause| cause.about().paid == Paid::Otherwise && *cause != Cause::LoadFailure;
        if self.seen.keys().any(stops) {
            self.drop_guess(Cause::LoadFailure);
        }
    }

    fn drop_guess(&mut self, cause: Cause) {
        if self.seen.get(&cause).is_some_and(Sighting::is_guess) {
            self.seen.remove(&cause);
        }
    }
}

/// A server goes on without the device that it was to use: what is wrong with the model's own files is
/// another matter.
fn explains(cause: Cause, reason: &Evidence, failure: &Evidence) -> bool {
    const OF_FILES: [&str; 12] = [
        "architecture",
        "corrupt",
        "no such file",
        "not found",
        "does not exist",
        "invalid magic",
        "header",
        "unsupported",
        "checksum",
        "truncated",
        "missing",
        "mismatch",
    ];
    cause != Cause::DeviceFallback
        || reason == failure
        || !OF_FILES.iter().any(|word| failure.text.contains(word))
}

/// A child that was forked too late dies with the first thing that it tries.
fn is_near(cause: Cause, one: &Evidence, other: &Evidence, frames: &Frames) -> bool {
    let lines = match cause {
        // A sum, below tables of what was loaded, and no failure of its own.
        _ if other.text.contains("failed to load all models") => u64::MAX,
        Cause::ForkAfterCuda => NEXT_LINES,
        _ => NEARBY_LINES,
    };
    one.source == other.source && frames.apart(&one.source, one.line, other.line) <= lines
}
