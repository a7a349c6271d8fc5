//! How many threads compute and how many processors they may use, told on lines of their own.

use super::cause::Cause;
use super::line::amount;
use super::line::list::List;
use super::line::text::digits;
use super::line::wording::setting;
use super::{Diagnosis, Evidence};

/// Words of threads that compute. Others wait most of the time.
const COMPUTING: [&str; 27] = [
    "openmp",
    "numba",
    "intra",
    "omp",
    "mkl",
    "openblas",
    "blas",
    "torch",
    "compute",
    "inference",
    "n threads",
    "rayon",
    "onnx",
    "ort ",
    "ort:",
    "numexpr",
    "native",
    "ggml",
    "eigen",
    "openvino",
    "using ",
    "cores",
    "starts ",
    "pool of",
    "math",
    "each core",
    "every core",
];

/// What a runtime calls the processors that it sees, or the threads that it makes of them.
const COUNTED: [&str; 18] = [
    "gomaxprocs",
    "availableprocessors",
    "nproc",
    "omp takes",
    "omp uses",
    "omp num threads",
    "get num threads",
    "intra op num threads",
    "logical cores",
    "native pool",
    "threads:",
    "threads=",
    "mkl picked",
    "openmp picked",
    "global pool",
    "pool size",
    "pool=",
    "= all",
];

/// Words of a limit that somebody else sets.
const LIMITING: [&str; 25] = [
    "fight for",
    "compete for",
    "squeezed",
    "cgroup",
    "quota",
    "cpu limit",
    "limits.cpu",
    "cpu.max",
    "kubernetes limit",
    "container has",
    "container may",
    "pod has",
    "pod may use",
    "may use",
    "container limit",
    "pod limit",
    "limit:",
    "limit=",
    "docker cpus",
    " cpus=",
    "cfs",
    "allowed",
    "allotted",
    "granted",
    "entitled to",
];

static COMPUTES: List = List::new(&[&COMPUTING]);
static IS_LIMIT: List = List::new(&[&LIMITING]);

/// Nobody runs more.
const MOST: f64 = 4096.0;

/// So many times more threads than processors are too many.
const RATIO: f64 = 1.5;

const CONFIDENCE: f64 = 0.7;

#[derive(Debug, Default)]
pub(super) struct Threads {
    most: Option<(f64, Evidence)>,
    limit: Option<(f64, Evidence)>,
    /// The line, in its text, behind one that shows the limit's file.
    shows: Option<(String, u64)>,
}

impl Threads {
    /// Takes a line in that may be what such a file holds: `200000 100000`.
    pub(super) fn shown(&mut self, text: &str, evidence: impl FnOnce() -> Evidence, line: u64) {
        if self.shows.as_ref().is_none_or(|(_, next)| *next != line) {
            return;
        }
        let evidence = evidence();
        let is_its = self
            .shows
            .take()
            .is_some_and(|(source, _)| source == evidence.source);
        let limit = of_cgroup(&["cpu.max ", text].concat()).filter(|_| is_its);
        note(&mut self.limit, limit, &evidence, f64::min);
    }

    pub(super) fn take(&mut self, text: &str, evidence: &Evidence) {
        if text.ends_with("cpu.max") {
            self.shows = Some((evidence.source.clone(), evidence.line + 1));
        }
        let limits = IS_LIMIT.is_in(text) && (text.contains("cpu") || text.contains("core"));
        let limited = limits
            .then(|| of_cgroup(text).or_else(|| limit(text)))
            .flatten()
            .or_else(|| of_run(text));
        let of_pool = ["thread", "lanes"]
            .into_iter()
            .find(|word| text.contains(word));
        let is_of_threads = COMPUTES.is_in(text) || limited.is_some();
        let by_thread = || match setting(text, &["threads"]) {
            Some(threads) => Some(threads).filter(|_| Some(threads) != limited),
            None => beside(text, of_pool?, limited),
        };
        let told = counted(text, limited).or_else(|| by_thread().filter(|_| is_of_threads));
        let told = told.filter(|threads| *threads <= MOST);
        note(&mut self.most, told, evidence, f64::max);
        note(&mut self.limit, limited, evidence, f64::min);
    }
}

fn note(
    known: &mut Option<(f64, Evidence)>,
    told: Option<f64>,
    evidence: &Evidence,
    choose: fn(f64, f64) -> f64,
) {
    let Some(told) = told.filter(|told| *told > 0.0) else {
        return;
    };
    let is_news = known
        .as_ref()
        .is_none_or(|(old, _)| choose(*old, told) != *old);
    if is_news {
        *known = Some((told, evidence.clone()));
    }
}

/// `cpu.max is 200000 100000`, `cpu.max=200000 100000`: of so many microseconds, so many.
fn of_cgroup(text: &str) -> Option<f64> {
    let (_, behind) = text.split_once("cpu.max")?;
    let mut numbers = behind
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|word| word.parse::<f64>().ok());
    let (quota, period) = (numbers.next()?, numbers.next()?);
    (period >= 1e3).then_some(quota / period)
}

/// `docker run -m 4g --cpus 3 acme/ranker`
fn of_run(text: &str) -> Option<f64> {
    const RUNNERS: [&str; 3] = ["docker", "podman", "nerdctl"];
    let (before, behind) = text.split_once(" cpus ")?;
    let is_run = before.contains(" run") && RUNNERS.iter().any(|runner| before.contains(runner));
    limit_behind(behind).filter(|_| is_run)
}

/// `cpu limit 2`, `cpu limit: 500m`, `quota allows 2 cpus`, `(quota 1.5)`, `cgroup of 8 cpus`.
fn limit(text: &str) -> Option<f64> {
    let mut ends: Vec<usize> = LIMITING
        .iter()
        .filter_map(|word| Some(text.find(word)? + word.len()))
        .collect();
    ends.sort_unstable();
    ends.into_iter()
        .rev()
        .find_map(|end| limit_behind(&text[end..]))
}

fn limit_behind(behind: &str) -> Option<f64> {
    let from = behind
        .find(|c: char| c.is_ascii_digit())
        .filter(|from| *from <= 24)?;
    let number: String = behind[from..]
        .chars()
        .take_while(|c| c.is_ascii_digit() || *c == '.')
        .collect();
    let rest = &behind[from + number.len()..];
    let value: f64 = number.trim_end_matches('.').parse().ok()?;
    let period = rest.strip_prefix('/').map(|period| digits(period).0);
    if let Some(period) = period.and_then(|period| period.parse::<f64>().ok()) {
        return (period >= 1e3).then_some(value / period);
    }
    // Memory has limits as well.
    let is_memory = rest.trim_start().starts_with(['g', 'k']) || rest.starts_with("mi");
    let value = if rest.starts_with('m') {
        value / 1e3
    } else {
        value
    };
    (value <= MOST && !is_memory).then_some(value)
}

/// The number behind what a runtime calls its processors or threads, unless it is the limit.
fn counted(text: &str, limit: Option<f64>) -> Option<f64> {
    let numbers = amount::integers(text, &amount::amounts(text));
    let told = COUNTED.iter().filter_map(|word| {
        let at = text.find(word)?;
        // A number of cores stands before them.
        let is_before = *word == "logical cores";
        let near = |(place, _): &&(usize, u64)| match is_before {
            true => *place < at && at - place <= 8,
            false => *place >= at && place - at <= word.len() + 12,
        };
        let (_, number) = numbers.iter().find(near)?;
        Some(*number as f64)
    });
    told.filter(|number| *number > 0.0 && Some(*number) != limit)
        .reduce(f64::max)
}

/// The number next to a word: before it or behind, and not the limit.
fn beside(text: &str, word: &str, limit: Option<f64>) -> Option<f64> {
    let numbers = amount::integers(text, &amount::amounts(text));
    let near = |at: usize| {
        let by = |(place, _): &&(usize, u64)| place.abs_diff(at);
        numbers
            .iter()
            .filter(|(_, number)| Some(*number as f64) != limit)
            .min_by_key(by)
            .filter(|(place, _)| place.abs_diff(at) <= 24)
    };
    let told = text.match_indices(word).filter_map(|(at, _)| near(at));
    told.map(|(_, number)| *number as f64).reduce(f64::max)
}

impl Diagnosis {
    /// Threads on one line outnumber the processors on another.
    pub(super) fn outnumbered(&mut self) {
        let (Some((threads, told)), Some((limit, limited))) =
            (&self.threads.most, &self.threads.limit)
        else {
            return;
        };
        if *threads < RATIO * limit || told.source != limited.source {
            return;
        }
        for evidence in [told.clone(), limited.clone()] {
            self.see(Cause::CpuLimit, CONFIDENCE, evidence, None, None);
        }
    }
}
