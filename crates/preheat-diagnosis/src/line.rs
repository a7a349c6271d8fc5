//! One line by itself: who wrote it and when, what it names, the figures on it, and which of them
//! belong together.

pub(crate) mod absent;
pub(crate) mod amount;
mod denied;
mod exposed;
pub(crate) mod list;
pub(crate) mod phrases;
pub(crate) mod prompt;
mod readiness;
pub(crate) mod settings;
pub(crate) mod shapes;
pub(crate) mod shortfall;
mod silence;
mod sizes;
pub(crate) mod stamp;
pub(crate) mod text;
pub(crate) mod wording;
mod wrapped;

use std::borrow::Cow;

use crate::Evidence;
use crate::cause::Cause;
use crate::devices::is_wanted;
use crate::exchange::may_tell;
use crate::parts::is_missed;
use crate::rules::{CONSEQUENCE, Mark, Meaning, Part};
use crate::timeline::Place;

use absent::lacks_replicas;
use amount::Amount;
use denied::{is_conditional, is_denied, is_negated};
use phrases::{Hit, Phrases};
use prompt::Typed;
use readiness::{admits_early, is_of_a_part, says_ready};
use settings::skips_warmup;
use shapes::opens_port;
use silence::waited;
use sizes::does_not_fit;
use wording::{fetches, is_build_step, is_help, is_of_tools, multiplies, says_killed};
use wrapped::Unwrapped;

/// A line made comparable, and what it means.
pub(crate) struct Plain<'a> {
    /// As it is shown.
    pub(crate) shown: Cow<'a, str>,
    /// Who wrote it, where a collector says so.
    pub(crate) stream: String,
    pub(crate) at: Option<f64>,
    pub(crate) text: String,
    pub(crate) hits: Vec<Hit>,
    pub(crate) typed: Option<Typed>,
}

impl<'a> Plain<'a> {
    /// Whether anything follows from the line by itself: words that only set the scene for others say
    /// nothing, and a call says nothing without its time.
    pub(crate) fn matters(&self, has_times: bool) -> bool {
        self.hits.iter().any(|hit| match hit.means {
            Meaning::Marks(Mark::Call) => has_times,
            _ => hit.may_matter_alone(),
        })
    }

    pub(crate) fn names(&self, cause: Cause) -> bool {
        self.hits
            .iter()
            .any(|hit| hit.means == Meaning::Names(cause))
    }

    /// None if there is nothing on the line that could have happened.
    pub(crate) fn of(raw: &'a str) -> Option<Self> {
        let shown = text::clean(raw);
        if shown.is_empty() || is_help(&shown) || is_of_tools(&shown) {
            return None;
        }
        let Unwrapped { stream, at, said } = wrapped::unwrap(&shown);
        // Behind a stamp, a step of a build looks like one too.
        if is_build_step(&said) || (said.starts_with('#') && is_of_tools(&said)) {
            return None;
        }
        let text = text::normal(&text::located(&said));
        let text = exposed::told(&text).unwrap_or(text);
        let typed = prompt::typed(&shown);
        let mut hits = hits(&text);
        // Who looks at a pod tells nothing of it, but what it is that he looks at.
        let looks_at = [Mark::Disk, Mark::Processors].map(Meaning::Marks);
        hits.retain(|hit| typed.is_none() || looks_at.contains(&hit.means));
        Some(Plain {
            shown,
            stream,
            at,
            text,
            hits,
            typed,
        })
    }
}

/// Every rule that holds for a line, and what only a line as a whole tells.
fn hits(text: &str) -> Vec<Hit> {
    let mut hits = Phrases::shared().holding(text);
    hits.retain(|hit| !hit.names_a_cause() || !is_denied(text, hit));
    hits.retain(|hit| hit.means != Meaning::Names(Cause::DeviceFallback) || !is_wanted(text));
    // What a folder or a file is called does not tell when something happens.
    hits.retain(|hit| !hit.tells_when() || !text[..hit.at].ends_with('/'));
    // Somebody finds that what he needs is not there yet, and goes for it.
    let is_gone_for = || {
        let mut gone_for = ["opening ", "loading ", "reading ", "fetching ", "building "].iter();
        gone_for.any(|word| text.contains(word)) && is_missed(text) && !text.contains("missing")
    };
    hits.retain(|hit| hit.means != Meaning::Names(Cause::LoadFailure) || !is_gone_for());
    // What cannot be had is not fetched.
    if hits
        .iter()
        .any(|hit| hit.means == Meaning::Names(Cause::LoadFailure))
    {
        hits.retain(|hit| hit.means != Meaning::Names(Cause::DownloadAtStart));
    }
    let has = |part| hits.iter().any(|hit| hit.part() == Some(part));
    // An engine that is built is compiled, whatever it is for.
    let is_built = has(Part::Kernels) && !text.contains("load") && !text.contains("weights");
    let is_of_another = is_built || are_of_another(has(Part::Download), has(Part::Tokenizer), text);
    if has(Part::Weights) && is_of_another {
        hits.retain(|hit| hit.part() != Some(Part::Weights));
    }
    if has_both(&hits, Part::Weights, Part::Kernels) && is_of_weights(text) {
        hits.retain(|hit| hit.part() != Some(Part::Kernels));
    }
    // Hardly any line tells of a part, and to tell that is cheaper than to look at its words.
    if hits.iter().any(|hit| hit.part().is_some()) {
        let is_of_cluster = is_of_cluster(text);
        let is_other =
            |at: usize| is_of_cluster || is_excluded(text, at) || is_conditional(text, at);
        hits.retain(|hit| hit.part().is_none() || !is_other(hit.at));
    }
    hits.retain(|hit| hit.means != Meaning::Marks(Mark::Ready) || !is_of_a_part(text, hit.at));
    keep_the_clearest(&mut hits, text);
    if hits
        .iter()
        .any(|hit| hit.means == Meaning::Marks(Mark::Several))
        && multiplies(text)
    {
        hits.push(Hit::names(Cause::DoubleLoadWorkers, 0.75));
    }
    look_closer(&mut hits, text);
    if says_killed(text) {
        hits.push(Hit::names(Cause::OutOfMemory, CONSEQUENCE));
    }
    if fetches(text) {
        hits.push(Hit::names(Cause::DownloadAtStart, 0.7));
    }
    hits
}

/// Somebody ends what starts, and a line tells it of one: what a rule for a known sentence says counts more
/// than what words of many kinds add up to.
fn keep_the_clearest(hits: &mut Vec<Hit>, text: &str) {
    const ENDINGS: [Cause; 3] = [
        Cause::ProbeWindow,
        Cause::WorkerTimeout,
        Cause::LivenessKills,
    ];
    let is_ending = |hit: &Hit| {
        ENDINGS
            .iter()
            .any(|cause| hit.means == Meaning::Names(*cause))
    };
    let endings = hits.iter().filter(|hit| is_ending(hit));
    let Some(most) = endings.map(|hit| hit.confidence).reduce(f64::max) else {
        return;
    };
    hits.retain(|hit| !is_ending(hit) || hit.confidence >= most);
    let names = |cause| hits.iter().any(|hit| hit.means == Meaning::Names(cause));
    if names(Cause::WorkerTimeout) && names(Cause::ProbeWindow) {
        let other = match manages(text) {
            true => Cause::ProbeWindow,
            false => Cause::WorkerTimeout,
        };
        hits.retain(|hit| hit.means != Meaning::Names(other));
    }
}

/// Whether somebody who manages processes tells, rather than a platform that runs containers.
fn manages(text: &str) -> bool {
    const MANAGERS: [&str; 24] = [
        "gunicorn",
        "uwsgi",
        "pm2",
        "ray ",
        "(servecontroller",
        "supervisor",
        "systemd",
        "puma",
        "unicorn",
        "passenger",
        "mod wsgi",
        "circus",
        "honcho",
        "torchserve",
        "triton",
        "celery",
        "controller",
        "master",
        "arbiter",
        "parent",
        "manager:",
        "worker",
        "child",
        "s6",
    ];
    MANAGERS.iter().any(|word| text.contains(word))
}

/// Of so many bytes, and it tells of little.
const SHORT: usize = 48;

/// What only a line as a whole tells, where one of its words says that it may.
fn look_closer(hits: &mut Vec<Hit>, text: &str) {
    let (mut is_access, mut is_open, mut looks) = (false, false, [false; 10]);
    for hit in hits.iter() {
        match hit.means {
            Meaning::Marks(Mark::Access) => is_access = true,
            Meaning::Marks(Mark::Listening) => is_open = true,
            Meaning::Marks(Mark::Asked) => looks[0] = true,
            Meaning::Marks(Mark::Opens) => looks[1] = true,
            Meaning::Marks(Mark::Meanwhile) => looks[2] = true,
            Meaning::Marks(Mark::Sends) => looks[3] = true,
            Meaning::Marks(Mark::Setting) => looks[4] = true,
            Meaning::Marks(Mark::Needs) => looks[5] = true,
            Meaning::Marks(Mark::Impatient) => looks[6] = true,
            Meaning::Marks(Mark::Percent) => looks[7] = true,
            Meaning::Marks(Mark::MayRefuse) => looks[8] = true,
            Meaning::Marks(Mark::MayWait) => looks[9] = true,
            _ => {}
        }
    }
    let [
        asked,
        opens,
        meanwhile,
        sends,
        sets,
        needs,
        impatient,
        percent,
        refuses,
        waits,
    ] = looks;
    if looks.contains(&true) {
        hits.retain(Hit::is_more_than_a_look);
    }
    if sends && says_ready(text) {
        hits.push(Hit::mark(Mark::Ready));
    }
    if meanwhile && admits_early(text) {
        hits.push(Hit::names(Cause::ReadyTooEarly, 0.7));
    }
    if sets && skips_warmup(text) {
        hits.push(Hit::names(Cause::WarmupSkipped, 0.85));
    }
    if needs && does_not_fit(text) {
        hits.push(Hit::names(Cause::OutOfMemory, 0.8));
    }
    if waits && lacks_replicas(text) {
        hits.push(Hit::mark(Mark::Held));
    }
    if impatient && !text.starts_with('|') && waited(text) {
        hits.push(Hit::mark(Mark::Silenced));
    }
    let is_port = |two: &[u8]| two[0] == b':' && two[1].is_ascii_digit();
    if refuses && text.as_bytes().windows(2).any(is_port) {
        hits.push(Hit::mark(Mark::Refused));
    }
    // What comes so far has begun, whatever it is.
    if percent && text.len() <= SHORT && text.trim_end_matches(')').ends_with('%') {
        hits.push(Hit::mark(Mark::Loads));
    }
    if is_access {
        return;
    }
    let is_told = || {
        text.contains('#')
            || [" 200", "=200", " /"]
                .iter()
                .any(|sign| text.contains(sign))
    };
    if (asked || is_told()) && may_tell(text) {
        hits.push(Hit::mark(Mark::Exchange));
    }
    if opens && !is_open && opens_port(text) {
        hits.push(Hit::mark(Mark::Listening));
    }
}

/// Whether weights are named on a line that is about their download, that says that they are not there,
/// or whose tokenizer is what is loaded.
fn are_of_another(has_download: bool, has_tokenizer: bool, text: &str) -> bool {
    const THEMSELVES: [&str; 6] = [
        "weights",
        "model",
        "checkpoint",
        "session",
        "engine",
        "shard",
    ];
    // What a tokenizer is made of may be called a model as well.
    const ITS_OWN: [&str; 8] = [
        "sentencepiece ",
        "tokenizer ",
        "tokeniser ",
        "bpe ",
        "unigram ",
        "wordpiece ",
        "spm ",
        "segmentation ",
    ];
    let is_itself = |at: usize| {
        let before = &text[..at];
        (at == 0 || before.ends_with(' ')) && !ITS_OWN.iter().any(|own| before.ends_with(own))
    };
    let are_named = || {
        let mut words = THEMSELVES.iter();
        words.any(|word| text.match_indices(word).any(|(at, _)| is_itself(at)))
    };
    let are_absent = || {
        text.contains("not loaded") && !text.contains("loading") && !text.contains("reading")
            || text.contains("still on host")
    };
    has_download || are_absent() || (has_tokenizer && !are_named())
}

fn has_both(hits: &[Hit], one: Part, other: Part) -> bool {
    let has = |part| hits.iter().any(|hit| hit.part() == Some(part));
    has(one) && has(other)
}

/// An engine that is made of weights is whatever serves them, and nothing that is compiled.
fn is_of_weights(text: &str) -> bool {
    const COMPILED: [&str; 8] = [
        "compil", "kernel", "graph", "jit", "tensorrt", "trt", "autotun", "triton",
    ];
    text.contains("engine")
        && text.contains("weights")
        && !COMPILED.iter().any(|word| text.contains(word))
}

/// What those who place and watch containers write: they load, compile and fetch nothing of a model.
fn is_of_cluster(text: &str) -> bool {
    const WATCHERS: [&str; 8] = [
        "kubelet",
        "default scheduler",
        "replicaset controller",
        "deployment controller",
        "cluster autoscaler",
        "synced progressing",
        "synced degraded",
        "synced healthy",
    ];
    WATCHERS.iter().any(|watcher| text.contains(watcher))
}

/// `it is not the model that …`: what is named only to say that it is something else.
fn is_excluded(text: &str, at: usize) -> bool {
    const NOT: [&str; 6] = [
        " is not ",
        " was not ",
        " isn't ",
        " wasn't ",
        " rather than ",
        " instead of ",
    ];
    NOT.iter().any(|not| text[..at].ends_with(not))
}

/// One line, taken apart.
pub(crate) struct Parsed<'a> {
    pub(crate) text: &'a str,
    pub(crate) hits: &'a [Hit],
    pub(crate) amounts: Vec<Amount>,
    pub(crate) at: Option<f64>,
    /// It may tell what a request took.
    pub(crate) is_timed: bool,
    pub(crate) evidence: Evidence,
}

impl Parsed<'_> {
    pub(crate) fn first(&self, mark: Mark) -> Option<&Hit> {
        self.hits
            .iter()
            .find(|hit| hit.means == Meaning::Marks(mark))
    }

    pub(crate) fn names(&self, cause: Cause) -> bool {
        self.hits
            .iter()
            .any(|hit| hit.means == Meaning::Names(cause))
    }

    pub(crate) fn names_a_cause(&self) -> bool {
        self.hits.iter().any(Hit::names_a_cause)
    }

    pub(crate) fn has(&self, mark: Mark) -> bool {
        self.first(mark).is_some()
    }

    pub(crate) fn parts(&self) -> impl Iterator<Item = (&Hit, Part)> {
        self.hits.iter().filter_map(|hit| match hit.means {
            Meaning::Does(part) => Some((hit, part)),
            _ => None,
        })
    }

    /// The duration that belongs to what is named at `hit`.
    pub(crate) fn cost(&self, hit: &Hit) -> Option<f64> {
        let others = || {
            self.hits
                .iter()
                .filter(|other| {
                    is_subject(other) && other.at != hit.at && other.part() != hit.part()
                })
                .map(|other| other.at)
        };
        let next = others()
            .filter(|at| *at > hit.at)
            .min()
            .unwrap_or(usize::MAX);
        let previous = others().filter(|at| *at < hit.at).max();
        let first_subject = others().chain([hit.at]).min().unwrap_or(0);
        let figures_lead = self
            .amounts
            .first()
            .is_some_and(|a| a.start < first_subject)
            && self.amounts.len() == others().count() + 1;
        let after = self
            .amounts
            .iter()
            .find(|a| a.start >= hit.at && a.start < next);
        let before = self.amounts.iter().rev().find(|a| a.end <= hit.at);
        let chosen = match (figures_lead, previous) {
            (true, _) => before,
            (false, None) => after.or(before),
            (false, Some(_)) => after,
        };
        chosen.map(|amount| amount.ms)
    }

    /// Whether words on the line put what is at `hit` into the start or into a request: the
    /// nearest before it, else the first behind it.
    pub(crate) fn place(&self, hit: &Hit) -> Option<Place> {
        let words = || {
            self.hits.iter().filter_map(|other| match other.means {
                // The first time since a machine runs is no request's.
                Meaning::Marks(Mark::AtRequest) if !self.names(Cause::ColdPageCache) => {
                    Some((other.at, Place::AtRequest))
                }
                Meaning::Marks(Mark::AtStart) if !is_negated(self.text, other.at) => {
                    Some((other.at, Place::AtStart))
                }
                _ => None,
            })
        };
        let before = words()
            .filter(|(at, _)| *at <= hit.at)
            .max_by_key(|(at, _)| *at);
        // "… (warm-up covered 128 only)" says nothing of when this ran.
        let aside = |at: usize| self.text[at..].starts_with("warm");
        let is_of_next = |at: usize| at > hit.end && self.text[hit.end..at].contains(". ");
        // What is warm or ready by then was done before.
        let is_over = |at: usize| {
            let over = [Mark::Warm, Mark::Ready].map(Meaning::Marks);
            let mut between = self
                .hits
                .iter()
                .filter(|over| over.at > hit.at && over.at < at);
            between.any(|hit| over.contains(&hit.means))
        };
        let behind = words().filter(|(at, _)| !aside(*at) && !is_over(*at) && !is_of_next(*at));
        before
            .or_else(|| behind.min_by_key(|(at, _)| *at))
            .map(|(_, place)| place)
    }
}

/// Whether a figure on the line may belong to this.
fn is_subject(hit: &Hit) -> bool {
    matches!(
        hit.means,
        Meaning::Does(_) | Meaning::Marks(Mark::Percentile)
    )
}
