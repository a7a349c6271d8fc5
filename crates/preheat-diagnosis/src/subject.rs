//! Whose text it is. A port that is taken, an image that is missing or memory that runs out befalls any
//! program: it counts where somebody serves a model, and not in a text that is all about a database, a
//! shop or a training.

use std::collections::BTreeMap;

use super::cause::{Cause, Paid};
use super::line::list::{List, begins};
use super::rules::subjects::{BUILDS, MODELS, PURPOSES, SIGNS, TRAINING, others};
use super::timeline::Stream;
use super::{Diagnosis, Evidence};

/// Streams that are kept.
const KEPT: usize = 128;

/// Nothing else begins like a name that is so long: `CassandraDaemon`.
const LONG_NAME: usize = 8;

/// Tables of databases, and a word that only begins like one.
const NO_MODELS: [&str; 9] = [
    "models...",
    "embedded",
    "models.py",
    "models.sql",
    "models/mart",
    "models/staging",
    "model_",
    "models.user",
    "modelform",
];

/// So many words of a training, and it is one.
const TRAINS: u32 = 2;

/// One line in so many names others where a text is about them: others are named in passing, too.
const SHARE: u32 = 12;

/// And so many do, however long it is.
const MANY: u32 = 4;

/// After so many lines it is known what a stream speaks of, if it speaks of models.
const ENOUGH: u32 = 1_000;

/// Who writes so few lines may say what befell him, and nothing of himself.
const FEW: u32 = 4;

/// What one stream speaks of.
#[derive(Debug, Default)]
struct Subject {
    source: String,
    /// Its name is that of a program that serves no model.
    is_named_another: bool,
    has_models: bool,
    /// Or of what they may speak of, too.
    has_signs: bool,
    /// Or of what models are for.
    has_purposes: bool,
    lines: u32,
    /// Lines that name others.
    of_others: u32,
    /// Words of a training, one bit for each.
    trains: u64,
    /// And of a build.
    builds: u64,
    serves: bool,
}

impl Subject {
    fn is_another(&self) -> bool {
        let is_training = self.trains.count_ones() >= TRAINS && !self.serves;
        let is_of_others = self.of_others > 0
            && (self.of_others >= MANY || self.of_others * SHARE >= self.lines)
            && !self.has_models;
        let is_build = self.builds.count_ones() >= TRAINS && !self.serves;
        self.is_named_another || is_of_others || is_training || is_build
    }

    fn take(&mut self, text: &str) {
        // By then it is known to be that of somebody who serves a model.
        if self.has_models && self.lines >= ENOUGH {
            return;
        }
        let (mut is_of_others, mut has_models, mut has_known) = (false, false, false);
        for (class, word) in words(text) {
            match class {
                Class::Model if MODELS[word] == "model" => has_models = true,
                Class::Model => has_known = true,
                Class::Other => is_of_others = true,
                Class::Training => self.trains |= 1 << (word % 64),
                Class::Build => self.builds |= 1 << (word % 64),
                Class::Sign => self.has_signs = true,
                Class::Purpose => (self.has_signs, self.has_purposes) = (true, true),
            }
        }
        // Others call their tables models, too.
        self.has_models |= has_known || has_models && !is_of_others;
        self.lines = self.lines.saturating_add(1);
        self.of_others += u32::from(is_of_others);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Model,
    Other,
    Training,
    Build,
    Sign,
    Purpose,
}

/// In the order of the lists that are looked for.
const CLASSES: [Class; 7] = [
    Class::Model,
    Class::Other,
    Class::Other,
    Class::Training,
    Class::Build,
    Class::Sign,
    Class::Purpose,
];

/// Words of each class on a line, and which of its class each is.
fn words(text: &str) -> impl Iterator<Item = (Class, usize)> + '_ {
    static WORDS: List = List::new(&[
        MODELS,
        others::SHORT,
        others::LONG,
        TRAINING,
        BUILDS,
        SIGNS,
        PURPOSES,
    ]);
    WORDS.all(text).filter_map(|found| {
        let class = CLASSES[found.list];
        // What others are called are whole names, which a number or an `s` may follow.
        let is_whole = || {
            let behind = &text[found.end..];
            let behind = behind.trim_start_matches(|c: char| c == 's' || c.is_ascii_digit());
            !behind.starts_with(|c: char| c.is_ascii_alphanumeric())
        };
        let is_long = found.end - found.start >= LONG_NAME;
        let ends = class != Class::Other || is_long || is_whole();
        let is_another = class == Class::Model
            && NO_MODELS
                .iter()
                .any(|name| text[found.start..].starts_with(name));
        (begins(text, found.start) && ends && !is_another).then_some((class, found.word))
    })
}

/// Whether a line names a program that serves no model, and no model.
pub(super) fn is_of_another(text: &str) -> bool {
    let mut has_other = false;
    for (class, _) in words(text) {
        match class {
            Class::Model | Class::Purpose => return false,
            Class::Other => has_other = true,
            Class::Training | Class::Build | Class::Sign => {}
        }
    }
    has_other
}

/// So many lines behind a step of an image's build, what is written is that step's.
const OF_STEP: u64 = 3;

/// What each stream speaks of, by its number, and where images are built.
#[derive(Debug, Default)]
pub(super) struct Subjects(BTreeMap<u32, Subject>, Vec<(String, u64)>);

impl Subjects {
    /// Takes a line of a stream in.
    pub(super) fn take(&mut self, stream: u32, source: &str, name: &str, text: &str) {
        if self.0.len() >= KEPT && !self.0.contains_key(&stream) {
            return;
        }
        let subject = self.0.entry(stream).or_insert_with(|| {
            let mut subject = Subject {
                source: source.to_owned(),
                is_named_another: is_of_another(name),
                ..Subject::default()
            };
            subject.has_models = words(name).any(|(class, _)| class == Class::Model);
            subject
        });
        subject.take(text);
    }

    /// A step of an image's build stands there.
    pub(super) fn builds(&mut self, source: &str, line: u64) {
        if self.1.len() < KEPT {
            self.1.push((source.to_owned(), line));
        }
    }

    fn is_of_build(&self, evidence: &Evidence) -> bool {
        let behind = |line: &u64| evidence.line.checked_sub(*line);
        let mut steps = self.1.iter();
        steps.any(|(source, line)| {
            *source == evidence.source && behind(line).is_some_and(|lines| lines <= OF_STEP)
        })
    }

    pub(super) fn source(&self, stream: u32) -> Option<&str> {
        self.0.get(&stream).map(|subject| subject.source.as_str())
    }

    fn is_another(&self, stream: u32) -> bool {
        self.0.get(&stream).is_some_and(Subject::is_another)
    }

    pub(super) fn speak_of_models(&self) -> bool {
        self.0.values().any(|subject| subject.has_models)
    }

    /// Whether nothing in a text of several lines speaks of a model, and it speaks of another program, or not of
    /// what is done with one.
    fn knows_no_model(&self, source: &str) -> bool {
        let mut all = self.0.values().filter(|subject| subject.source == source);
        let of_others = all.clone().any(|subject| subject.of_others > 0);
        let is_named = of_others && all.clone().all(|subject| !subject.has_purposes);
        self.names_no_model(source) && (is_named || all.all(|subject| !subject.has_signs))
    }

    /// Whether nothing in a text of several lines speaks of a model.
    fn names_no_model(&self, source: &str) -> bool {
        let all = || self.0.values().filter(|subject| subject.source == source);
        let lines: u32 = all().map(|subject| subject.lines).sum();
        lines > FEW && all().all(|subject| !subject.has_models)
    }

    /// Whether somebody of a text has served.
    fn serve(&self, source: &str) -> bool {
        let mut own = self.0.values().filter(|subject| subject.source == source);
        own.any(|subject| subject.serves)
    }

    /// Whether a text as a whole is that of others.
    fn is_text_of_others(&self, source: &str) -> bool {
        let all = || self.0.values().filter(|subject| subject.source == source);
        all().any(Subject::is_another)
            && all().all(|subject| subject.is_another() || !subject.has_models)
    }
}

impl Diagnosis {
    pub(super) fn serves(&mut self, stream: &Stream) {
        if let Some(subject) = self.subjects.0.get_mut(&stream.number) {
            subject.serves = stream.may_have_served();
        }
    }

    /// What befell others is no finding.
    pub(super) fn drop_of_others(&mut self) {
        let subjects = std::mem::take(&mut self.subjects);
        self.drop_evidence(Cause::DownloadAtStart, |seen| subjects.is_of_build(seen));
        for cause in [Cause::OutOfMemory, Cause::AddressInUse] {
            self.drop_evidence(cause, |seen| subjects.knows_no_model(&seen.source));
        }
        // Frameworks write of their reloader by themselves, whatever they serve.
        if self.at_start.is_empty() {
            self.drop_evidence(Cause::DoubleLoadReloader, |seen| {
                subjects.names_no_model(&seen.source) && subjects.serve(&seen.source)
            });
        }
        self.at_start
            .retain(|(_, stream), _| !subjects.is_another(*stream));
        self.seen.retain(|cause, seen| {
            let of_streams = befalls(*cause)
                && !seen.streams.is_empty()
                && seen
                    .streams
                    .iter()
                    .all(|stream| subjects.is_another(*stream));
            let of_texts = !seen.evidence.is_empty()
                && seen
                    .evidence
                    .iter()
                    .all(|e| subjects.is_text_of_others(&e.source));
            !of_streams && !of_texts
        });
    }
}

/// Whether a cause is told by whom it befalls. Others are told by those who ask, too: a proxy, a shop.
fn befalls(cause: Cause) -> bool {
    let is_own = cause.about().paid != Paid::ByFirstRequest || cause == Cause::CpuLimit;
    is_own && cause != Cause::ConnectionRefused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_others_are_no_models() {
        for (line, want) in [
            ("loading models: tenants, invoices (sqlalchemy)", false),
            ("shop.settings loaded, 41 models registered", false),
            ("loading model e5", true),
            ("embeddings of the model in postgres", true),
        ] {
            let mut subject = Subject::default();
            subject.take(line);
            assert_eq!(subject.has_models, want, "{line}");
        }
    }

    #[test]
    fn a_line_tells_whose_it_is() {
        for line in [
            "killed process 4012 (postgres)",
            "pod/web frontend 7d9c6bdf4 failed to pull image nginx:1.27",
            "redis 7 stopped",
            "django.request: internal server error",
            "cassandradaemon stopped",
            "shop/models.py changed",
        ] {
            assert!(is_of_another(line), "{line}");
        }
        for line in [
            "killed process 4012 (python)",
            "postgres holds embeddings of the model",
            "the cartographer failed",
            "stock forecast 3",
            "checkout risk 2",
            "listening on :8000",
        ] {
            assert!(!is_of_another(line), "{line}");
        }
    }
}
